"""The ledger on the pages of the book: tables of claims, and counts of their verdicts."""

from collections.abc import Mapping, Sequence

import pandas as pd

from paper.ledger import ABOUT, describe_range
from paper.verdicts import COLUMNS, DIFFERENCE, OF_WAY, PROCEDURE, RECOMMENDED

VERDICTS = ("reproduced", "partly", "not reproduced", "cannot be tested", "not evaluated", "not measured")
WAYS = {PROCEDURE: "paper's procedure", RECOMMENDED: "recommended fit"}
HEADS = ("claim", "what is measured", *WAYS.values(), "what the difference means")


def count_verdicts(verdicts: pd.DataFrame, ledger: pd.DataFrame, way: str = RECOMMENDED) -> pd.DataFrame:
    """How many claims have each verdict, by what they are about.

    Parameters
    ----------
    verdicts : DataFrame
        From :func:`paper.verdicts.read_results`. A claim that is not in it counts as "not measured".
    ledger : DataFrame
        From :func:`paper.ledger.load_ledger`, or some of its rows.
    way : str
        One of `WAYS`.

    Returns
    -------
    DataFrame
        A row for each of `ABOUT` and a column for each of `VERDICTS`.
    """
    found = verdicts[f"{way}verdict"].reindex(ledger.index).fillna("not measured")
    counts = pd.crosstab(ledger["about"].to_numpy(), found.to_numpy())
    return counts.reindex(index=ABOUT, columns=VERDICTS, fill_value=0)


def ledger_table(verdicts: pd.DataFrame, ledger: pd.DataFrame) -> str:
    """Claims as one MyST table for a page of the book, with links to figures and chapters.

    Parameters
    ----------
    verdicts : DataFrame
        From :func:`paper.verdicts.read_results`. A claim that is not in it is listed as "not measured".
    ledger : DataFrame
        From :func:`paper.ledger.load_ledger`, or some of its rows.

    Returns
    -------
    str
        Markdown. Each cell starts with the name of its column in the class ``label``, for narrow screens. A verdict
        has the classes ``verdict`` and, for example, ``not-reproduced``.
    """
    lines = [table_row(*HEADS), table_row(*["-"] * len(HEADS))]
    unmeasured = dict.fromkeys(COLUMNS, "") | {f"{way}verdict": "not measured" for way in WAYS}
    for name, claim in ledger.iterrows():
        found = verdicts.loc[name] if name in verdicts.index else unmeasured
        here = f"{{numref}}`{claim['figure']}` in {{doc}}`/chapters/{claim['chapter']}`"
        source = f"[paper: {claim['place']} ({claim['paper']})<br>here: {here}<br>`{name}`]{{.source}}"
        measure = [claim["measure"], *describe_range(claim).split("; ")]
        if claim["reading"]:
            measure.append(f"[reading: {claim['reading']}]{{.source}}")
        same = claim["about"] == "data"  # no fit is involved
        cells = [f"{claim['claim']}<br>{source}", "<br>".join(measure),
                 *("" if same and way == RECOMMENDED else _of_way(found, way, badge) for way in WAYS),
                 "No fit is involved." if same else found[DIFFERENCE]]
        heads = [*HEADS[:2], "verdict" if same else HEADS[2], *HEADS[3:]]
        lines.append(table_row(*(f"[{head}]{{.label}} {cell}" if cell else ""
                                 for head, cell in zip(heads, cells, strict=True))))
    return "\n".join(lines)


def chapter_table(verdicts: pd.DataFrame) -> str:
    """The table of :func:`paper.verdicts.evaluate` as a Markdown table of four columns, narrow enough for a page."""
    lines = ["| claim | what is measured | paper's procedure | recommended fit |", "| - | - | - | - |"]
    for name, row in verdicts.iterrows():
        difference = f"<br>*{row[DIFFERENCE]}*" if row[DIFFERENCE] else ""
        lines.append(table_row(f"{row['claim']} `{name}`{difference}", f"{row['measure']}<br>{row['range']}",
                               *(_of_way(row, way, "**{}**".format) for way in WAYS)))
    return "\n".join(lines)


# The lines of a summary, each with the pairs of verdicts, of the paper's procedure and of the recommended fit.
_YES, _PART, _NO = ({"reproduced"}, {"partly"}, {"not reproduced", "cannot be tested"})
LINES = {
    "Holds, however the model is fitted": (_YES, _YES),
    "Holds with most seeds of the paper's procedure, but not fully when runs are combined": (_YES, _PART | _NO),
    "Holds with certainty only when runs are combined": (_PART | _NO, _YES),
    "Holds in part, or with some seeds of the paper's procedure": (_PART, _PART | _NO),
    "Holds in part, only when runs are combined": (_NO, _PART),
    "Does not hold, however the model is fitted": (_NO, _NO),
}


def summary(verdicts: pd.DataFrame, ledger: pd.DataFrame, figures: Sequence[str] | None = None) -> str:
    """What holds of a chapter's claims about SpiceMix, what does not, and why: a Markdown list of at most six lines.

    Parameters
    ----------
    verdicts : DataFrame
        From :func:`paper.verdicts.evaluate`.
    ledger : DataFrame
        From :func:`paper.ledger.load_ledger`.
    figures : sequence of str, optional
        Labels of figures, for example of those on one page: only claims that these figures show are listed.
    """
    own = verdicts.join(ledger[["short", "about", "figure"]])
    own = own[(own["about"] == "SpiceMix") & (True if figures is None else own["figure"].isin(figures))]
    if (own["verdict"] == "not evaluated").all():
        return "No claim is evaluated, because the data were not found and this page shows simulated tissue."
    lines = []
    for text, (first, second) in LINES.items():
        found = own[own[f"{PROCEDURE}verdict"].isin(first) & own[f"{RECOMMENDED}verdict"].isin(second)]
        named = [_with_seeds(row) if first == _PART else row["short"] for _, row in found.iterrows()]
        lines += [f"- **{text}** ({len(named)}): {'; '.join(named).rstrip('.')}."] if named else []
    return "\n".join(lines)


def _with_seeds(row):
    """The claim with the seeds of the paper's procedure that have it."""
    seeds = row[f"{PROCEDURE}seeds"].split(" in range")[0]
    return f"{row['short']} ({seeds})" if seeds else row["short"]


def _of_way(found: Mapping, way: str, show) -> str:
    """Verdict, value, seeds and comment of one way to fit, below each other."""
    value, seeds, verdict, comment = (found[f"{way}{name}"] for name in OF_WAY)
    return "<br>".join(filter(None, (show(verdict), value, seeds, comment)))


def table_row(*cells: str) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def badge(verdict: str) -> str:
    """A verdict as a coloured word."""
    return f"[{verdict}]{{.verdict .{verdict.replace(' ', '-')}}}"
