"""Measured and simulated data: known facts, equal layouts, checksums, downloads and errors."""

import copy
import hashlib
import shutil
import socket
import threading
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spicemix_core import datasets
from spicemix_core.datasets import gene_sets, registry, seqfish_plus, starmap
from spicemix_core.datasets import synthetic as authors
from spicemix_core.inputs.graphs import delaunay_graph

STARMAP_CLASSES = {"HPC": 83, "eL2/3": 116, "eL4": 138, "eL5": 41, "eL6-1": 28, "eL6-2": 104, "Smc": 32, "Astro-1": 54,
                   "Astro-2": 74, "Oligo": 124, "Micro": 17, "Endo": 48, "VIP": 16, "PVALB": 30, "SST": 10, "Reln": 15}
LOADERS = {"seqfish_plus": datasets.load_seqfish_plus, "starmap": datasets.load_starmap,
           "synthetic_cortex": datasets.load_synthetic_cortex, "synthetic_truth": datasets.load_synthetic_truth}


@pytest.fixture(scope="module")
def loaded(real_data):
    return {name: load(download=False) for name, load in LOADERS.items()}


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A machine that has no data: both folders searched are empty."""
    folders = [tmp_path / "own", tmp_path / "cache"]
    monkeypatch.setattr(registry, "search_path", lambda: folders)
    monkeypatch.setenv("SPICEMIX_OFFLINE", "1")
    return folders


@pytest.fixture
def server(tmp_path):
    """A web server on this machine; returns its folder, its address and the paths that were asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as httpd:
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}", asked
        httpd.shutdown()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def degrees(adata, sample=None):
    rows = slice(None) if sample is None else (adata.obs["sample"] == sample).to_numpy()
    return np.asarray(adata.obsp["spatial_connectivities"][rows].sum(axis=1)).ravel()


def register(monkeypatch, **facts):
    """Put a made-up data set "toy" of the files given by name and content into the registry."""
    files = {name: {"sha256": sha256(content), "bytes": len(content)} for name, content in facts["files"].items()}
    toy = {"title": "toy", "measured": True, "citation": "", "licence": "", "origin": "the author", "found": "",
           "layouts": {"original": {"folder": "toy", "files": files}}, "downloads": facts.get("downloads", [])}
    monkeypatch.setattr(registry, "read_registry", lambda: {"toy": toy})


# --- facts of the data -----------------------------------------------------------------------------------------------


def test_seqfish_plus_is_the_paper_s_matrix(loaded):
    adata = loaded["seqfish_plus"]
    assert adata.shape == (523, 2470)
    assert adata.obs["sample"].value_counts(sort=False).to_dict() == {"0": 118, "1": 108, "2": 90, "3": 106, "4": 101}
    mean_degrees = [round(degrees(adata, field).mean(), 1) for field in "01234"]
    assert mean_degrees == [5.2, 5.0, 4.9, 5.1, 5.1]
    assert [(degrees(adata, field) == 0).sum() for field in "01234"] == [1, 0, 0, 0, 0]
    assert "Mog" in adata.var_names and not adata.var_names.isin(["Cspg4", "Flt1", "Bgn", "Ctgf", "Col6a1"]).any()
    assert adata.obs["cell_type"].value_counts()["Excitatory layer II"] == 55
    assert (adata.obs["coarse_type"] == "Oligodendrocyte").sum() == 16 + 13


def test_seqfish_plus_markers_outside_the_model_are_reachable(loaded):
    every = datasets.load_seqfish_plus(genes="all", download=False)
    assert every.shape == (523, 10_000)
    shares = every.var["share_of_cells"]
    expected = {"Mog": 0.44, "Bgn": 0.33, "Col6a1": 0.31, "Cspg4": 0.27, "Ctgf": 0.25, "Flt1": 0.22}
    assert {gene: round(shares[gene], 2) for gene in expected} == expected
    modelled = loaded["seqfish_plus"]
    np.testing.assert_allclose(every[:, modelled.var_names].X.toarray(), modelled.X)
    totals = np.asarray(every.layers["counts"].sum(axis=1)).ravel()  # over all 10,000 genes
    np.testing.assert_allclose(modelled.X, np.log1p(1e4 * modelled.layers["counts"].toarray() / totals[:, None]))


