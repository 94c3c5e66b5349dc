"""The panel of labelled data, and the scores of the benchmark of cell types."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def modules():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield
    for name in ("cell_types", "combination_rules", "labelled_panel"):
        sys.modules.pop(name, None)


def drawn():
    from labelled_panel import panel

    return [data for data in panel() if data.kind not in ("measured", "authors")]


def test_half_of_the_drawn_data_is_held_out_and_names_are_unique():
    data = drawn()
    assert len({d.name for d in data}) == len(data)
    assert 2 * sum(d.held_out for d in data) == len(data)
    assert sum(d.kind == "tissue" for d in data) >= 40


def test_tissues_have_4_to_12_types_some_of_them_rare():
    tissues = [d.load() for d in drawn() if d.kind == "tissue"][:12]
    shares = [a.obs["cell_type"].value_counts(normalize=True) for a in tissues]
    assert all(4 <= len(s) <= 12 for s in shares) and len({len(s) for s in shares}) >= 6
    assert np.mean([s.min() <= 0.03 for s in shares]) > 0.5
    assert all((a.obs["cell_type"].value_counts() >= 5).all() for a in tissues)


def test_a_data_set_is_drawn_by_its_name_alone():
    first, again = (next(d for d in drawn() if d.name == "counts-3").load() for _ in range(2))
    np.testing.assert_array_equal(first.X, again.X)


def test_macro_f1_is_the_mean_over_classes_of_five_cells_of_the_best_f1():
    from cell_types import macro_f1

    truth = ["a"] * 8 + ["b"] * 6 + ["few"] * 2
    labels = [0] * 6 + [1] * 2 + [1] * 6 + [2] * 2
    assert macro_f1(truth, labels) == pytest.approx((2 * 6 / (8 + 6) + 2 * 6 / (6 + 8)) / 2)


def test_every_way_finds_separate_types():
    from combination_rules import WAYS

    from spicemix_core.tl.matching import adjusted_rand_index

    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(6), 30)
    centres = 4.0 * rng.gamma(0.5, size=(6, 8))
    runs = [centres[kind] + 0.05 * rng.random((180, 8)) for _ in range(4)]
    for name, way in WAYS.items():
        assert adjusted_rand_index(way(runs), kind) > 0.9, name
