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

FIELDS = {"id", "chapter", "place", "figure", "claim", "paper", "measure", "reproduced", "partly"}
BOUNDS = {"at_least", "at_most"}
VERDICTS = ("reproduced", "partly", "not reproduced", "cannot be tested", "not evaluated", "not measured")
COLUMNS = ["claim", "paper", "measured", "single runs", "verdict", "comment"]


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
        If an entry lacks a field or has an unknown field or bound, or if an id occurs twice.
    FileNotFoundError
        If there is no ledger.
    """
    path = ledger_path() if path is None else Path(path)
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"The file {path} must be a list of claims, each a mapping of {', '.join(sorted(FIELDS))}.")
    for number, entry in enumerate(entries, 1):
        name = entry.get("id", f"number {number}")
        if wrong := sorted(FIELDS ^ set(entry)):
            raise ValueError(f"Claim {name} in {path} lacks the field {wrong[0]} or does not need it: give the fields "
                             f"{', '.join(sorted(FIELDS))}.")
        texts = sorted(FIELDS - {"reproduced", "partly"})
        if other := [field for field in texts if not isinstance(entry[field], str)]:
            raise ValueError(f"The {other[0]} of claim {name} in {path} is not text: put it in quotation marks.")
        for level in ("reproduced", "partly"):
            if not isinstance(entry[level], dict) or not entry[level] or not set(entry[level]) <= BOUNDS:
                raise ValueError(f"Claim {name} in {path} needs at_least and/or at_most, with a number, in {level}.")
    ledger = pd.DataFrame(entries).set_index("id")
    if not ledger.index.is_unique:
        twice = ledger.index[ledger.index.duplicated()][0]
        raise ValueError(f"The file {path} has the claim {twice} twice: rename one.")
    return ledger


def verdict(claim: Mapping, measurement: Measurement) -> str:
    """``reproduced``, ``partly``, ``not reproduced`` or ``cannot be tested``, by the ranges of the ledger.

    A claim is reproduced if the value lies in its range and at least half of the single runs, if there are any, do too.
    A result that depends on the seed is therefore reproduced in part.
    """
    if measurement.value is None or math.isnan(measurement.value):
        return "cannot be tested"
    if _lies_in(measurement.value, claim["reproduced"]):
        meeting = sum(_lies_in(run, claim["reproduced"]) for run in measurement.runs)
        return "reproduced" if 2 * meeting >= len(measurement.runs) else "partly"
    return "partly" if _lies_in(measurement.value, claim["partly"]) else "not reproduced"


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
        Claims of the chapter by id: claim, paper, measured, single runs, verdict, comment.

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
    records = []
    for name, claim in own.iterrows():
        if not_evaluated:
            found, judged = Measurement(None, comment=not_evaluated), "not evaluated"
        else:
            found = measurements[name]
            judged = verdict(claim, found)
        if judged == "cannot be tested" and not found.comment:
            raise ValueError(f"Claim {name} has no value: state in its comment why it cannot be tested.")
        runs = [None if math.isnan(run) else float(run) for run in found.runs]
        records.append({"id": name, "chapter": chapter, "claim": claim["claim"], "paper": claim["paper"],
                        "value": None if judged in ("cannot be tested", "not evaluated") else float(found.value),
                        "runs": runs, "verdict": judged, "comment": found.comment})
    _write(Path(folder) / f"claims_{chapter}.json", records)
    return tabulate(records, own)


def tabulate(records: Sequence[dict], ledger: pd.DataFrame) -> pd.DataFrame:
    """Table of texts, indexed by id, of verdicts that :func:`evaluate` has written."""
    rows = []
    for record in records:
        runs = [run for run in record["runs"] if run is not None]
        meeting = sum(_lies_in(run, ledger.loc[record["id"], "reproduced"]) for run in runs)
        spread = ""
        if runs:
            spread = f"{_number(min(runs))} to {_number(max(runs))}; in range: {meeting} of {len(record['runs'])}"
        rows.append(record | {"measured": _number(record["value"]), "single runs": spread})
    return pd.DataFrame(rows).set_index("id")[COLUMNS]


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
    lines = ["| claim | paper | measured | verdict |", "| - | - | - | - |"]
    for name, row in verdicts.iterrows():
        runs = f"<br>({row['single runs']})" if row["single runs"] else ""
        comment = f"<br>{row['comment']}" if row["comment"] else ""
        cells = (f"{row['claim']} `{name}`", row["paper"], f"{row['measured']}{runs}", f"**{row['verdict']}**{comment}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def count_verdicts(verdicts: pd.DataFrame, ledger: pd.DataFrame) -> pd.Series:
    """Number of claims with each verdict, in the order of `VERDICTS`; a claim without one counts as "not measured".

    ``verdicts`` is from :func:`read_results`. Verdicts that no claim has are left out.
    """
    counts = verdicts["verdict"].reindex(ledger.index).fillna("not measured").value_counts()
    return counts.reindex(VERDICTS, fill_value=0).loc[lambda numbers: numbers > 0].rename("claims")


def ledger_table(verdicts: pd.DataFrame, ledger: pd.DataFrame) -> str:
    """All claims of the ledger as one MyST table for a page of the book, with links to figures and chapters.

    Parameters
    ----------
    verdicts : DataFrame
        From :func:`read_results`. A claim that is not in it is listed as "not measured".
    ledger : DataFrame
        From :func:`load_ledger`.

    Returns
    -------
    str
        Markdown; the verdict has the classes ``verdict`` and, for example, ``not-reproduced``.
    """
    lines = ["| claim | paper | measured | verdict |", "| - | - | - | - |"]
    unmeasured = dict.fromkeys(COLUMNS, "") | {"verdict": "not measured"}
    for name, claim in ledger.iterrows():
        found = verdicts.loc[name] if name in verdicts.index else unmeasured
        runs = f"<br>{found['single runs']}" if found["single runs"] else ""
        judged = f"[{found['verdict']}]{{.verdict .{found['verdict'].replace(' ', '-')}}}"
        here = f"{{numref}}`{claim['figure']}` in {{doc}}`/chapters/{claim['chapter']}`"
        where = f"`{name}`, paper: {claim['place']}<br>here: {here}"
        measured = found["measured"] or found["comment"]  # the reason why there is none
        cells = (f"{claim['claim']}<br>{where}", claim["paper"], f"{measured}{runs}", judged)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _lies_in(value, bounds):
    return bounds.get("at_least", -math.inf) <= value <= bounds.get("at_most", math.inf)


def _number(value):
    return "" if value is None else f"{value:.3g}"


def _write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