def test_seqfish_plus_raw_counts_are_complete(real_data):
    raw = datasets.load_seqfish_plus(raw=True, download=False)
    assert raw.shape == (913, 10_000) and raw.X.nnz == 2_162_235 and raw.X.sum() == 3_675_185
    assert raw.obs["sample"].value_counts(sort=False).tolist() == [118, 108, 90, 106, 101, 281, 109]
    cells = pd.read_csv(real_data / "seqfish_plus" / "cells.csv", keep_default_na=False)
    assert (raw.obs["coarse_type"].to_numpy() == cells["giotto_cell_type"]).all()


def test_starmap_is_the_paper_s_matrix(loaded, real_data):
    adata = loaded["starmap"]
    assert adata.shape == (930, 1020)
    assert (degrees(adata).min(), degrees(adata).max(), np.median(degrees(adata))) == (2, 10, 6)
    assert round(degrees(adata).mean(), 1) == 5.6
    assert adata.obs["cell_type"].value_counts().to_dict() == STARMAP_CLASSES
    depth = pd.Series(adata.obsm["spatial"][:, 0]).groupby(adata.obs["cell_type"].to_numpy()).median()
    order = ["HPC", "Oligo", "eL6-2", "eL6-1", "eL5", "eL4", "eL2/3", "Smc"]
    assert list(depth[order].sort_values().index) == order
    assert adata[adata.obs["cell_type"] == "SST"].obs_vector("Sst").mean() == pytest.approx(6.26, abs=0.01)
    cells = pd.read_csv(real_data / "starmap" / "20180410-BY3_1kgenes.cells.csv", keep_default_na=False)
    layers = cells.loc[cells["qc_pass"] == 1, "layer_srtsim"].to_numpy()
    assert (adata.obs["layer"].astype(object).fillna("").to_numpy() == layers).all()


def test_starmap_raw_counts_are_complete(real_data):
    raw = datasets.load_starmap(raw=True, download=False)
    assert raw.shape == (973, 1020)
    assert (raw.X != 0).mean() == 0.28049996977208147  # printed in the SpiceMix authors' notebook
    assert raw.obs["cell_type"].isna().sum() == 43


@pytest.mark.parametrize(("name", "fewest"), [("synthetic_cortex", 1480), ("synthetic_truth", 1479)])
def test_simulated_cortices_have_four_triangulated_fields(loaded, name, fewest):
    adata = loaded[name]
    assert adata.shape == (2000, 100) and adata.obs["cell_type"].nunique() == 8
    assert (adata.X < 0).any()  # kept, never clipped
    for sample in "0123":
        assert fewest <= degrees(adata, sample).sum() / 2 <= 1485
        rows = (adata.obs["sample"] == sample).to_numpy()
        difference = adata.obsp["spatial_connectivities"][rows][:, rows] != delaunay_graph(adata.obsm["spatial"][rows])
        assert difference.nnz <= 4  # coordinates are rounded to six digits


def test_the_truth_explains_the_second_simulation_up_to_its_noise(loaded):
    adata = loaded["synthetic_truth"]
    metagenes, states = adata.varm["true_metagenes"], adata.obsm["true_latent_states"]
    assert metagenes.shape == (100, 13) and states.shape == (2000, 13)
    np.testing.assert_allclose(metagenes.sum(axis=0), 1, atol=1e-4)
    assert (adata.X - states @ metagenes.T).std() == pytest.approx(0.02, rel=0.005)


