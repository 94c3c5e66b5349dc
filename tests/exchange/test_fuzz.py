"""Randomly damaged files are read, or refused in one line and within seconds."""

import gzip
import shutil
import warnings
from pathlib import Path

import anndata
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import assert_same_model, small_adata, write_authors_result

from spicemix_core import SpiceMix, convert, read_data
from spicemix_core.datasets import read_spicemix_result
from spicemix_core.exchange.conversion import write_text

FIXTURES = Path(__file__).parents[1] / "fixtures"
some = settings(deadline=20_000, derandomize=True, max_examples=60, database=None,
                suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a valid file of each kind."""
    folder = tmp_path_factory.mktemp("valid")
    (folder / "data.h5ad").write_bytes(gzip.decompress((FIXTURES / "squidpy.h5ad.gz").read_bytes()))
    adata = small_adata(n_cells=(12, 10))
    adata.obs["sample"], adata.obs["cell_type"] = adata.obs["slide"], "one"
    adata.obsm["spatial"] = np.random.default_rng(0).random((22, 2))
    write_text(adata, folder / "text")
    adata.write_h5ad(folder / "small.h5ad")
    convert(folder / "small.h5ad", folder / "data.zarr")
    SpiceMix(3, max_iter=40, tol=1.0, random_state=0).fit(adata, "sample").save(folder / "model.h5")
    write_authors_result(folder / "result.h5")
    return folder


@st.composite
def damages(draw):
    """A function that damages bytes: it cuts them off, flips some bits, replaces a part, or replaces everything."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "flip", "replace", "foreign"]))
    places = draw(st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=4))
    new = draw(st.binary(min_size=1, max_size=64))

    def damage(whole):
        content, at = bytearray(whole), [int(place * len(whole)) for place in places]
        if kind == "cut":
            return bytes(content[: at[0]])
        if kind == "foreign":
            return new
        for i in at:
            if kind == "flip" and content:
                content[i] ^= 1 << new[0] % 8
            elif kind == "replace":
                content[i : i + len(new)] = new
        return bytes(content)
    return damage


def read_or_refuse(read, path):
    """What was read; None if it was refused by an error of the required form."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read(path)
        except (ValueError, FileNotFoundError, KeyError) as error:
            message = str(error.args[0])
            assert "\n" not in message and len(message.split()) >= 4, message
            assert str(path) in message or isinstance(error, KeyError) or "oordinates" in message, message
            return None


@pytest.mark.parametrize("name", ["data.h5ad", "small.h5ad"])
@some
@given(damage=damages())
def test_a_damaged_anndata_file_is_read_or_refused(folder, name, damage):
    path = folder / f"damaged_{name}"
    path.write_bytes(damage((folder / name).read_bytes()))
    adata = read_or_refuse(read_data, path)
    assert adata is None or (isinstance(adata, anndata.AnnData) and adata.n_obs > 0)


@some
@given(damage=damages())
def test_a_damaged_model_is_refused_or_loads_unchanged(folder, damage):
    path = folder / "damaged.h5"
    path.write_bytes(damage((folder / "model.h5").read_bytes()))
    model = read_or_refuse(SpiceMix.load, path)
    if model is not None:
        assert_same_model(model, SpiceMix.load(folder / "model.h5"))


@some
@given(damage=damages())
def test_a_damaged_result_is_read_or_refused(folder, damage):
    path = folder / "damaged_result.h5"
    path.write_bytes(damage((folder / "result.h5").read_bytes()))
    result = read_or_refuse(read_spicemix_result, path)
    assert result is None or result.metagenes.shape


@pytest.mark.parametrize("name", ["data.zarr", "text"])
@settings(some, max_examples=40)
@given(damage=damages(), which=st.floats(0.0, 1.0, exclude_max=True), gone=st.booleans())
def test_a_folder_with_a_damaged_or_missing_file_is_read_or_refused(folder, name, damage, which, gone):
    path = folder / f"damaged_{name}"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(folder / name, path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    chosen = files[int(which * len(files))]
    whole = chosen.read_bytes()
    chosen.unlink()
    if not gone:
        chosen.write_bytes(damage(whole))
    adata = read_or_refuse(read_data, path)
    assert adata is None or (isinstance(adata, anndata.AnnData) and adata.n_obs > 0)
