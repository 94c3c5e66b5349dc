"""The ledger of the paper's claims that can be checked, and the book's verdict on each.

``book/claims.yml`` states which number is computed for a claim and the range in which it must lie. A chapter measures
the numbers of its own claims; the verdict follows from the ranges.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from spicemix_core.files.atomic import replacing

FIELDS = {"id", "chapter", "about", "place", "figure", "claim", "paper", "measure", "reproduced", "partly"}
OPTIONAL = {"requires", "reading"}
BOUNDS = {"at_least", "at_most"}
ABOUT = ("SpiceMix", "other methods", "data")
FOUND = ("reproduced", "partly")  # verdicts on what SpiceMix finds, at least in part
COLUMNS = ["claim", "measure", "range", "paper", "measured", "single runs", "verdict", "comment"]
PROCEDURE = "procedure"  # a column that exists if a chapter also followed the paper's own procedure


@dataclass(frozen=True)
class Measurement:
    """What a chapter found for one claim.

    Attributes
    ----------
    value : float or None
        The number that the ledger's ``measure`` describes; None if it cannot be computed. ``comment`` then gives the
        reason.
    runs : sequence of float
        The same number for each single run (seed or replicate); NaN for a run without it.
    comment : str
        Further facts that a reader needs.
    """

    value: float | None
    runs: Sequence[float] = ()
    comment: str = ""


def holding(conditions: Mapping[str, bool]) -> str:
    """Comment that lists the conditions of a compound claim (dict of name to bool) that hold."""
    return "holds: " + (", ".join(name for name, holds in conditions.items() if holds) or "none")


def matching_sizes(found: Mapping[str, int], paper: Mapping[str, int]) -> Measurement:
    """How many sizes of the data (dict of name to number) agree with the paper; the comment lists the sizes."""
    return Measurement(float(sum(found[name] == number for name, number in paper.items())),
                       comment=", ".join(f"{number:,} {name}" for name, number in found.items()))


def ledger_path() -> Path:
    """Path of ``book/claims.yml`` in the repository of this package."""
    return Path(__file__).parents[1] / "claims.yml"


def load_ledger(path: str | Path | None = None) -> pd.DataFrame:
    """All claims, indexed by id, in the order of the ledger.

    Raises
    ------
    ValueError
        If an entry lacks a field or has an unknown field, bound or required claim, or if an id occurs twice.
    FileNotFoundError
        If there is no ledger.
    """
    path = ledger_path() if path is None else Path(path)
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"The file {path} must be a list of claims, each a mapping of {', '.join(sorted(FIELDS))}.")
    for number, entry in enumerate(entries, 1):
        _check_entry(entry, entry.get("id", f"number {number}"), path)
    ledger = pd.DataFrame([dict.fromkeys(OPTIONAL, "") | entry for entry in entries]).set_index("id")
    if not ledger.index.is_unique:
        twice = ledger.index[ledger.index.duplicated()][0]
        raise ValueError(f"The file {path} has the claim {twice} twice: rename one.")
    for name, needed in ledger.loc[ledger["requires"] != "", "requires"].items():
        if needed not in ledger.index or ledger.loc[needed, "chapter"] != ledger.loc[name, "chapter"] \
                or ledger.loc[needed, "requires"]:
            raise ValueError(f"Claim {name} in {path} requires {needed}, which must be a claim of the same chapter "
                             "that requires no other one.")
    return ledger


def _check_entry(entry: Mapping, name: str, path: Path) -> None:
    if wrong := sorted(FIELDS ^ (set(entry) - OPTIONAL)):
        raise ValueError(f"Claim {name} in {path} lacks the field {wrong[0]} or should not have it: give the fields "
                         f"{', '.join(sorted(FIELDS | OPTIONAL))}.")
    texts = sorted(set(entry) - {"reproduced", "partly"})
    if other := [field for field in texts if not isinstance(entry[field], str)]:
        raise ValueError(f"The {other[0]} of claim {name} in {path} is not text: put it in quotation marks.")
    if entry["about"] not in ABOUT:
        raise ValueError(f"Claim {name} in {path} is about {entry['about']!r}: write one of {', '.join(ABOUT)}.")
    for level in ("reproduced", "partly"):
        if not isinstance(entry[level], dict) or not entry[level] or not set(entry[level]) <= BOUNDS:
            raise ValueError(f"Claim {name} in {path} needs at_least and/or at_most, with a number, in {level}.")


def verdict(claim: Mapping, measurement: Measurement) -> str:
    """``reproduced``, ``partly``, ``not reproduced`` or ``cannot be tested``, by the ranges of the ledger.

    A claim is reproduced if the value lies in its range and at least half of the single runs, if there are any, do too.
    A result that depends on the seed is therefore reproduced in part. :func:`judge` treats claims that require another.
    """
    if measurement.value is None or math.isnan(measurement.value):
        return "cannot be tested"
    if _lies_in(measurement.value, claim["reproduced"]):
        meeting = sum(_lies_in(run, claim["reproduced"]) for run in measurement.runs)
        return "reproduced" if 2 * meeting >= len(measurement.runs) else "partly"
    return "partly" if _lies_in(measurement.value, claim["partly"]) else "not reproduced"


def judge(measurements: Mapping[str, Measurement], claims: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Verdict and comment for each claim of one chapter.

    A claim with the field ``requires`` says that other methods do not find something, or that only SpiceMix finds it.
    Such a claim counts only where SpiceMix finds it, that is, where the required claim is at least partly reproduced.
    Otherwise a claim about SpiceMix is not reproduced, and a claim about other methods cannot be tested.

    Parameters
    ----------
    measurements : dict of str to Measurement
    claims : DataFrame
        The rows of :func:`load_ledger` for the chapter.

    Returns
    -------
    dict of str to (str, str)
    """
    judged = {name: (verdict(claim, measurements[name]), measurements[name].comment)
              for name, claim in claims.iterrows()}
    for name, claim in claims[claims["requires"] != ""].iterrows():
        found, comment = judged[name]
        if found != "cannot be tested" and judged[claim["requires"]][0] not in FOUND:
            reason = f"SpiceMix itself does not find this (claim {claim['requires']})"
            judged[name] = ("not reproduced" if claim["about"] == "SpiceMix" else "cannot be tested",
                            "; ".join(filter(None, (reason, comment))))
    return judged


