"""Scores of the stored answers, the same for every method, and the tables that are made of them.

One row of `rivals.csv` is a method, a column of data, a target and a number of groups (``same`` or ``own``): over the
seeds, the medians of the adjusted Rand index, of macro-F1, of the number of groups and of processor seconds, the
lowest and the highest index, and the highest peak of memory.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from cell_types import macro_f1
from methods.hand_over import read_answer

from spicemix_core.tl.matching import adjusted_rand_index

KEYS = ["method", "column", "target", "number"]


@dataclass(frozen=True)
class Score:
    """Agreement of one answer with the labels, over the cells that have one."""

    ari: float
    f1: float
    found: int


def score(truth, labels):
    """The :class:`Score` of labels for all cells; cells without a published label (``None``) are left out."""
    known = np.array([label is not None for label in truth])
    if len(truth) != len(labels):
        raise ValueError(f"There are {len(labels)} labels for {len(truth)} cells.")
    published, given = truth[known].astype(str), np.asarray(labels).astype(str)
    return Score(float(adjusted_rand_index(published, given[known])), macro_f1(published, given[known]),
                 len(np.unique(given)))


def score_answer(path, truth):
    """One row per target and number of an answer; of several candidates, the best one by the labels."""
    labels, facts = read_answer(path)
    rows = {}
    for name, found in labels.items():
        target, number = name.split("/")[:2]
        row = score(truth[target], found)
        if (target, number) not in rows or row.ari > rows[target, number].ari:
            rows[target, number] = row
    return [{"target": target, "number": number, "ari": row.ari, "f1": row.f1, "found": row.found, **facts}
            for (target, number), row in rows.items()]


def summarise(rows):
    """Medians over the seeds of each method, column, target and number."""
    table = pd.DataFrame(rows)
    groups = table.groupby(KEYS, sort=False)
    return pd.DataFrame({
        "runs": groups.size(), "ari": groups["ari"].median(), "ari_low": groups["ari"].min(),
        "ari_high": groups["ari"].max(), "f1": groups["f1"].median(), "found": groups["found"].median(),
        "wanted": groups["wanted"].first(), "seconds": groups["seconds"].median(),
        "peak_mib": groups["peak_mib"].max()}).reset_index()


def with_remarks(table, remarks, columns):
    """The table with a column of remarks, and a row for each method and data set that was not run, with its reason.

    ``remarks`` has the columns ``method``, ``column`` and ``remark``; ``columns`` holds pairs of a column of data and a
    target. A method without a score and without a remark, or with both, is an error.
    """
    reasons = remarks.set_index(["method", "column"])["remark"]
    scored = set(table[table["number"] == "same"][KEYS[:3]].itertuples(index=False, name=None))
    rows = []
    for method in dict.fromkeys([*table["method"], *remarks["method"]]):
        for column, target in columns:
            if ((method, column) in reasons.index) == ((method, column, target) in scored):
                raise ValueError(f"{method} on {column}, {target}: expected either a score or a remark in not_run.csv.")
            if (method, column) in reasons.index:
                rows.append({"method": method, "column": column, "target": target, "number": "same", "runs": 0,
                             "remark": reasons[method, column]})
    return pd.concat([table.assign(remark=None), pd.DataFrame(rows, columns=[*table.columns, "remark"])],
                     ignore_index=True)


def as_markdown(table, columns, note):
    """Lines of the stored page: a row per method, with the index for each column of data; then the reasons."""
    same = table[table["number"] == "same"].set_index(["method", "column", "target"])
    yield f"# SpiceMix among other methods\n\n{note}\n"
    heads = [f"{column}, {target}" for column, target in columns]
    yield "| method | " + " | ".join(heads) + " |\n" + (len(heads) + 1) * "|-" + "|"
    for method in table["method"].unique():
        found = [same.loc[method, column, target] for column, target in columns]
        yield f"| {method} | " + " | ".join(
            f"{row['ari']:.2f} ({row['ari_low']:.2f} to {row['ari_high']:.2f})" if row["runs"] else "not run"
            for row in found) + " |"
    yield "\nNot run, or with fewer runs:\n"
    for (method, remark), rows in table[table["remark"].notna()].groupby(["method", "remark"], sort=False):
        yield f"- {method} on {', '.join(dict.fromkeys(rows['column']))}: {remark}"
    for (method, runs), rows in same.reset_index().query("0 < runs < 3").groupby(["method", "runs"], sort=False):
        yield f"- {method} on {', '.join(dict.fromkeys(rows['column']))}: {runs} of three seeds"
