"""The ledger on the pages of the book: tables of claims, and counts of their verdicts."""

import pandas as pd

from paper.ledger import ABOUT, COLUMNS, PROCEDURE, describe_range, table_row

VERDICTS = ("reproduced", "partly", "not reproduced", "cannot be tested", "not evaluated", "not measured")


def count_verdicts(verdicts: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """How many claims have each verdict, by what they are about.

    Parameters
    ----------
    verdicts : DataFrame
        From :func:`paper.ledger.read_results`. A claim that is not in it counts as "not measured".
    ledger : DataFrame
        From :func:`paper.ledger.load_ledger`, or some of its rows.

    Returns
    -------
    DataFrame
        A row for each of `ABOUT` and a column for each of `VERDICTS`.
    """
    found = verdicts["verdict"].reindex(ledger.index).fillna("not measured")
    counts = pd.crosstab(ledger["about"].to_numpy(), found.to_numpy())
    return counts.reindex(index=ABOUT, columns=VERDICTS, fill_value=0)


def ledger_table(verdicts: pd.DataFrame, ledger: pd.DataFrame) -> str:
    """Claims as one MyST table for a page of the book, with links to figures and chapters.

    Parameters
    ----------
    verdicts : DataFrame
        From :func:`paper.ledger.read_results`. A claim that is not in it is listed as "not measured". There is a
        column for the paper's own procedure if ``verdicts`` has it.
    ledger : DataFrame
        From :func:`paper.ledger.load_ledger`, or some of its rows.

    Returns
    -------
    str
        Markdown. Each cell starts with the name of its column in the class ``label``, for narrow screens. The verdict
        has the classes ``verdict`` and, for example, ``not-reproduced``.
    """
    procedure = PROCEDURE in verdicts
    heads = ["claim", "what is measured", "range", *(["paper's procedure"] if procedure else []), "our fit", "verdict",
             "why"]
    lines = [table_row(*heads), table_row(*["-"] * len(heads))]
    unmeasured = dict.fromkeys(verdicts.columns.union(COLUMNS), "") | {"verdict": "not measured"}
    for name, claim in ledger.iterrows():
        found = verdicts.loc[name] if name in verdicts.index else unmeasured
        here = f"{{numref}}`{claim['figure']}` in {{doc}}`/chapters/{claim['chapter']}`"
        source = f"[paper: {claim['place']} ({claim['paper']})<br>here: {here}<br>`{name}`]{{.source}}"
        cells = [f"{claim['claim']}<br>{source}", claim["measure"], describe_range(claim).replace("; ", "<br>"),
                 *([found[PROCEDURE]] if procedure else []),
                 "<br>".join(filter(None, (found["measured"], found["single runs"]))), badge(found["verdict"]),
                 found["comment"]]
        lines.append(table_row(*(f"[{head}]{{.label}} {cell}" if cell else ""
                                 for head, cell in zip(heads, cells, strict=True))))
    return "\n".join(lines)


def badge(verdict: str) -> str:
    """A verdict as a coloured word."""
    return f"[{verdict}]{{.verdict .{verdict.replace(' ', '-')}}}"