def test_samples_can_be_chosen_and_ordered(loaded):
    two = datasets.load_synthetic_truth(samples=(2, 0), download=False)
    every = loaded["synthetic_truth"]
    assert list(two.obs["sample"].cat.categories) == ["2", "0"]
    np.testing.assert_array_equal(two.obsm["true_latent_states"], every[two.obs_names].obsm["true_latent_states"])
    np.testing.assert_array_equal(two.X, every[two.obs_names].X)


def test_the_stored_nmf_explains_the_cortex_up_to_its_own_noise(loaded):
    result, adata = datasets.load_synthetic_cortex_nmf(download=False), loaded["synthetic_cortex"]
    assert result.n_metagenes == 10 and result.iteration == 100 and result.objective.shape == (100,)
    assert not result.affinity.any()  # NMF has no spatial term
    np.testing.assert_allclose(result.metagenes.sum(axis=0), 1, atol=1e-6)
    residuals = []
    for sample, states in result.latent_states.items():
        expression = adata[adata.obs["sample"] == sample].X
        scaled = expression * 10 / expression.sum(axis=1).mean()
        residuals.append(scaled - states @ result.metagenes.T)
    assert np.sqrt(np.mean(np.square(residuals))) == pytest.approx(0.0145588, abs=2e-7)
    assert list(result.noise.values()) == pytest.approx([0.0145588] * 4, abs=2e-7)


def test_the_stored_nmf_can_be_read_at_an_earlier_iteration(real_data):
    path = real_data / "synthetic_cortex" / "results" / "NMF_nFOVs4_K10_rs4_NMF.h5"
    first, last = (datasets.read_spicemix_result(path, iteration) for iteration in (0, None))
    assert (first.iteration, last.iteration) == (0, 100)
    assert not np.allclose(first.metagenes, last.metagenes)
    with pytest.raises(ValueError, match="Iteration 7 is not in"):
        datasets.read_spicemix_result(path, 7)


def test_the_myelin_genes_need_no_data_and_match_their_checksum(empty):
    genes = datasets.load_gene_set("GO:0043209")
    assert len(genes) == len(set(genes)) == 215 and genes == sorted(genes)
    assert sha256("".join(f"{gene}\n" for gene in genes).encode()).startswith("04805488a0c3391e")
    with pytest.raises(ValueError, match="no gene set 'GO:1'"):
        datasets.load_gene_set("GO:1")


@pytest.mark.parametrize(("damage", "message"), [
    (lambda content: content[:-100], "is truncated"),
    (lambda content: content.replace(b"Mbp\n", b"Mpb\n"), "is not the file that was published")])
def test_a_damaged_gene_set_is_refused(tmp_path, monkeypatch, damage, message):
    name = gene_sets.FILES["GO:0043209"]["file"]
    (tmp_path / name).write_bytes(damage(registry.registry_path().with_name(name).read_bytes()))
    monkeypatch.setattr(gene_sets, "registry_path", lambda: tmp_path / "registry.json")
    with pytest.raises(ValueError, match=message):
        datasets.load_gene_set("GO:0043209")


def test_the_myelin_genes_have_twenty_five_on_the_panel(loaded):
    assert loaded["starmap"].var_names.isin(datasets.load_gene_set("GO:0043209")).sum() == 25


