"""Compressed files are read, or refused with the name of what they need."""

import gzip
import importlib.util
import io
import shutil
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import platforms
import pytest
from models import small_adata

from spicemix_core import convert, read_data
from spicemix_core.exchange import packed

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




def zipped(name, content):
    """A zip file with one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


ZEROS = bytes(3 * 10**6)
BOMB = gzip.compress(ZEROS)  # about a thousand times smaller
BOMBS = {"data.h5ad.gz": BOMB, "data.h5ad": BOMB, "counts.csv.gz": BOMB, "data.zip": zipped("data.h5ad", ZEROS),
         "lying.gz": BOMB[:-4] + b"\0\0\0\1", "two parts.gz": gzip.compress(b"1,2") + BOMB}


@pytest.fixture
def small_limit(monkeypatch, tmp_path):
    """A limit of 100,000 bytes, and the folder in which files are unpacked."""
    monkeypatch.setattr("spicemix_core.exchange.packed.BYTES", 10**5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "unpacked"))
    (tmp_path / "unpacked").mkdir()
    return tmp_path / "unpacked"


def assert_refused(read, path, unpacked):
    peak = []
    check = packed._check_size

    def watched(path, n_bytes):
        peak.append(sum(file.stat().st_size for file in unpacked.rglob("*") if file.is_file()))
        check(path, n_bytes)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError) as caught:
        patch.setattr(packed, "_check_size", watched)
        read()
    assert str(caught.value).startswith(f"{path} unpacks to more than 200 times its size, which expression data never")
    assert max(peak) <= 10**5 and not [*unpacked.iterdir()]


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_an_enormous_one_is_refused_before_it_fills_the_disk(tmp_path, small_limit, name):
    path = tmp_path / name
    path.write_bytes(BOMBS[name])
    assert_refused(lambda: read_data(path), path, small_limit)


@pytest.mark.parametrize("name", ["matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz"])
@pytest.mark.parametrize("give", ["folder", "file"])
def test_no_file_of_a_folder_of_10x_genomics_may_unpack_to_an_enormous_one(tmp_path, small_limit, name, give):
    folder = tmp_path / "given"
    folder.mkdir()
    platforms.write_matrix_market(folder, platforms.tissue())
    for part in ("features.tsv", "barcodes.tsv"):
        if (folder / part).exists():
            (folder / f"{part}.gz").write_bytes(gzip.compress((folder / part).read_bytes()))
            (folder / part).unlink()
    given = folder if give == "folder" else folder / "matrix.mtx.gz"
    assert read_data(given).n_obs
    (folder / name).write_bytes(BOMB)
    assert_refused(lambda: read_data(given), folder / name, small_limit)


@pytest.mark.parametrize("name", ["positions.csv.gz", "positions.zip"])
def test_positions_that_unpack_to_an_enormous_file_are_refused(adata, tmp_path, small_limit, name):
    adata.write_h5ad(tmp_path / "data.h5ad")
    path = tmp_path / name
    path.write_bytes(zipped("positions.csv", ZEROS) if name.endswith("zip") else BOMB)
    assert_refused(lambda: read_data(tmp_path / "data.h5ad", positions=path), path, small_limit)


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: zipped("counts.csv", text)], ids=["gzip", "zip"])
def test_data_with_few_counts_may_be_much_smaller_when_compressed(tmp_path, small_limit, pack):
    """A table with 99 % zeros, ten times as large as the limit for any file."""
    counts = np.zeros((500, 1000), dtype=int)
    counts[np.random.default_rng(0).random(counts.shape) < 0.01] = 1
    rows = "".join(f"c{i},{','.join(map(str, row))}\n" for i, row in enumerate(counts))
    text = (",".join(["", *(f"g{g}" for g in range(1000))]) + "\n" + rows).encode()
    path = tmp_path / "counts.csv.gz"
    path.write_bytes(pack(text))
    assert len(text) > 10**6 > 50 * path.stat().st_size
    np.testing.assert_array_equal(read_data(path).X.toarray(), counts)


@pytest.mark.parametrize("name", ["../data.h5ad", "{absolute}/data.h5ad", "a/../../../data.h5ad"])
def test_a_zip_file_writes_nothing_outside_its_temporary_folder(adata, tmp_path, small_limit, name):
    """Names that lead out of the folder lose what leads out; the content is read."""
    adata.write_h5ad(tmp_path / "plain.h5ad")
    path = tmp_path / "data.zip"
    path.write_bytes(zipped(name.format(absolute=tmp_path), (tmp_path / "plain.h5ad").read_bytes()))
    before = {*tmp_path.rglob("*")}
    np.testing.assert_array_equal(read_data(path).X, adata.X)
    assert {*tmp_path.rglob("*")} == before


def test_a_symbolic_link_in_a_zip_file_leads_nowhere(adata, tmp_path):
    store = tmp_path / "data.zarr"
    adata.write_h5ad(tmp_path / "plain.h5ad")
    convert(tmp_path / "plain.h5ad", store)
    chunk = next(path for path in (store / "X" / "c").rglob("*") if path.is_file())
    link = zipfile.ZipInfo(chunk.relative_to(store).as_posix())
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "linked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in store.rglob("*"):
            if file.is_file() and file != chunk:
                archive.write(file, file.relative_to(store))
        archive.writestr(link, str(chunk))
    with pytest.raises(ValueError, match=r"linked\.zip"):  # the name of the other file is not a chunk of numbers
        read_data(path)
