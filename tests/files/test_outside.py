"""A file or folder that leads to other files is refused by every reader, and nothing of the others is read."""

import json
import os
import shutil
import socket

import h5py
import numpy as np
import platforms
import pytest
from models import small_adata, small_samples, stopped_fit, write_authors_result

from spicemix_core import SpiceMix, convert, read_data, tl
from spicemix_core.datasets import read_spicemix_result
from spicemix_core.exchange.conversion import write_data, write_text
from spicemix_core.runs.stored_tasks import run_stored

OPTIONS = dict(n_metagenes=3, random_state=0, max_iter=60, tol=0.5)
RESUMED = OPTIONS | dict(max_iter=5, tol=0.0)


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """A valid file or folder of each kind, and a file that must not be read."""
    folder = tmp_path_factory.mktemp("valid")
    adata = small_adata(n_cells=(12, 10))
    adata.obs["sample"], adata.obs["cell_type"] = adata.obs["slide"], "one"
    adata.obsm["spatial"] = np.random.default_rng(0).random((22, 2))
    write_data(adata, folder / "data.h5ad")
    write_data(adata, folder / "data.zarr")
    write_text(adata, folder / "text")
    SpiceMix(**OPTIONS).fit(adata).save(folder / "model.h5")
    write_authors_result(folder / "result.h5")
    stopped_fit(small_samples(), folder / "fit.checkpoint", 2, **RESUMED)
    (folder / "secret.bin").write_bytes(np.full(10_000, 7.25).tobytes())
    with h5py.File(folder / "secret.h5", "w") as file:
        file["secret"] = np.full((22, 30), 7.25)
    return folder


def external_storage(group, name, folder):
    shape, dtype = group[name].shape, group[name].dtype
    del group[name]
    group.create_dataset(name, shape, dtype, external=[(str(folder / "secret.bin"), 0, h5py.h5f.UNLIMITED)])


def external_link(group, name, folder):
    del group[name]
    group[name] = h5py.ExternalLink(str(folder / "secret.h5"), "/secret")


def virtual(group, name, folder):
    shape, dtype = group[name].shape, group[name].dtype
    del group[name]
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource(str(folder / "secret.h5"), "secret", shape)
    group.create_virtual_dataset(name, layout)


def growing(group, name, folder):
    """A virtual dataset as large as its source, which the HDF5 library opens to know the shape: here a pipe."""
    dtype = group[name].dtype
    del group[name]
    layout = h5py.VirtualLayout((1, 30), dtype, maxshape=(None, 30))
    source = h5py.VirtualSource(str(folder / "pipe"), "secret", (1, 30), maxshape=(None, 30))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    group.create_virtual_dataset(name, layout)


def soft_link(group, name, folder):
    group.move(name, "elsewhere")
    group[name] = h5py.SoftLink(f"{group.name.rstrip('/')}/elsewhere")


def resume(path):
    SpiceMix(**RESUMED).fit_arrays(*small_samples(), checkpoint=path)