# --- schema ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOADERS)
def test_every_data_set_has_the_same_schema(loaded, name, tmp_path):
    adata = loaded[name]
    assert adata.obs_names.is_unique and adata.var_names.is_unique
    assert all(isinstance(label, str) for label in [*adata.obs_names, *adata.var_names])
    assert isinstance(adata.obs["sample"].dtype, pd.CategoricalDtype) and not adata.obs["cell_type"].isna().any()
    assert adata.obsm["spatial"].shape == (adata.n_obs, 2) and np.isfinite(adata.obsm["spatial"]).all()
    graph = adata.obsp["spatial_connectivities"]
    assert sparse.isspmatrix_csr(graph) and (graph != graph.T).nnz == 0 and not graph.diagonal().any()
    samples = adata.obs["sample"].to_numpy()
    rows, columns = graph.nonzero()
    assert (samples[rows] == samples[columns]).all()
    source = adata.uns["source"]
    assert source["name"] == name and source["measured"] == (name in ("seqfish_plus", "starmap"))
    assert ("counts" in adata.layers) == source["measured"]
    assert source["citation"] and source["licence"] and all(len(code) == 64 for code in source["sha256"].values())
    adata.write_h5ad(tmp_path / "saved.h5ad")
    again = anndata.read_h5ad(tmp_path / "saved.h5ad")
    assert again.obs.equals(adata.obs)
    assert again.uns["source"]["sha256"] == source["sha256"]


def assert_same(first, second):
    assert (first.X != second.X).nnz == 0 and first.X.dtype == second.X.dtype
    pd.testing.assert_frame_equal(first.obs, second.obs)
    pd.testing.assert_frame_equal(first.var, second.var)
    np.testing.assert_array_equal(first.obsm["spatial"], second.obsm["spatial"])


def rebuild_seqfish_plus(compact, folder):
    """Write the authors' seqFISH+ files from the compact copy, byte for byte but for the names of the clusters."""
    cells = pd.read_csv(compact / "cells.csv", dtype=str, keep_default_na=False)
    counts = sparse.load_npz(compact / "counts.npz").toarray()
    genes = (compact / "genes.txt").read_text().split()
    tables = {
        "cortex_svz_counts.csv": pd.DataFrame(counts, columns=genes),
        "cortex_svz_cellcentroids.csv": cells[["fov", "cell_in_fov", "x", "y", "region"]].set_axis(
            ["Field of View", "Cell ID", "X", "Y", "Region"], axis=1),
        "cortex_svz_cell_type_annotations.csv": cells[["cell", "louvain"]].set_axis(["index", "louvain"], axis=1)}
    for file, table in tables.items():
        table.to_csv(folder / file, index=False, lineterminator="\r\n")
    names = cells.drop_duplicates("louvain")[["louvain", "louvain_name"]]
    names["louvain_name"] += " "  # the transcription has a byte order mark and trailing blanks
    names.to_csv(folder / "cortex_svz_cluster_names.csv", index=False, encoding="utf-8-sig")


def rebuild_starmap(compact, folder):
    """Write the authors' STARmap files from the compact copy, byte for byte but for the digits of the centroids."""
    counts = sparse.load_npz(compact / "20180410-BY3_1kgenes.counts.npz").toarray()
    cells = pd.read_csv(compact / "20180410-BY3_1kgenes.cells.csv", keep_default_na=False)
    np.savetxt(folder / "cell_barcode_count.csv", counts, delimiter=",", fmt="%d")
    labels = cells[["cell_id", "cluster_id", "cluster_name"]].set_axis(["CellID", "ClusterID", "ClusterName"], axis=1)
    labels.replace({"ClusterName": {"": "NA"}}).to_csv(folder / "class_labels.csv", index=False, lineterminator="\n")
    cells[["y", "x"]].set_axis(["0", "1"], axis=1).to_csv(folder / "Centriods_extracted.csv", sep=" ", index=False)


INEXACT = {"seqfish_plus": "cortex_svz_cluster_names.csv", "starmap": "Centriods_extracted.csv"}


@pytest.fixture(scope="module")
def originals(real_data, tmp_path_factory):
    """A folder with the authors' files of both data sets."""
    root = tmp_path_factory.mktemp("originals")
    for name, rebuild in {"seqfish_plus": rebuild_seqfish_plus, "starmap": rebuild_starmap}.items():
        (root / name).mkdir()
        rebuild(real_data / name, root / name)
    return root


