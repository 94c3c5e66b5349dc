"""The ledger of the paper's claims that can be checked, and the rule of the verdict on each.

``book/claims.yml`` states which number is computed for a claim and the range in which it must lie. A chapter measures
the numbers of its own claims; the verdict follows from the ranges. :mod:`paper.verdicts` stores and tabulates them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

FIELDS = {"id", "chapter", "about", "place", "figure", "claim", "paper", "measure", "reproduced", "partly"}
OPTIONAL = {"requires", "reading", "short"}
BOUNDS = {"at_least", "at_most"}
ABOUT = ("SpiceMix", "other methods", "data")
FOUND = ("reproduced", "partly")  # verdicts on what SpiceMix finds, at least in part


@dataclass(frozen=True)
class Measurement:
    """What a chapter found for one claim.

    Attributes
    ----------
    value : float or None
        The number that the ledger's ``measure`` describes; None if it cannot be computed. ``comment`` then gives the
        reason.
    runs : sequence of float
        The same number for each seed: each run of the paper's procedure, each master seed of a consensus, or each
        replicate of a simulation; NaN for a seed without it.
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
    if ("short" in entry) != (entry["about"] == "SpiceMix"):
        raise ValueError(f"Claim {name} in {path} needs the field short, in a few words, if it is about "
                         "SpiceMix, and must not have it otherwise.")
    for level in ("reproduced", "partly"):
        if not isinstance(entry[level], dict) or not entry[level] or not set(entry[level]) <= BOUNDS:
            raise ValueError(f"Claim {name} in {path} needs at_least and/or at_most, with a number, in {level}.")


def verdict(claim: Mapping, measurement: Measurement) -> str:
    """``reproduced``, ``partly``, ``not reproduced`` or ``cannot be tested``, by the ranges of the ledger.

    A claim is reproduced if the value lies in its range and at least half of the seeds, if there are any, do too.
    A result that depends on the seed is reproduced in part, also if most seeds have it and the value does not.
    :func:`judge` treats claims that require another.
    """
    value = math.nan if measurement.value is None else measurement.value
    most = 2 * seeds_in_range(claim, measurement.runs) >= len(measurement.runs)
    if lies_in(value, claim["reproduced"]):
        return "reproduced" if most else "partly"
    if lies_in(value, claim["partly"]) or (most and measurement.runs):
        return "partly"
    return "cannot be tested" if math.isnan(value) else "not reproduced"


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


def describe_range(claim: Mapping) -> str:
    """The two ranges of a claim in words."""
    return "; ".join(f"{level}: {_bounds(claim[level])}" for level in ("reproduced", "partly"))


def seeds_in_range(claim: Mapping, runs: Sequence[float | None]) -> int:
    """How many seeds have a number in the range that counts as reproduced; None and NaN count as outside."""
    return sum(run is not None and lies_in(run, claim["reproduced"]) for run in runs)


def lies_in(value: float, bounds: Mapping[str, float]) -> bool:
    """Whether a number lies in one of the two ranges of a claim; NaN lies in none."""
    return bounds.get("at_least", -math.inf) <= value <= bounds.get("at_most", math.inf)


def _bounds(bounds):
    low, high = (number_text(bounds.get(bound)) for bound in ("at_least", "at_most"))
    if low and high:
        return low if low == high else f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}"


def number_text(value: float | None) -> str:
    """A number in the three digits that the tables show; empty for None."""
    if value is None:
        return ""
    return "< 0.001" if 0 < value < 0.001 else f"{value:.3g}"