def evaluate(chapter: str, measurements: Mapping[str, Measurement], *, not_evaluated: str = "",
             folder: str | Path = "../results", ledger: pd.DataFrame | None = None) -> pd.DataFrame:
    """Judge all claims of one chapter and write the verdicts to ``folder/claims_CHAPTER.json``.

    Parameters
    ----------
    chapter : str
    measurements : dict of str to Measurement
        One for each claim of the chapter.
    not_evaluated : str
        Reason why nothing was measured, for example that the data are simulated. ``measurements`` is then empty.
    folder : path
        By default the folder ``results`` next to that of the executed notebooks.
    ledger : DataFrame, optional
        From :func:`load_ledger`, the default.

    Returns
    -------
    DataFrame
        Claims of the chapter by id, with the columns of :func:`tabulate`.

    Raises
    ------
    ValueError
        If a claim of the chapter was not measured, a claim of another chapter was, or no reason is given for a claim
        that cannot be tested.
    """
    ledger = load_ledger() if ledger is None else ledger
    own = ledger[ledger["chapter"] == chapter]
    expected = set() if not_evaluated else set(own.index)
    if own.empty or set(measurements) != expected:
        raise ValueError(f"Chapter {chapter} must measure exactly the claims {', '.join(sorted(expected)) or 'none'}: "
                         f"add or remove {', '.join(sorted(set(measurements) ^ expected)) or 'its measurements'}.")
    if not_evaluated:
        measurements = dict.fromkeys(own.index, Measurement(None))
        judged = dict.fromkeys(own.index, ("not evaluated", not_evaluated))
    else:
        judged = judge(measurements, own)
    records = [_record(name, claim, measurements[name], *judged[name]) for name, claim in own.iterrows()]
    _write(Path(folder) / f"claims_{chapter}.json", records)
    return tabulate(records, own)


