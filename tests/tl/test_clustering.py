"""Normalisation, Ward's tree, and the clusters of the highest Calinski-Harabasz index."""

import h5py
import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from sklearn.metrics import adjusted_rand_score, calinski_harabasz_score

from spicemix_core.baselines import cluster_by_index
from spicemix_core.tl import cut_tree, normalize_states
from spicemix_core.tl.normalization import NORMALIZATIONS
from spicemix_core.tl.trees import calinski_harabasz_curve, ward_tree


def blobs(sizes, n_dimensions=4, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    centres = 3 * np.eye(len(sizes), n_dimensions) + 1
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return centres[truth] + spread * rng.random((len(truth), n_dimensions)), truth


def test_zscore_has_mean_zero_and_spread_one_and_keeps_constant_columns_at_zero():
    states = np.random.default_rng(0).gamma(2, size=(50, 4))
    states[:, 2] = 0.1  # its floating-point standard deviation is not zero
    scores = normalize_states(states, "zscore")
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scores.std(axis=0), [1, 1, 0, 1], atol=1e-12)
    np.testing.assert_array_equal(scores[:, 2], 0)


def test_proportions_sum_to_one_and_empty_cells_stay_zero():
    states = np.random.default_rng(0).gamma(2, size=(20, 3))
    states[4] = 0
    proportions = normalize_states(states, "proportions")
    np.testing.assert_allclose(np.delete(proportions.sum(axis=1), 4), 1)
    np.testing.assert_array_equal(proportions[4], 0)


def test_zscored_proportions_are_the_zscore_of_the_proportions_and_ignore_cell_size():
    rng = np.random.default_rng(1)
    states = rng.gamma(2, size=(30, 3))
    scores = normalize_states(states, "zscore_proportions")
    np.testing.assert_allclose(scores, normalize_states(normalize_states(states, "proportions"), "zscore"))
    resized = states * rng.gamma(5, size=(30, 1))
    np.testing.assert_allclose(scores, normalize_states(resized, "zscore_proportions"))


def test_a_metagene_of_one_cell_does_not_separate_that_cell_from_all_others():
    rng = np.random.default_rng(3)
    states = np.column_stack([rng.dirichlet([8.0, 1.0], size=200) * 5, np.zeros(200)])
    states[0] = [0.0, 0.0, 1.0]
    plain = normalize_states(states, "zscore")
    assert plain[0, 2] > 14.0
    assert np.abs(normalize_states(states, "zscore_proportions")).max() == 5.0
    np.testing.assert_array_equal(normalize_states(states, "clipped_zscore"), np.clip(plain, -5.0, 5.0))


def test_no_normalisation_copies_and_nothing_changes_the_input():
    states = np.random.default_rng(0).random((10, 3))
    before = states.copy()
    for method in NORMALIZATIONS:
        normalize_states(states, method)[:] = -1
    np.testing.assert_array_equal(states, before)


@pytest.mark.parametrize(("states", "method", "message"), [
    (np.ones((3, 2)), "l2", "method must be .* or 'none', not 'l2'"),
    (np.ones(3), "zscore", "shape"),
    (np.array([[1.0, 2], [np.nan, 1]]), "none", "row 1"),
    (np.array([[1.0, -2], [3, 1]]), "proportions", "negative"),
])
def test_bad_states_are_refused(states, method, message):
    with pytest.raises(ValueError, match=message):
        normalize_states(states, method)


@pytest.mark.parametrize("seed", range(3))
def test_index_read_off_the_tree_is_that_of_every_cut(seed):
    states = np.random.default_rng(seed).gamma(1, size=(120, 5))
    tree = ward_tree(states)
    curve = calinski_harabasz_curve(tree, range(2, 60))
    cuts = [calinski_harabasz_score(states, fcluster(tree, k, "maxclust")) for k in curve.index]
    np.testing.assert_allclose(curve, cuts, rtol=1e-9)


def test_cut_equals_scipys_without_ties_and_labels_are_ordered_by_size():
    states = np.random.default_rng(3).random((90, 4))
    tree = ward_tree(states)
    for k in (1, 2, 7, 30, 90):
        labels = cut_tree(tree, k)
        assert adjusted_rand_score(labels, fcluster(tree, k, "maxclust")) == 1
        sizes = np.bincount(labels)
        assert len(sizes) == k
        assert (np.diff(sizes) <= 0).all()


def test_cut_gives_the_number_asked_for_among_equal_cells():
    states = np.repeat(np.eye(3), 5, axis=0)
    for k in range(1, 16):
        assert len(np.unique(cut_tree(ward_tree(states), k))) == k


def test_index_finds_planted_clusters_and_their_number():
    states, truth = blobs([40, 30, 50, 20, 60, 25, 35], n_dimensions=7)
    order = np.random.default_rng(0).permutation(len(truth))
    found = cluster_by_index(states[order], n_clusters_range=(2, 20))
    assert found.n_clusters == 7 == found.calinski_harabasz.idxmax()
    assert adjusted_rand_score(truth[order], found.labels) == 1
    assert list(found.calinski_harabasz.index) == list(range(2, 21))
    np.testing.assert_array_equal(np.bincount(found.labels), [60, 50, 40, 35, 30, 25, 20])


def test_number_of_clusters_can_be_given_to_the_index():
    states, truth = blobs([30, 20, 10], n_dimensions=3)
    found = cluster_by_index(states, n_clusters=3, normalization="none")
    np.testing.assert_array_equal(found.labels, truth)


def test_numbers_of_clusters_that_the_index_cannot_have_are_refused():
    states, _ = blobs([10, 10])
    for numbers in ([20], [1, 2], []):
        with pytest.raises(ValueError, match="Choose from 2 to 19 clusters"):
            calinski_harabasz_curve(ward_tree(states), numbers)
    with pytest.raises(ValueError, match="20 cells into 20 clusters is impossible"):
        cluster_by_index(states, n_clusters=20)
    assert cluster_by_index(states).calinski_harabasz.index.max() == 19
    with pytest.raises(ValueError, match="same state"):
        calinski_harabasz_curve(ward_tree(np.ones((10, 2))), [2])
    with pytest.raises(ValueError, match="at least two cells"):
        ward_tree(np.ones((1, 2)))


def test_authors_stored_nmf_gives_their_five_clusters(real_data):
    """Gold value G1: NMF states of the simulated cortex, fields 0-3, as in the authors' tutorial."""
    folder = real_data / "synthetic_cortex"
    states, truth = [], []
    with h5py.File(folder / "results" / "NMF_nFOVs4_K10_rs4_NMF.h5") as stored:
        for field in range(4):
            expression = np.loadtxt(folder / "files" / f"expression_{field}.txt")
            scaling = 10 / expression.sum(axis=1).mean()
            states.append(stored[f"latent_states/XT/{field}/100"][:] / scaling)
            truth += (folder / "files" / f"celltypes_{field}.txt").read_text().split()
    found = cluster_by_index(np.concatenate(states))
    assert found.n_clusters == 5
    assert adjusted_rand_score(truth, found.labels) == pytest.approx(0.5812, abs=5e-5)
