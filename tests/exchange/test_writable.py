"""What cannot be written is found before the work; what can be written is written and read back."""

import anndata
import numpy as np
import pandas as pd
import pytest
from models import small_adata

from spicemix_core import convert, read_data
from spicemix_core.exchange.conversion import write_data
from spicemix_core.exchange.writable import check_writable


@pytest.fixture
def adata():
    return small_adata(n_cells=(12, 10))


def nullable(adata):
    adata.obs["note"] = pd.array(["x", pd.NA] * 11, dtype="string")
    adata.obs["barcode"] = pd.array([f"b{i}" for i in range(22)], dtype="string")
    adata.obs["flag"], adata.obs["n"] = pd.array([True, None] * 11, dtype="boolean"), pd.array([1, None] * 11, "Int64")
    adata.obs.index, adata.var.index = adata.obs_names.astype("string"), adata.var_names.astype("string")
    adata.uns["table"] = pd.DataFrame({"a": pd.array(["x", pd.NA], dtype="string")})


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_nullable_columns_are_read_written_and_read_with_the_same_values(adata, tmp_path, form):
    nullable(adata)
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(tmp_path / "source.h5ad")
    convert(tmp_path / "source.h5ad", tmp_path / f"target.{form}")
    read = read_data(tmp_path / f"target.{form}")
    for key in ("note", "barcode", "flag", "n"):
        missing = adata.obs[key].isna().to_numpy()
        np.testing.assert_array_equal(read.obs[key].isna(), missing)
        assert list(read.obs[key][~missing].astype(str)) == list(adata.obs[key][~missing].astype(str)), key
    assert list(read.obs_names) == list(adata.obs_names) and read.obs_names.dtype == object
    assert not [kind for kind in read.obs.dtypes if isinstance(kind, pd.StringDtype)]
    del read.uns["table"]
    read.write_h5ad(tmp_path / "plain.h5ad")  # without any setting of anndata
    nullable(adata)
    write_data(adata, tmp_path / f"direct.{form}")
    assert list(read_data(tmp_path / f"direct.{form}").obs["note"].dropna()) == ["x"] * 11


@pytest.mark.parametrize(("change", "target", "sentence"), [
    (lambda a: a.obs.__setitem__("mixed", [1, "one"] * 11), "x.h5ad",
     "The column 'mixed' of obs cannot be written to x.h5ad (Can't implicitly convert non-string objects to strings). "
     "Remove it, or convert it to numbers or text."),
    (lambda a: a.uns.__setitem__("model", object()), "x.zarr", "uns['model'] cannot be written to x.zarr ("),
    (lambda a: a.obsm.__setitem__("a/b", np.ones((22, 2))), "x.zarr",
     "obsm['a/b'] cannot be written to x.zarr: its name contains a slash. Rename it."),
    (lambda a: a.var.__setitem__("G1/S", 1.0), "x.zarr",
     "The column 'G1/S' of var cannot be written to x.zarr: its name contains a slash. Rename it."),
])
def test_what_cannot_be_written_is_named_and_nothing_is_written(adata, tmp_path, monkeypatch, change, target, sentence):
    monkeypatch.chdir(tmp_path)
    check_writable(adata, target)
    change(adata)
    for check in (check_writable, write_data):
        with pytest.raises(ValueError) as caught:
            check(adata, target)
        assert str(caught.value).startswith(sentence) and not list(tmp_path.iterdir())