@pytest.mark.parametrize(("name", "module"), [("seqfish_plus", seqfish_plus), ("starmap", starmap)])
def test_the_authors_files_are_read_as_the_compact_ones(real_data, originals, name, module):
    for file, facts in registry.entry(name)["layouts"]["original"]["files"].items():
        if file != INEXACT[name]:
            registry.check_file(originals / name / file, facts)
    assert_same(module.read_original(originals / name), module.read_compact(real_data / name))


# --- finding, checking, downloading ----------------------------------------------------------------------------------


def test_the_registry_is_complete_and_every_address_is_guarded():
    assert registry.registry_path().name == "registry.json"
    for name, facts in registry.read_registry().items():
        assert {"title", "measured", "citation", "licence", "origin", "found"} <= set(facts), name
        files = [known for layout in facts["layouts"].values() for known in layout["files"].values()]
        assert all(len(known["sha256"]) == 64 for known in [*files, *facts["downloads"]]), name
        assert all(item["url"].startswith("https://github.com/") for item in facts["downloads"])
        originals = facts["layouts"].get("original", {"files": {}})["files"]
        downloaded = {item["url"].rsplit("/", 1)[-1]: item for item in facts["downloads"]}
        assert set(downloaded) == set(originals) or any(item.get("unpack") for item in facts["downloads"]), name


def test_the_shipped_names_are_the_columns_of_the_measured_counts(real_data, empty):
    names = registry.shipped("starmap", "starmap_genes.txt").read_bytes()
    assert names == (real_data / "starmap" / "genes.txt").read_bytes() and len(names.split()) == 1020


def test_the_error_for_missing_data_names_the_folders_searched_and_the_remedy(empty):
    for name, load in {**LOADERS, "synthetic_cortex_nmf": datasets.load_synthetic_cortex_nmf}.items():
        assert not datasets.available(name)
        with pytest.raises(datasets.DataNotFoundError, match=r"SPICEMIX_OFFLINE is set.*set SPICEMIX_DATA") as caught:
            load()
        assert all(str(folder) in str(caught.value) for folder in empty) and isinstance(caught.value, FileNotFoundError)


def test_data_without_an_address_are_refused_with_this_reason(empty, monkeypatch):
    register(monkeypatch, files={"a.txt": b"twelve bytes"})
    with pytest.raises(datasets.DataNotFoundError, match="no address to download from"):
        registry.locate("toy")


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match="no data set 'visium'"):
        datasets.available("visium")


def test_the_folder_named_by_the_environment_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("SPICEMIX_DATA", str(tmp_path))
    assert registry.search_path()[0] == tmp_path and len(registry.search_path()) == 2
    monkeypatch.delenv("SPICEMIX_DATA")
    assert len(registry.search_path()) == 1


@pytest.mark.parametrize(("damage", "message"), [
    (lambda content: content[:-3], r"truncated \(9 of 12 bytes\)"), (lambda content: b"X" + content[1:], "SHA-256")])
def test_a_damaged_file_is_refused(empty, monkeypatch, damage, message):
    register(monkeypatch, files={"a.txt": b"twelve bytes"})
    (empty[1] / "toy").mkdir(parents=True)
    (empty[1] / "toy" / "a.txt").write_bytes(b"twelve bytes")
    assert registry.locate("toy") == ("original", empty[1] / "toy")
    (empty[1] / "toy" / "a.txt").write_bytes(damage(b"twelve bytes"))
    with pytest.raises(ValueError, match=message):
        registry.locate("toy")


def test_one_missing_file_is_named(empty, monkeypatch):
    register(monkeypatch, files={"a.txt": b"a", "b.txt": b"b"})
    (empty[0] / "toy").mkdir(parents=True)
    (empty[0] / "toy" / "a.txt").write_bytes(b"a")
    with pytest.raises(datasets.DataNotFoundError, match=r"only .*b\.txt is missing"):
        registry.locate("toy")


