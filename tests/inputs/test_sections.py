"""Overlapping sections that are taken as one sample: a warning says so and names the remedy."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest

from spicemix_core import SpiceMix, prepare
from spicemix_core.inputs.graphs import delaunay_graph

LATTICE = np.array([(x + y % 2 / 2, y * 0.87) for y in range(12) for x in range(12)])


def section(places, slide, seed):
    rng = np.random.default_rng(seed)
    n = len(places)
    obs = pd.DataFrame({"tissue": "cortex", "slide": slide, "cell_type": rng.choice(["a", "b"], n),
                        "total": rng.integers(100, 999, n), "quality": rng.random(n)},
                       index=[f"{slide}-{i}" for i in range(n)])
    return anndata.AnnData(rng.random((n, 8)) + 0.1, obs=obs, obsm={"spatial": places})


def stacked(first=LATTICE, second=LATTICE):
    return anndata.concat([section(first, "one", 0), section(second, "two", 1)])


def messages(adata, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ready = prepare(adata, **options)
    return [str(w.message) for w in caught if w.filename == __file__], ready


def test_two_sections_on_one_lattice_give_a_warning_that_names_the_column():
    (message,), ready = messages(stacked())
    assert message.startswith("All cells are taken as one sample, but 100% of the cells have the position of another")
    assert message.endswith("If a column of obs names their samples, such as 'slide', give its name with sample_key.")
    slides = ready.obs["slide"].to_numpy()
    rows, columns = ready.obsp["spatial_connectivities"].nonzero()
    crossing = (slides[rows] != slides[columns]).mean()
    assert f"{crossing:.0%} of the edges join cells that differ in 'slide'" in message and crossing > 0.4


def test_with_the_sample_key_each_section_has_the_graph_of_its_own():
    found, ready = messages(stacked(), sample_key="slide")
    alone = prepare(section(LATTICE, "one", 0)).obsp["spatial_connectivities"]
    graph = ready.obsp["spatial_connectivities"]
    assert not found and graph.nnz == 2 * alone.nnz
    assert (graph[:144][:, :144] != alone).nnz == 0 and (graph[144:][:, 144:] != alone).nnz == 0


def test_sections_in_one_frame_give_a_warning_by_the_name_of_the_column():
    rng = np.random.default_rng(0)
    found, _ = messages(stacked(rng.random((150, 2)), rng.random((150, 2))))
    assert len(found) == 1 and "of the edges join cells that differ in 'slide'" in found[0]
    assert "position" not in found[0]


def test_a_graph_over_both_sections_gives_a_warning():
    adata = stacked()
    graph = prepare(adata.copy(), sample_key=None, graph="knn").obsp["spatial_connectivities"]
    adata.obsp["spatial_connectivities"] = graph
    assert len(messages(adata)[0]) == 1


def test_a_fit_to_data_that_were_not_prepared_gives_the_warning():
    adata = stacked()
    adata.obsp["spatial_connectivities"] = delaunay_graph(adata.obsm["spatial"])
    with pytest.warns(UserWarning, match="54% of the edges join cells that differ in 'slide'") as caught:
        SpiceMix(3, max_iter=2, tol=10.0, random_state=0).fit(adata)
    assert [w.filename for w in caught if "one sample" in str(w.message)] == [__file__]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SpiceMix(3, max_iter=2, tol=10.0, random_state=0).fit(prepare(adata))
    assert sum("one sample" in str(w.message) for w in caught) == 1  # by prepare, and not again


def test_cells_at_one_position_give_a_warning_without_a_column():
    spots = np.repeat(np.random.default_rng(0).random((60, 2)), 5, axis=0)
    adata = section(spots, "one", 0)
    assert messages(adata)[0] == ["All cells are taken as one sample, but 100% of the cells have the position of "
                                  "another cell. If they are of several sections, name these in a column of obs and "
                                  "give its name with sample_key."]


@pytest.mark.parametrize("adata", [section(LATTICE, "one", 0), stacked(LATTICE, LATTICE + 100.0)],
                         ids=["one section", "two sections side by side"])
def test_sections_that_do_not_overlap_give_no_warning(adata):
    assert not messages(adata)[0]