def _record(name: str, claim: Mapping, measurement: Measurement, judged: str, comment: str) -> dict:
    """What is stored for one claim; None for a number that could not be computed."""
    if judged == "cannot be tested" and not comment:
        raise ValueError(f"Claim {name} has no value: state in its comment why it cannot be tested.")
    value, *runs = (None if number is None or math.isnan(number) else float(number)
                    for number in (measurement.value, *measurement.runs))
    return {"id": name, "chapter": claim["chapter"], "claim": claim["claim"], "paper": claim["paper"], "value": value,
            "runs": runs, "verdict": judged, "comment": comment}


def tabulate(records: Sequence[dict], ledger: pd.DataFrame) -> pd.DataFrame:
    """Table of texts, indexed by id, of verdicts that :func:`evaluate` has written.

    There is a column "procedure" if any record has the number that the paper's own procedure gives.
    """
    rows = []
    for record in records:
        claim = ledger.loc[record["id"]]
        runs = [run for run in record["runs"] if run is not None]
        spread = ""
        if runs:
            meeting = sum(_lies_in(run, claim["reproduced"]) for run in runs)
            ends = " to ".join(dict.fromkeys((_number(min(runs)), _number(max(runs)))))
            spread = f"runs: {ends}; {meeting} of {len(record['runs'])} in range"
        rows.append(record | {"measure": claim["measure"], "range": describe_range(claim), "single runs": spread,
                              "measured": _number(record["value"]), PROCEDURE: _number(record.get(PROCEDURE))})
    columns = COLUMNS + [PROCEDURE] * any(PROCEDURE in record for record in records)
    return pd.DataFrame(rows).set_index("id")[columns]


def describe_range(claim: Mapping) -> str:
    """The two ranges of a claim in words."""
    return "; ".join(f"{level}: {_bounds(claim[level])}" for level in ("reproduced", "partly"))


def read_results(folder: str | Path, ledger: pd.DataFrame | None = None) -> pd.DataFrame:
    """Verdicts in ``folder`` of all chapters that were executed, in the order of the ledger."""
    ledger = load_ledger() if ledger is None else ledger
    files = sorted(Path(folder).glob("claims_*.json"))
    records = {record["id"]: record for file in files for record in json.loads(file.read_text(encoding="utf-8"))}
    if not records:
        raise FileNotFoundError(f"The folder {folder} has no results: execute the chapters first.")
    return tabulate([records[name] for name in ledger.index if name in records], ledger)


def to_markdown(verdicts: pd.DataFrame) -> str:
    """The table of :func:`evaluate` as a Markdown table of four columns, narrow enough for a page."""
    lines = ["| claim | what is measured | our fit | verdict |", "| - | - | - | - |"]
    for name, row in verdicts.iterrows():
        runs = f"<br>{row['single runs']}" if row["single runs"] else ""
        comment = f"<br>{row['comment']}" if row["comment"] else ""
        lines.append(table_row(f"{row['claim']} `{name}`", f"{row['measure']}<br>{row['range']}",
                               f"{row['measured']}{runs}", f"**{row['verdict']}**{comment}"))
    return "\n".join(lines)


def table_row(*cells: str) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _lies_in(value, bounds):
    return bounds.get("at_least", -math.inf) <= value <= bounds.get("at_most", math.inf)


def _bounds(bounds):
    low, high = (_number(bounds.get(bound)) for bound in ("at_least", "at_most"))
    if low and high:
        return low if low == high else f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}"


def _number(value):
    if value is None:
        return ""
    return "< 0.001" if 0 < value < 0.001 else f"{value:.3g}"


def _write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