def test_files_are_downloaded_once_into_the_cache_and_checked(empty, server, monkeypatch):
    folder, address, asked = server
    monkeypatch.delenv("SPICEMIX_OFFLINE")
    (folder / "a.txt").write_bytes(b"first")
    with zipfile.ZipFile(folder / "rest.zip", "w") as archive:
        archive.writestr("deep/b.txt", b"second")
        archive.writestr("deep/other.txt", b"not wanted")
    downloads = [{"url": f"{address}/a.txt", "sha256": sha256(b"first")},
                 {"url": f"{address}/rest.zip", "sha256": sha256((folder / "rest.zip").read_bytes()), "unpack": True}]
    register(monkeypatch, files={"a.txt": b"first", "b.txt": b"second"}, downloads=downloads)
    with pytest.raises(datasets.DataNotFoundError, match="download=False"):
        registry.locate("toy", download=False)
    assert not asked and not registry.available("toy")
    for _ in range(2):
        assert registry.locate("toy") == ("original", empty[1] / "toy")
    assert len(asked) == 2
    assert (empty[1] / "toy" / "b.txt").read_bytes() == b"second" and not (empty[1] / "toy" / "other.txt").exists()


@pytest.mark.parametrize(("served", "error", "message"), [
    (b"something else", ValueError, "no longer serves the file"), (b"fir", ValueError, "cut short"),
    (b"<!DOCTYPE html>", ValueError, "no longer serves the file"), (None, FileNotFoundError, "gave 404")])
def test_a_wrong_download_is_refused_and_not_kept(empty, server, monkeypatch, served, error, message):
    folder, address, _ = server
    monkeypatch.delenv("SPICEMIX_OFFLINE")
    if served is not None:
        (folder / "a.txt").write_bytes(served)
    downloads = [{"url": f"{address}/a.txt", "sha256": sha256(b"first")}]
    register(monkeypatch, files={"a.txt": b"first"}, downloads=downloads)
    with pytest.raises(error, match=message):
        registry.locate("toy")
    assert not [path for path in empty[1].rglob("*") if path.is_file()]


@pytest.fixture
def talking(empty, monkeypatch):
    """Serve one answer over a bare socket: returns a function that takes the bytes to send, and what follows them."""
    monkeypatch.delenv("SPICEMIX_OFFLINE")
    listening, done = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve(*pieces, hold=False):
        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                for piece in pieces:
                    connection.sendall(piece)
                if hold:
                    done.wait()

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/a.txt"
        register(monkeypatch, files={"a.txt": b"first"}, downloads=[{"url": url, "sha256": sha256(b"first")}])

    yield serve
    done.set()
    listening.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def test_a_connection_that_ends_early_leaves_no_file(talking, empty):
    talking(HEAD, b"fir")
    with pytest.raises(datasets.DataNotFoundError, match="gave ChunkedEncodingError"):
        registry.locate("toy")
    assert not [path for path in empty[1].rglob("*") if path.is_file()]


def test_a_server_that_stops_answering_is_given_up(talking, empty, monkeypatch):
    monkeypatch.setattr(registry, "READ_SECONDS", 0.05)
    talking(HEAD, b"fir", hold=True)
    with pytest.raises(datasets.DataNotFoundError, match=r"gave (ConnectionError|ReadTimeout)"):
        registry.locate("toy")
    assert not [path for path in empty[1].rglob("*") if path.is_file()]


def test_a_file_that_arrives_in_pieces_is_complete(talking, empty):
    talking(HEAD[:9], HEAD[9:], *(b"first"[i:i + 1] for i in range(5)))
    assert (registry.locate("toy")[1] / "a.txt").read_bytes() == b"first"