@pytest.mark.parametrize("lead", [external_storage, external_link, virtual, growing, soft_link])
@pytest.mark.parametrize(("file", "place", "name", "read"), [
    ("data.h5ad", "/", "X", read_data),
    ("data.h5ad", "/obsm", "spatial", read_data),
    ("data.h5ad", "/", "X", lambda path: convert(path, path.with_name("out.zarr"))),
    ("model.h5", "/", "metagenes", SpiceMix.load),
    ("result.h5", "/parameters/M", "10", read_spicemix_result),
    ("result.h5", "/parameters/M", "10", lambda path: convert(path, path.with_name("out.h5"))),
    ("fit.checkpoint", "/", "metagenes", resume),
], ids=lambda value: value if isinstance(value, str) else "")
def test_hdf5_files_that_lead_to_other_files_are_refused(valid, tmp_path, file, place, name, read, lead):
    path = tmp_path / file
    shutil.copy(valid / file, path)
    for secret in ("secret.bin", "secret.h5"):
        shutil.copy(valid / secret, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(path, "r+") as content:
        lead(content[place], name, tmp_path)
    with pytest.raises(ValueError, match="leads to other") as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and "7.25" not in message
    assert not list(tmp_path.glob("out.*"))


def test_a_link_to_a_whole_file_can_be_given(valid, tmp_path):
    """The name that a user gives may be a link; what lies inside a file or folder may not."""
    for name, read in (("data.h5ad", read_data), ("data.zarr", read_data), ("text", read_data),
                       ("model.h5", SpiceMix.load)):
        (tmp_path / name).symlink_to(valid / name)
        read(tmp_path / name)


def link_to_file(path, folder):
    path.unlink()
    path.symlink_to(folder / "secret.bin")


def link_to_copy(path, folder):
    shutil.move(path, folder / "moved")
    path.symlink_to(folder / "moved")


def pipe(path, folder):
    path.unlink()
    os.mkfifo(path)


def device(path, folder):
    path.unlink()
    path.symlink_to("/dev/zero")


def unix_socket(path, folder):
    path.unlink()
    with socket.socket(socket.AF_UNIX) as end:
        before = os.getcwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            end.bind(path.name)
        finally:
            os.chdir(before)


@pytest.mark.parametrize("lead", [link_to_file, link_to_copy, pipe, device, unix_socket])
@pytest.mark.parametrize(("name", "part"), [
    ("data.zarr", "X/c/0/0"), ("data.zarr", "X/zarr.json"), ("data.zarr", "zarr.json"), ("data.zarr", "obs/zarr.json"),
    ("text", "expression_left.txt"), ("text", "genes_left.txt"), ("text", "neighborhood_left.txt"),
    ("text", "celltypes_left.txt"), ("text", "coordinates_left.txt"), ("text", "cells_left.txt"),
])
def test_folders_whose_files_are_links_or_no_files_are_refused(valid, tmp_path, name, part, lead):
    path = tmp_path / name
    shutil.copytree(valid / name, path)
    shutil.copy(valid / "secret.bin", tmp_path)
    assert (path / part).is_file()
    lead(path / part, tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match="which is never read") as caught:
        read_data(path)
    assert str(path / part) in str(caught.value)
    with pytest.raises((ValueError, FileNotFoundError), match="which is never read"):
        convert(path, tmp_path / "out.h5ad")
    assert not (tmp_path / "out.h5ad").exists()


@pytest.mark.parametrize("part", ["X", "obsm", "X/c"])
def test_folders_inside_a_store_that_are_links_are_refused(valid, tmp_path, part):
    path = tmp_path / "data.zarr"
    shutil.copytree(valid / "data.zarr", path)
    shutil.move(path / part, tmp_path / "elsewhere")
    (path / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"{part} is a symbolic link, which is never read"):
        read_data(path)


@pytest.mark.parametrize("write", [
    lambda folder: platforms.write_visium(folder, 2, "hdf5"),
    lambda folder: platforms.write_visium(folder, 1, "market"),
    platforms.write_xenium, platforms.write_cosmx, platforms.write_merscope,
    lambda folder: platforms.write_matrix_market(folder, platforms.tissue())])
def test_no_part_of_the_output_of_a_platform_may_be_a_link(tmp_path, write):
    """Every file and folder is moved away in turn, with a link in its place; those that are not read do not matter."""
    write(tmp_path / "written")
    n_refused, place = 0, tmp_path / "changed"
    for part in sorted(path.relative_to(tmp_path / "written") for path in (tmp_path / "written").rglob("*")):
        shutil.copytree(tmp_path / "written", place)
        link_to_copy(place / part, tmp_path)
        try:
            read_data(place)
        except ValueError as error:
            assert f"{place / part} is a symbolic link, which is never read" in str(error)
            n_refused += 1
        else:
            (place / part).unlink()
            read_data(place)
        shutil.rmtree(place)
        moved = tmp_path / "moved"
        shutil.rmtree(moved) if moved.is_dir() else moved.unlink()
    assert n_refused >= 2


def test_a_pipe_of_positions_is_refused(valid, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match=r"pipe\.csv is a pipe, a device or a socket, not a file"):
        read_data(valid / "data.h5ad", positions=tmp_path / "pipe.csv")


@pytest.mark.parametrize("read", [read_data, SpiceMix.load, read_spicemix_result, tl.read_gmt, resume,
                                  lambda path: tl.enrichment(small_adata(), path)])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_place_of_a_file_is_refused_and_nothing_waits(tmp_path, read, make):
    adata_path = tmp_path / "given"
    make(adata_path)
    if read.__name__ == "<lambda>":
        adata = small_adata()
        adata.varm["metagenes"] = np.full((adata.n_vars, 2), 1 / adata.n_vars)
        with pytest.raises(ValueError, match="is a pipe, a device or a socket, not a file"):
            tl.enrichment(adata, adata_path)
        return
    with pytest.raises(ValueError, match=r"given is .*a pipe, a device or a socket, not a file"):
        read(adata_path)


def test_results_of_earlier_runs_that_are_links_are_refused(tmp_path):
    tasks = {"one": (_task, (1,))}
    run_stored(tasks, tmp_path / "runs")
    [stored] = (tmp_path / "runs").glob("*.csv")
    link_to_copy(stored, tmp_path)
    with pytest.raises(ValueError, match="is a symbolic link, which is never read"):
        run_stored(tasks, tmp_path / "runs")


def _task(number):
    import pandas as pd

    return pd.DataFrame({"number": [number]})


# --- zarr metadata -------------------------------------------------------------------------------------------------


def change_metadata(path, change):
    """Change the metadata of the expression in a store, where they stand and where they are repeated."""
    own = json.loads((path / "X" / "zarr.json").read_text())
    root = json.loads((path / "zarr.json").read_text())
    change(own)
    change(root["consolidated_metadata"]["metadata"]["X"])
    (path / "X" / "zarr.json").write_text(json.dumps(own))
    (path / "zarr.json").write_text(json.dumps(root))


@pytest.fixture
def store(valid, tmp_path):
    shutil.copytree(valid / "data.zarr", tmp_path / "data.zarr")
    return tmp_path / "data.zarr"


@pytest.mark.parametrize("where", ["X/zarr.json", "zarr.json"])
def test_pickles_are_refused_however_their_name_is_spelt(store, where):
    def ask(metadata):
        metadata["codecs"] = [{"name": "numcodecs.pickle", "configuration": {"protocol": 5}}]

    change_metadata(store, ask)
    for name in ("X/zarr.json", "zarr.json"):
        text = (store / name).read_text()
        (store / name).write_text(text.replace("pickle", r"p\u0069ckle" if name == where else "bytes"))
    with pytest.raises(ValueError, match=f"{where} asks for pickled objects, which are never loaded"):
        read_data(store)


def test_a_column_may_be_called_pickle(tmp_path):
    adata = small_adata(n_cells=(12, 10))
    adata.obs["pickle"] = "gherkin"
    adata.uns["note"] = "pickle"
    write_data(adata, tmp_path / "data.zarr")
    assert (read_data(tmp_path / "data.zarr").obs["pickle"] == "gherkin").all()


def test_a_store_that_claims_millions_of_chunks_is_refused_at_once(store):
    def claim(metadata):
        metadata["shape"] = [2_000_000, 1]
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = [1, 1]

    change_metadata(store, claim)
    with pytest.raises(ValueError, match=r"X/zarr\.json|zarr\.json.* claims 2000000 chunks, but the store has"):
        read_data(store)


def test_a_store_that_claims_more_numbers_than_memory_is_refused(store):
    def claim(metadata):
        metadata["shape"] = [10**7, 10**6]
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = [10**7, 10**6]

    change_metadata(store, claim)
    with pytest.raises(ValueError, match="claims more numbers than the store can hold"):
        read_data(store)


@pytest.mark.parametrize("text", ["[]", "null", "{", "\xff", '{"shape": "x"}', '{"shape": [1e400, -3]}',
                                  '{"shape": [-5, 5], "chunk_grid": {"configuration": {"chunk_shape": [0, 0]}}}',
                                  '{"shape": [5], "chunks": 7}', "[" * 100_000])
def test_metadata_that_make_no_sense_are_refused_in_a_sentence(store, text):
    (store / "X" / "zarr.json").write_text(text, encoding="latin-1")
    (store / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": json.loads(
        (store / "zarr.json").read_text())["attributes"]}))
    with pytest.raises(ValueError) as caught:
        read_data(store)
    assert str(caught.value).startswith(str(store)) and "\n" not in str(caught.value)


def test_stores_of_the_second_version_are_checked_too(tmp_path):
    import anndata

    path = tmp_path / "old.zarr"
    with anndata.settings.override(zarr_write_format=2):
        small_adata(n_cells=(12, 10)).write_zarr(path)
    assert read_data(path).shape == (22, 30)
    metadata = json.loads((path / "X" / ".zarray").read_text())
    for change, sentence in (({"filters": [{"id": "p\u0069ckle"}]}, "asks for pickled objects"),
                             ({"shape": [2_000_000, 1], "chunks": [1, 1]}, "claims 2000000 chunks")):
        (path / "X" / ".zarray").write_text(json.dumps(metadata | change))
        with pytest.raises(ValueError, match=sentence):
            read_data(path)
