"""Positions in another key of obsm or in columns of obs; data that are not in memory."""

import anndata
import numpy as np
import pandas as pd
import platforms
import pytest

from spicemix_core import SpiceMix, prepare
from spicemix_core.inputs.loading import loaded


@pytest.fixture
def adata():
    return platforms.tissue()


@pytest.mark.parametrize(("place", "key"), [
    (lambda a, xy: a.obsm.__setitem__("X_spatial", xy), "X_spatial"),
    (lambda a, xy: a.obsm.__setitem__("um", pd.DataFrame(xy, a.obs_names, ["x", "y"]).astype(str)), "um"),
    (lambda a, xy: setattr(a, "obs", a.obs.assign(x_centroid=xy[:, 0], y_centroid=xy[:, 1])), "x_centroid,y_centroid"),
    (lambda a, xy: setattr(a, "obs", a.obs.assign(x=xy[:, 0], y=xy[:, 1].astype(str))), ("x", "y"))],
    ids=["obsm", "text in obsm", "obs", "text in obs"])
def test_positions_are_taken_from_the_place_that_is_named(adata, place, key):
    expected = prepare(adata, normalize=True)
    xy = adata.obsm.pop("spatial")
    place(adata, xy)
    ready = prepare(adata, normalize=True, spatial_key=key)
    np.testing.assert_allclose(ready.obsm["spatial"], xy)
    assert (ready.obsp["spatial_connectivities"] != expected.obsp["spatial_connectivities"]).nnz == 0
    assert "spatial" not in adata.obsm
    assert prepare(adata, normalize=True, spatial_key=key, copy=False) is None
    np.testing.assert_allclose(adata.obsm["spatial"], xy)


def test_without_positions_the_places_that_may_hold_them_are_named(adata):
    xy = adata.obsm.pop("spatial")
    with pytest.raises(KeyError, match=r"There are no coordinates 'spatial' in obsm\. Put the positions of the cells"):
        prepare(adata, normalize=True)
    adata.obs["x_centroid"], adata.obs["y_centroid"] = xy.T
    with pytest.raises(KeyError, match=r"Positions may be in the columns 'x_centroid' and 'y_centroid' of obs: name "
                                       r"them with spatial_key, for instance x_centroid,y_centroid, or pass graph=N"):
        prepare(adata, normalize=True)
    adata.obsm["X_spatial"], adata.obsm["X_umap"], adata.obsm["X_pca"] = xy, xy, np.ones((120, 50))
    with pytest.raises(KeyError, match=r"may be in obsm\['X_spatial'\] or the columns .*, for instance X_spatial, or"):
        prepare(adata, normalize=True)


@pytest.mark.parametrize(("key", "sentence"), [
    ("a,b,c,d", "spatial_key names 4 columns of obs, but positions have two or three coordinates."),
    ("x,nothing", "There is no column 'nothing' of positions in obs."),
    ("x,word", "The columns 'x' and 'word' of obs must hold numbers.")])
def test_columns_that_hold_no_positions_are_refused(adata, key, sentence):
    adata.obs["x"], adata.obs["word"] = 1.0, "far"
    with pytest.raises((ValueError, KeyError)) as caught:
        prepare(adata, normalize=True, spatial_key=key)
    assert sentence in str(caught.value)


def stored(adata, folder):
    """The data, backed by a file and with chunks of Dask; lazily opened where xarray is installed."""
    import dask.array

    adata.write_h5ad(folder / "data.h5ad")
    adata.write_zarr(folder / "data.zarr")
    chunked = adata.copy()
    chunked.X = dask.array.from_array(adata.X.toarray(), chunks=(50, 30))
    yield anndata.read_h5ad(folder / "data.h5ad", backed="r")
    yield chunked
    try:
        yield anndata.experimental.read_lazy(folder / "data.zarr")
    except ImportError:
        return


def test_data_that_are_not_in_memory_give_the_same_fit(adata, tmp_path):
    adata.obs["sample"] = ["a"] * 60 + ["b"] * 60
    expected = SpiceMix(3, max_iter=3, tol=1.0, random_state=0).fit(
        prepare(adata, sample_key="sample", normalize=True), "sample")
    for data in stored(adata, tmp_path):
        ready = prepare(data, sample_key="sample", normalize=True)
        model = SpiceMix(3, max_iter=3, tol=1.0, random_state=0).fit(ready, "sample")
        np.testing.assert_allclose(model.metagenes_, expected.metagenes_, atol=1e-12)
    for data in stored(prepare(adata, sample_key="sample", normalize=True), tmp_path):
        model = SpiceMix(3, max_iter=3, tol=1.0, random_state=0).fit(data, "sample")
        np.testing.assert_allclose(model.metagenes_, expected.metagenes_, atol=1e-12)
        np.testing.assert_allclose(data.obsm["X_spicemix"], np.concatenate(model.latent_states_))


def test_a_backed_object_is_not_changed_in_place(adata, tmp_path):
    adata.write_h5ad(tmp_path / "data.h5ad")
    with pytest.raises(ValueError, match=r"The data are not in memory, so they cannot be changed in place\. Leave out"):
        prepare(anndata.read_h5ad(tmp_path / "data.h5ad", backed="r"), normalize=True, copy=False)


def test_arrays_in_memory_are_not_copied():
    array = np.ones(3)
    assert loaded(array) is array