def test_a_half_unpacked_archive_is_unpacked_again_without_a_second_download(empty, server, monkeypatch):
    folder, address, asked = server
    monkeypatch.delenv("SPICEMIX_OFFLINE")
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("a.txt", b"first")
        archive.writestr("b.txt", b"second")
    downloads = [{"url": f"{address}/all.zip", "sha256": sha256((folder / "all.zip").read_bytes()), "unpack": True}]
    register(monkeypatch, files={"a.txt": b"first", "b.txt": b"second"}, downloads=downloads)
    _, cache = registry.locate("toy")
    (cache / "b.txt").unlink()
    registry.locate("toy")
    assert (cache / "b.txt").read_bytes() == b"second" and len(asked) == 1
    assert sorted(path.name for path in cache.iterdir()) == ["a.txt", "all.zip", "b.txt"]


def test_the_measured_data_arrive_from_what_their_addresses_serve(originals, empty, server, monkeypatch):
    """The checksums of the archive and of the two files that cannot be rebuilt exactly are those of the copies."""
    served, address, _ = server
    monkeypatch.delenv("SPICEMIX_OFFLINE")
    known = copy.deepcopy(registry.read_registry())
    for path in (originals / "starmap").iterdir():
        shutil.copy(path, served)
    with zipfile.ZipFile(served / "seqFISH_eng2019.zip", "w") as archive:
        for path in (originals / "seqfish_plus").iterdir():
            archive.write(path, f"seqFISH_eng2019/{path.name}")
    for name, inexact in INEXACT.items():
        for item in known[name]["downloads"]:
            file = served / item["url"].rsplit("/", 1)[-1]
            item |= {"url": f"{address}/{file.name}", "sha256": sha256(file.read_bytes())}
        known[name]["layouts"]["original"]["files"][inexact]["sha256"] = sha256(
            (originals / name / inexact).read_bytes())
    monkeypatch.setattr(registry, "read_registry", lambda: known)
    for load in (datasets.load_or_simulate_seqfish_plus, datasets.load_or_simulate_starmap):
        assert load().uns["source"]["measured"] is True


def test_an_unreachable_address_fails_soon(empty, monkeypatch):
    monkeypatch.delenv("SPICEMIX_OFFLINE")
    downloads = [{"url": "http://127.0.0.1:9/a.txt", "sha256": sha256(b"a")}]
    register(monkeypatch, files={"a.txt": b"a"}, downloads=downloads)
    start = time.perf_counter()
    with pytest.raises(datasets.DataNotFoundError, match="gave ConnectionError"):
        registry.locate("toy")
    assert time.perf_counter() - start < registry.CONNECT_SECONDS + 2


# --- twins in place of missing data -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("load", "original"), [
    (datasets.load_or_simulate_seqfish_plus, "load_seqfish_plus"), (datasets.load_or_simulate_starmap, "load_starmap")])
def test_missing_data_are_replaced_by_a_twin_that_is_marked_as_one(empty, load, original):
    adata = load()
    shape, n_samples, columns = {
        "load_seqfish_plus": ((523, 2470), 5, {"cell_type", "cluster", "coarse_type", "region"}),
        "load_starmap": ((930, 1020), 1, {"cell_type", "cluster", "layer"})}[original]
    assert adata.shape == shape and adata.obs["sample"].nunique() == n_samples
    assert columns | {"true_type", "total_counts"} <= set(adata.obs)
    assert adata.uns["source"]["measured"] is False and "SPICEMIX_DATA" in adata.uns["source"]["reason"]
    np.testing.assert_array_equal(adata.X, load().X)
    assert (adata.X != load(random_state=1).X).any()


def test_measured_data_are_not_replaced(loaded):
    adata = datasets.load_or_simulate_seqfish_plus(download=False)
    assert adata.uns["source"]["measured"] is True and adata.shape == (523, 2470)
    assert datasets.load_or_simulate_starmap(download=False).uns["source"]["measured"] is True


def test_a_damaged_file_is_not_replaced_by_a_simulation(empty):
    folder = empty[0] / "starmap"
    folder.mkdir(parents=True)
    for file in registry.entry("starmap")["layouts"]["compact"]["files"]:
        (folder / file).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="truncated"):
        datasets.load_or_simulate_starmap()


