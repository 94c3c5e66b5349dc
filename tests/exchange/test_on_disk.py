"""AnnData whose expression stays in its file: what is written is what was read, in both formats."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from models import small_adata

from spicemix_core import read_data
from spicemix_core.exchange.conversion import write_data
from spicemix_core.exchange.on_disk import has_blocks
from spicemix_core.inputs import blocks


@pytest.fixture
def adata():
    adata = small_adata(n_cells=(30, 20), n_genes=6)
    adata.X = sp.csr_matrix(np.where(adata.X < 0.1, 0.0, adata.X).astype(np.float32))
    adata.raw = adata.copy()
    adata.raw.varm["loadings"] = np.arange(12.0).reshape(6, 2)
    adata.layers["dense"], adata.layers["by genes"] = adata.X.toarray(), adata.X.tocsc()
    adata.obsm["spatial"], adata.uns["note"] = np.random.default_rng(0).random((50, 2)), "kept"
    return adata


def dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


@pytest.mark.parametrize("source", ["source.h5ad", "source.zarr"])
@pytest.mark.parametrize("target", ["target.h5ad", "target.zarr"])
def test_everything_is_written_as_it_was_read(adata, tmp_path, monkeypatch, source, target):
    write_data(adata, tmp_path / source)
    there = read_data(tmp_path / source, backed=True)
    monkeypatch.setattr(blocks, "BYTES", int(7 * blocks.bytes_per_cell(there.X)) + 1)
    assert has_blocks(there) and blocks.is_in_blocks(there.X) and blocks.is_in_blocks(there.layers["dense"])
    there.obs["new"] = np.arange(50)
    write_data(there, tmp_path / target)
    found, expected = read_data(tmp_path / target), adata.copy()
    expected.obs["new"] = np.arange(50)
    assert found.obs.equals(expected.obs) and found.var.equals(expected.var) and found.uns == expected.uns
    for ours, given in ((found.X, adata.X), (found.raw.X, adata.raw.X), (found.obsm["spatial"], adata.obsm["spatial"]),
                        *((found.layers[name], layer) for name, layer in adata.layers.items()),
                        (found.obsp["spatial_connectivities"], adata.obsp["spatial_connectivities"]),
                        (found.raw.varm["loadings"], adata.raw.varm["loadings"])):
        assert getattr(ours, "format", None) == getattr(given, "format", None) and ours.dtype == given.dtype
        np.testing.assert_array_equal(dense(ours), dense(given))


def test_data_without_the_marks_of_recent_versions_are_read(adata, tmp_path):
    """Early versions of AnnData did not name the kinds of their parts."""
    path = tmp_path / "data.h5ad"
    write_data(adata, path)
    import h5py

    with h5py.File(path, "r+") as file:
        for name in list(file.attrs):
            del file.attrs[name]
    there = read_data(path, backed=True)
    assert isinstance(there, anndata.AnnData) and not blocks.is_in_blocks(there.X)
    np.testing.assert_array_equal(dense(there.X), dense(adata.X))


def test_a_compressed_file_is_read_because_it_is_unpacked_to_a_temporary_place(adata, tmp_path):
    import gzip

    write_data(adata, tmp_path / "data.h5ad")
    (tmp_path / "data.h5ad.gz").write_bytes(gzip.compress((tmp_path / "data.h5ad").read_bytes()))
    assert not has_blocks(read_data(tmp_path / "data.h5ad.gz", backed=True))
