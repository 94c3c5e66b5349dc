"""What the home page says of the results: the ledger of all claims, and how many of them hold."""

import sys
from pathlib import Path

from _tools import BOOK, ROOT

NOTES = {
    "quick": "These verdicts are from the *quick* profile: with so few seeds they can differ from the full book's.",
    "full": "These verdicts are from the full book.",
}
UNMEASURED = ("Claims about data sets whose files were not found are *not evaluated*: their chapters ran on simulated "
              "tissue.")
SIMULATED = "**These are not measurements:** the data were not found, and what is shown is simulated tissue."


def substitutions(results: Path, profile: str) -> dict[str, str]:
    """Markdown for ``{{ tally }}``, ``{{ ledger }}`` and ``{{ not_measured }}``, from the claims that were judged.

    The last one is a warning for the figure of the seqFISH+ chapter, empty where that ran on the measured data. All are
    empty for a book without a ledger or without results.
    """
    if not (BOOK / "claims.yml").exists() or not list(results.glob("claims_*.json")):
        return {"tally": "", "ledger": "", "not_measured": ""}
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))  # the package of this checkout, whatever is installed
    from paper import ledger  # here, because it takes seconds

    entries = ledger.load_ledger(BOOK / "claims.yml")
    verdicts = ledger.read_results(results, entries)
    counts = ledger.count_verdicts(verdicts, entries)
    notes = [NOTES[profile], *([UNMEASURED] if "not evaluated" in counts else [])]
    simulated = (verdicts.loc[entries.loc[verdicts.index, "chapter"] == "seqfish_plus", "verdict"]
                 == "not evaluated").any()
    return {"not_measured": SIMULATED if simulated else "", "tally": f"{tally(counts)}\n\n{' '.join(notes)}",
            "ledger": ledger.ledger_table(verdicts, entries)}


def tally(counts) -> str:
    """The numbers of verdicts as a bar and as a sentence; ``counts`` is a Series by verdict."""
    parts = "".join(f'<span class="{verdict.replace(" ", "-")}" style="flex: {number}">{number}</span>'
                    for verdict, number in counts.items())
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    return (f'<div class="tally" aria-hidden="true">{parts}</div>\n\n'
            f"Of {counts.sum()} claims: {told}.")