# --- the authors' text layout ----------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path):
    for sample in ("a", "b"):
        (tmp_path / f"expression_{sample}.txt").write_text("1 2\n3 4\n5 -0.1\n")
        (tmp_path / f"genes_{sample}.txt").write_text("G1\nG2\n")
        (tmp_path / f"neighborhood_{sample}.txt").write_text("0\t1\n1\t0\n1\t2\n")
        (tmp_path / f"coordinates_{sample}.txt").write_text("0 0\n0 1\n1 1\n")
        (tmp_path / f"celltypes_{sample}.txt").write_text("x\ny\nx\n")
    return tmp_path


def test_edges_listed_in_both_directions_count_once(directory):
    adata = datasets.load_spicemix_directory(directory, ["a", "b"])
    block = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    np.testing.assert_array_equal(adata.obsp["spatial_connectivities"].toarray(), np.kron(np.eye(2), block))
    np.testing.assert_array_equal(adata.X, [[1, 2], [3, 4], [5, -0.1]] * 2)
    assert list(adata.obs["cell_type"]) == ["x", "y", "x"] * 2 and list(adata.var_names) == ["G1", "G2"]


def test_positions_and_types_are_optional(directory):
    for file in [*directory.glob("coordinates_*"), *directory.glob("celltypes_*")]:
        file.unlink()
    adata = datasets.load_spicemix_directory(directory, ["b"])
    assert "spatial" not in adata.obsm and list(adata.obs) == ["sample"]


@pytest.mark.parametrize(("file", "content", "message"), [
    ("expression_b.txt", "1 2\n3 x\n5 6\n", r"expression_b\.txt is not a table"),
    ("expression_b.txt", "1 2\n3 nan\n5 6\n", "not finite"),
    ("expression_b.txt", "1 2\n3 4\n", r"b\.txt has 3 lines, but the expression file needs 2"),
    ("genes_b.txt", "G1\n", "has 1 lines, but the expression file needs 2"),
    ("genes_b.txt", "G2\nG1\n", "same genes in the same order"),
    ("celltypes_b.txt", "x\n", r"celltypes_b\.txt has 1 lines"),
    ("coordinates_b.txt", "0 0\n1 1\n", r"coordinates_b\.txt has 2 x 2 entries, expected 3 x any"),
    ("neighborhood_b.txt", "0\t3\n", r"neighborhood_b\.txt: Edge 0 is .0, 3."),
    ("neighborhood_b.txt", "0\t1\t2\n", "expected any x 2"),
    ("neighborhood_b.txt", "1\t1\n", "joins cell 1 to itself")])
def test_inconsistent_files_are_refused_by_name(directory, file, content, message):
    (directory / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        datasets.load_spicemix_directory(directory, ["a", "b"])


def test_missing_files_and_repeated_samples_are_refused(directory):
    with pytest.raises(FileNotFoundError, match=r"expression_c\.txt"):
        datasets.load_spicemix_directory(directory, ["c"])
    with pytest.raises(ValueError, match="each once"):
        datasets.load_spicemix_directory(directory, ["a", "a"])
    (directory / "celltypes_b.txt").unlink()
    with pytest.raises(ValueError, match=r"Sample b of .* lacks cell types"):
        datasets.load_spicemix_directory(directory, ["a", "b"])


def test_a_file_that_is_not_a_result_is_refused(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n half a file")
    with pytest.raises(ValueError, match="not an HDF5 file or is truncated"):
        authors.read_spicemix_result(tmp_path / "broken.h5")
    anndata.AnnData(np.ones((2, 2))).write_h5ad(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="not a result of the authors' program"):
        authors.read_spicemix_result(tmp_path / "other.h5")
    with pytest.raises(FileNotFoundError):
        authors.read_spicemix_result(tmp_path / "none.h5")
