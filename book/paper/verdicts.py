"""The verdicts of the chapters on their claims, twice for each claim, and what the difference between the two means.

A claim is judged under the paper's own procedure and under the fit that the book recommends, both times by
:func:`paper.ledger.judge`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from paper.ledger import (
    FOUND,
    Measurement,
    describe_range,
    judge,
    lies_in,
    load_ledger,
    number_text,
    seeds_in_range,
)
from spicemix_core.files.atomic import replacing

# Columns of the tables: those of the claim, then these four for each way to fit, then what the difference means.
OF_CLAIM = ["claim", "measure", "range", "paper"]
OF_WAY = ["value", "seeds", "verdict", "comment"]
PROCEDURE, RECOMMENDED = "procedure ", ""  # what the columns' names begin with
DIFFERENCE = "difference"
COLUMNS = [*OF_CLAIM, *(way + name for way in (PROCEDURE, RECOMMENDED) for name in OF_WAY), DIFFERENCE]


def evaluate(chapter: str, measurements: Mapping[str, Measurement], procedure: Mapping[str, Measurement], *,
             not_evaluated: str = "", folder: str | Path = "../results",
             ledger: pd.DataFrame | None = None) -> pd.DataFrame:
    """Judge all claims of one chapter and write the verdicts to ``folder/claims_CHAPTER.json``.

    Parameters
    ----------
    chapter : str
    measurements, procedure : dict of str to Measurement
        One for each claim of the chapter, from the recommended fit and from the paper's procedure. A claim that does
        not depend on a fit of SpiceMix has the same in both.
    not_evaluated : str
        Reason why nothing was measured, for example that the data are simulated. Both dicts are then empty.
    folder : path
        By default the folder ``results`` next to that of the executed notebooks.
    ledger : DataFrame, optional
        From :func:`paper.ledger.load_ledger`, the default.

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
    ways = [_judged(chapter, each, own, not_evaluated) for each in (measurements, procedure)]
    records = [{"id": name, "chapter": chapter, "claim": claim["claim"], "paper": claim["paper"]} | ways[0][name]
               | {"procedure": ways[1][name]} for name, claim in own.iterrows()]
    _write(Path(folder) / f"claims_{chapter}.json", records)
    return tabulate(records, own)


def _judged(chapter, measurements, own, not_evaluated):
    """What is stored of one way to fit, by claim."""
    expected = set() if not_evaluated else set(own.index)
    if own.empty or set(measurements) != expected:
        raise ValueError(f"Chapter {chapter} must measure exactly the claims {', '.join(sorted(expected)) or 'none'}: "
                         f"add or remove {', '.join(sorted(set(measurements) ^ expected)) or 'its measurements'}.")
    if not_evaluated:
        return {name: _record(name, Measurement(None), "not evaluated", not_evaluated) for name in own.index}
    return {name: _record(name, measurements[name], *found) for name, found in judge(measurements, own).items()}


def _record(name, measurement, verdict, comment):
    """None stands for a number that could not be computed."""
    if verdict == "cannot be tested" and not comment:
        raise ValueError(f"Claim {name} has no value: state in its comment why it cannot be tested.")
    value, *runs = (None if number is None or math.isnan(number) else float(number)
                    for number in (measurement.value, *measurement.runs))
    return {"value": value, "runs": runs, "verdict": verdict, "comment": comment}


def tabulate(records: Sequence[dict], ledger: pd.DataFrame) -> pd.DataFrame:
    """Table of texts with the columns `COLUMNS`, indexed by id, of verdicts that :func:`evaluate` has written."""
    rows = []
    for record in records:
        claim = ledger.loc[record["id"]]
        row = record | {"measure": claim["measure"], "range": describe_range(claim),
                        DIFFERENCE: describe_difference(claim, record["procedure"], record)}
        for way, found in ((PROCEDURE, record["procedure"]), (RECOMMENDED, record)):
            row |= {f"{way}value": number_text(found["value"]), f"{way}seeds": _seeds(claim, found["runs"]),
                    f"{way}verdict": found["verdict"], f"{way}comment": found["comment"]}
        rows.append(row)
    return pd.DataFrame(rows).set_index("id")[COLUMNS]


def _seeds(claim, runs):
    """How many seeds lie in the range, and the smallest and the largest of their numbers."""
    known = [run for run in runs if run is not None]
    if not known:
        return ""
    ends = " to ".join(dict.fromkeys((number_text(min(known)), number_text(max(known)))))
    return f"{_in_range(claim, runs)} in range ({ends})"


def _in_range(claim, runs):
    return f"{seeds_in_range(claim, runs)} of {len(runs)} seeds"


def describe_difference(claim: Mapping, procedure: Mapping, recommended: Mapping) -> str:
    """One sentence on what the verdicts under the paper's procedure and under the recommended fit say together.

    Parameters
    ----------
    claim : Mapping
        Its ranges.
    procedure, recommended : Mapping
        ``value``, ``runs`` and ``verdict``, as :func:`evaluate` stores them.
    """
    first, second = procedure["verdict"], recommended["verdict"]
    if claim["about"] == "data" or "not evaluated" in (first, second):
        return ""
    value = math.nan if procedure["value"] is None else procedure["value"]
    has, weaker = lies_in(value, claim["reproduced"]), lies_in(value, claim["partly"])
    if first == "partly" and (has or not weaker):
        lost = {"reproduced": "combining the runs makes it certain", "partly": "the recommended fit has it in part",
                "not reproduced": "the recommended fit does not have it",
                "cannot be tested": "the recommended fit leaves nothing to test"}[second]
        seeds = _in_range(claim, procedure["runs"])
        shown = (f"The run with the highest Q has it, but only {seeds} do" if has else
                 f"{seeds} of the paper's procedure have it, but not the run with the highest Q")
        return f"{shown}; {lost}."
    if first == second:
        return {"reproduced": "It holds however the model is fitted.",
                "partly": "It holds in part, however the model is fitted.",
                "not reproduced": "It does not hold, however the model is fitted.",
                "cannot be tested": "Neither fit leaves anything to test."}[first]
    if "cannot be tested" in (first, second):
        tested, other = (("recommended fit", "paper's procedure") if first == "cannot be tested"
                         else ("paper's procedure", "recommended fit"))
        return f"Only the {tested} allows a test; the {other} does not find what the claim is about."
    if first == "reproduced":
        return {"partly": "The paper's procedure has it with most seeds, the recommended fit only in part.",
                "not reproduced": "The paper's procedure has it with most seeds, but the combination of runs loses it."
                }[second]
    if second == "reproduced":
        return {"partly": "The paper's procedure has it in part; combining the runs makes it certain.",
                "not reproduced": "Only the combination of runs finds it."}[first]
    return ("The paper's procedure has a weaker form of it, the recommended fit does not." if first in FOUND else
            "The paper's procedure does not have it, the recommended fit has it in part.")


def read_results(folder: str | Path, ledger: pd.DataFrame | None = None) -> pd.DataFrame:
    """Verdicts in ``folder`` of all chapters that were executed, in the order of the ledger."""
    ledger = load_ledger() if ledger is None else ledger
    files = sorted(Path(folder).glob("claims_*.json"))
    records = {record["id"]: record for file in files for record in json.loads(file.read_text(encoding="utf-8"))}
    if not records:
        raise FileNotFoundError(f"The folder {folder} has no results: execute the chapters first.")
    return tabulate([records[name] for name in ledger.index if name in records], ledger)


def _write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
