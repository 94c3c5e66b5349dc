"""Compressed files are read, or refused with the name of what they need."""

import gzip
import importlib.util
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from models import small_adata

from spicemix_core import convert, read_data

ZSTD = Path(__file__).parents[1] / "fixtures" / "zstd.h5ad.gz"  # X[i, j] is i + 2 j


@pytest.fixture
def adata():
    return small_adata(n_cells=(12, 10))


def test_gzip_and_zip_are_recognised_by_their_first_bytes(adata, tmp_path):
    plain = tmp_path / "plain.h5ad"
    adata.write_h5ad(plain)
    convert(plain, tmp_path / "plain.zarr")
    for name in ("a.h5ad.gz", "misnamed.h5ad"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
        np.testing.assert_array_equal(read_data(tmp_path / name).X, adata.X)
    shutil.make_archive(tmp_path / "inside.zarr", "zip", tmp_path / "plain.zarr")
    shutil.make_archive(tmp_path / "folder.zarr", "zip", tmp_path, "plain.zarr")
    shutil.make_archive(tmp_path / "file", "zip", tmp_path, "plain.h5ad")
    for name in ("inside.zarr.zip", "folder.zarr.zip", "file.zip"):
        np.testing.assert_array_equal(read_data(tmp_path / name).X, adata.X)


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("outs/empty"))
    return file.getvalue()


@pytest.mark.parametrize(("content", "sentence"), [
    (gzip.compress(b"not this"), " is not an HDF5 file or is truncated"),
    (gzip.compress(bytes(10_000))[:20], " is a damaged compressed file"),
    (b"PK\x03\x04 and no more", " is a damaged compressed file"),
    (tar(), " is an archive of tar; unpack it"),
], ids=["text", "cut short", "zip", "tar"])
def test_a_compressed_file_without_data_is_refused_by_its_own_name(tmp_path, content, sentence):
    path = tmp_path / "data.h5ad"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_data(path)
    assert str(caught.value).startswith(f"{path}{sentence}") and "\n" not in str(caught.value)


def test_a_filter_of_hdf5_is_loaded_or_named_with_its_remedy():
    if importlib.util.find_spec("hdf5plugin"):
        np.testing.assert_array_equal(read_data(ZSTD).X, np.arange(60)[:, None] + 2.0 * np.arange(40))
        return
    with pytest.raises(ValueError, match=r"zstd\.h5ad\.gz is compressed with the filter zstd of HDF5, which needs the "
                                         r"package hdf5plugin\. Install it"):
        read_data(ZSTD)


