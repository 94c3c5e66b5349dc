"""The stored table of the comparison with other methods, and what follows from it.

`benchmarks/rivals/run.py --table` writes the table. A row is a method, a column of data, a target (``types`` or
``domains``) and a number of groups: ``same`` as the labels, or the method's ``own``. A row with a remark and without an
index says why a method was not run on these data.
"""

from pathlib import Path

import pandas as pd

OURS = "SpiceMix, 6 runs"
LEVEL = 0.05  # a smaller difference of adjusted Rand indices counts as level
IN_WORDS = {"cortex-0": "simulation 1", "cortex-1": "simulation 2", "cortex-2": "simulation 3",
            "cortex-3": "simulation 4", "synthetic_cortex": "authors' cortex", "synthetic_truth": "authors' truth",
            "seqfish_plus": "seqFISH+", "starmap": "STARmap", "visium_dlpfc": "Visium"}
MEASURED = ("seqfish_plus", "starmap", "visium_dlpfc")
NEEDED = ["method", "column", "target", "number", "ari", "ari_low", "ari_high", "f1", "found", "wanted", "seconds",
          "peak_mib", "runs", "date", "remark"]


def read_scores(path: str | Path) -> pd.DataFrame:
    """The stored table; an error names what it lacks.

    Every method must have, for every column of data and target, either an index with as many groups as the labels or a
    remark.
    """
    table = pd.read_csv(path)
    if absent := sorted(set(NEEDED) - set(table.columns)):
        raise ValueError(f"{path} lacks the columns {', '.join(absent)}. Write it again with "
                         "benchmarks/rivals/run.py --table.")
    said = table[table["number"].eq("same") & (table["ari"].notna() | table["remark"].notna())]
    pairs = table[["column", "target"]].drop_duplicates().itertuples(index=False, name=None)
    known = set(said[["method", "column", "target"]].itertuples(index=False, name=None))
    gaps = [f"{method} on {column}, {target}" for column, target in pairs for method in table["method"].unique()
            if (method, column, target) not in known]
    if gaps:
        raise ValueError(f"{path} has neither a score nor a remark of {'; '.join(gaps)}.")
    return table


def indices(table: pd.DataFrame, target: str, number: str = "same") -> pd.DataFrame:
    """Median adjusted Rand index: a row per method, a column per kind of data, in words."""
    rows = table[table["target"].eq(target) & table["number"].eq(number) & table["ari"].notna()]
    wide = rows.pivot(index="method", columns="column", values="ari")
    order = [column for column in IN_WORDS if column in wide]
    return wide.reindex(index=[m for m in table["method"].unique() if m in wide.index], columns=order).rename(
        columns=IN_WORDS)


def winners(wide: pd.DataFrame, without: str | tuple[str, ...] = "SpiceMix") -> pd.DataFrame:
    """For each kind of data: the best method, its index, ours, and the best method whose name does not begin with
    ``without``.

    ``verdict`` is "first" if ours is more than 0.05 above the best other method, "level" if it is within 0.05 of it,
    and "behind" otherwise.
    """
    others = wide[[not method.startswith(without) for method in wide.index]]
    found = pd.DataFrame({"best": wide.idxmax(), "highest": wide.max(), "ours": wide.loc[OURS],
                          "best other": others.idxmax(), "other": others.max()})
    difference = found["ours"] - found["other"]
    found["verdict"] = pd.cut(difference, [-2.0, -LEVEL, LEVEL, 2.0], labels=["behind", "level", "first"]).astype(str)
    return found


def listed(names) -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"; "none" without any."""
    names = list(names)
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"
