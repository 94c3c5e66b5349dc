"""The comparison with other methods: the stored table is complete, and sentences and figures follow from it."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from paper.methods_compared import figures, stored

STORED = Path(__file__).parents[2] / "benchmarks/results/rivals.csv"


def rows(scores, target="types"):
    """A table with these indices by method and column."""
    return pd.DataFrame([
        {"method": method, "column": column, "target": target, "number": "same", "ari": ari, "ari_low": ari - 0.1,
         "ari_high": ari + 0.1, "f1": ari, "found": 4, "wanted": 4, "seconds": 1.0, "peak_mib": 100.0, "runs": 3,
         "date": "2020-01-01", "remark": "too slow" if np.isnan(ari) else None}
        for method, columns in scores.items() for column, ari in columns.items()])


@pytest.fixture
def invented():
    return rows({stored.OURS: {"starmap": 0.5, "cortex-0": 0.9, "seqfish_plus": 0.3},
                 "SpiceMix, one fit": {"starmap": 0.6, "cortex-0": 0.95, "seqfish_plus": 0.3},
                 "NMF": {"starmap": 0.53, "cortex-0": 0.7, "seqfish_plus": 0.5},
                 "BANKSY 0.2": {"starmap": 0.4, "cortex-0": 0.3, "seqfish_plus": np.nan}})


def test_the_stored_table_is_complete():
    table = stored.read_scores(STORED)
    pairs = set(table[["column", "target"]].itertuples(index=False, name=None))
    assert pairs == {*((f"cortex-{i}", target) for i in range(4) for target in ("types", "domains")),
                     *((name, "types") for name in ("seqfish_plus", "starmap", "synthetic_cortex", "synthetic_truth")),
                     ("starmap", "domains"), ("visium_dlpfc", "domains")}
    scored = table[table["number"].eq("same") & table["ari"].notna()]
    complete = scored.groupby("method").size()
    others = complete[~complete.index.str.startswith("SpiceMix")]
    assert (others == len(pairs)).sum() >= 6 and complete[stored.OURS] == len(pairs)
    assert scored["ari"].between(-0.5, 1.0).all() and scored["f1"].between(0.0, 1.0).all()
    assert (scored["ari_low"] <= scored["ari"]).all() and (scored["ari"] <= scored["ari_high"]).all()
    assert (scored[["seconds", "peak_mib", "runs"]] > 0).all(axis=None)
    assert not scored.duplicated(["method", "column", "target"]).any()
    assert set(table["column"]) <= set(stored.IN_WORDS)


def test_a_table_with_a_gap_is_refused(invented, tmp_path):
    path = tmp_path / "rivals.csv"
    invented.to_csv(path, index=False)
    assert len(stored.read_scores(path)) == 12
    invented.drop(index=3).to_csv(path, index=False)
    with pytest.raises(ValueError, match="SpiceMix, one fit on starmap, types"):
        stored.read_scores(path)
    invented.drop(columns="f1").to_csv(path, index=False)
    with pytest.raises(ValueError, match="lacks the columns f1"):
        stored.read_scores(path)


def test_verdicts_compare_with_the_best_other_method(invented):
    wide = stored.indices(invented, "types")
    assert list(wide.columns) == ["simulation 1", "seqFISH+", "STARmap"] and list(wide.index)[:1] == [stored.OURS]
    found = stored.winners(wide)
    assert found["verdict"].to_dict() == {"simulation 1": "first", "seqFISH+": "behind", "STARmap": "level"}
    assert found.loc["STARmap", ["best", "best other"]].tolist() == ["SpiceMix, one fit", "NMF"]
    assert found.loc["seqFISH+", "other"] == 0.5


def test_a_figure_has_a_panel_for_each_kind_of_data_and_says_what_was_not_run(invented):
    figure = figures.draw_scores(invented, "types", ["cortex-0", "seqfish_plus", "starmap"], width=2)
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in shown] == ["simulation 1", "seqFISH+", "STARmap"]
    assert [text.get_text() for ax in shown for text in ax.texts] == ["not run"]
    ranges = [line for line in shown[0].lines if len(line.get_xdata()) == 2]
    assert np.allclose([line.get_xdata() for line in ranges], [[0.8, 1.0], [0.85, 1.05], [0.6, 0.8], [0.2, 0.4]])
    assert [label.get_text() for label in shown[0].get_yticklabels()] == list(dict.fromkeys(invented["method"]))
    plt.close(figure)


@pytest.mark.parametrize(("names", "text"), [([], "none"), (["a"], "a"), (["a", "b"], "a and b"),
                                             (["a", "b", "c"], "a, b and c")])
def test_names_are_listed_as_in_a_sentence(names, text):
    assert stored.listed(names) == text
