"""The command line: what each command writes, what it refuses and with which message; no output is incomplete."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import typer

from spicemix_core import tl
from spicemix_core.command_line import app, main
from spicemix_core.command_line.analysing import COLORED
from spicemix_core.command_line.messages import one_line
from spicemix_core.command_line.options import RENAMED
from spicemix_core.datasets.simulation import simulate_cortex
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.model import SpiceMix

ROOT = Path(__file__).resolve().parents[2]
CELLS, GENES, K = 120, 20, 3
FAST = ("--max-iter", "4", "--n-metagenes", str(K))


def stderr(capsys):
    """The lines of stderr."""
    return capsys.readouterr().err.splitlines()


# ---- outputs


def test_fit_writes_the_model_that_the_library_fits(here):
    adata = anndata.read_h5ad("tissue.h5ad")
    expected = SpiceMix(K, max_iter=4, random_state=0).fit(adata, sample_key="sample")
    fitted = SpiceMix.load("model.h5")
    np.testing.assert_array_equal(fitted.metagenes_, expected.metagenes_)
    np.testing.assert_array_equal(anndata.read_h5ad("fitted.h5ad").obsm["X_spicemix"], adata.obsm["X_spicemix"])
    assert sorted(path.name for path in here.iterdir()) == ["fitted.h5ad", "model.h5", "tissue.h5ad"]  # no checkpoint


def test_seed_decides_the_numbers(here):
    for name, seed in (("a.h5", "1"), ("b.h5", "1"), ("c.h5", "2")):
        assert main(("fit", "tissue.h5ad", "-o", name, "--random-state", seed, *FAST)) == 0
    a, b, c = (SpiceMix.load(name).metagenes_ for name in ("a.h5", "b.h5", "c.h5"))
    np.testing.assert_array_equal(a, b)
    assert abs(a - c).max() > 1e-3


def test_the_layer_is_used_for_fit_figures_and_transform_instead_of_x(here):
    adata = anndata.read_h5ad("tissue.h5ad")
    adata.layers["log"], adata.X = adata.X, np.round(100 * abs(adata.X))
    adata.write_h5ad("layers.h5ad")
    options = ("--sample-key", "sample", "--layer", "log")
    assert main(("fit", "layers.h5ad", "-o", "m.h5", "-a", "a.h5ad", *options, *FAST)) == 0
    np.testing.assert_array_equal(SpiceMix.load("m.h5").metagenes_, SpiceMix.load("model.h5").metagenes_)
    np.testing.assert_array_equal(anndata.read_h5ad("a.h5ad").X, adata.layers["log"])
    assert main(("transform", "m.h5", "layers.h5ad", "-o", "s.h5ad", *options)) == 0
    assert main(("transform", "m.h5", "tissue.h5ad", "-o", "t.h5ad", "--layer", "X")) == 0
    np.testing.assert_array_equal(*(anndata.read_h5ad(name).obsm["X_spicemix"] for name in ("s.h5ad", "t.h5ad")))
    selection = ("-k", "2,3", "--n-seeds", "2", "--max-iter", "2")
    assert main(("select", "layers.h5ad", "-o", "g.csv", *options, *selection)) == 0


def test_graph_of_another_name_is_fitted_and_drawn(here):
    adata = anndata.read_h5ad("tissue.h5ad")
    adata.obsp["adjacency"] = adata.obsp.pop("spatial_connectivities")
    adata.write_h5ad("b.h5ad")
    assert main(("fit", "b.h5ad", "-o", "m.h5", "-a", "a.h5ad", "--graph-key", "adjacency", *FAST)) == 0
    arguments = ("plot", "type-affinity", "a.h5ad", "--color", "cell_type")
    assert main((*arguments, "-o", "f.svg")) == 0  # the file remembers the graph
    assert main((*arguments, "--graph-key", "adjacensy", "-o", "g.svg")) == 1 and not Path("g.svg").exists()


def test_runs_make_a_consensus_and_keep_its_summary(here, capsys):
    assert main(("fit", "tissue.h5ad", "-o", "m.h5", "-a", "a.zarr", "--n-runs", "2", *FAST)) == 0
    adata = anndata.read_zarr("a.zarr")
    summary = adata.uns["spicemix"]["consensus"]["run_summary"]
    assert len(summary) == 2
    assert "consensus of 2 runs" in capsys.readouterr().out
    assert adata.obs["spicemix_confidence"].between(0, 1).all() and "spicemix_cluster" in adata.obs
    assert SpiceMix.load("m.h5").random_state in list(summary["random_state"])
    assert not Path("m.h5.checkpoint").exists()


def test_transform_gives_the_states_of_new_cells(here):
    assert main(("simulate", "-o", "new.h5ad", "--n-cells", "40", "--n-genes", str(GENES), "--random-state", "3")) == 0
    assert main(("transform", "model.h5", "new.h5ad", "-o", "states.h5ad")) == 0
    expected = SpiceMix.load("model.h5").transform(anndata.read_h5ad("new.h5ad"))
    np.testing.assert_array_equal(anndata.read_h5ad("states.h5ad").obsm["X_spicemix"], expected)


def test_cluster_writes_clusters_and_markers(here, capsys):
    assert main(("cluster", "fitted.h5ad", "-o", "clustered.h5ad", "--n-clusters", "4", "--markers", "m.csv")) == 0
    labels = anndata.read_h5ad("clustered.h5ad").obs["spicemix_cluster"]
    assert labels.nunique() == 4
    table = pd.read_csv("m.csv")
    assert set(table["group"].astype(str)) == set(labels)
    assert "4 clusters of" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["spatial", "domains", "metagenes", "affinity", "type-affinity", "genes", "markers",
                                  "history", "tree"])
def test_plot_draws_each_figure(here, kind):
    adata = anndata.read_h5ad("fitted.h5ad")
    colored = ("--color", "cell_type") if kind in COLORED else ()
    arguments = ("--random-state", "1", *colored)
    assert main(("plot", kind, "fitted.h5ad", "-o", "figure.svg", *arguments)) == 0
    words = {"spatial": adata.obs["cell_type"].iloc[0], "history": "objective Q"}
    drawn = Path("figure.svg").read_text()
    assert f"<!-- {words.get(kind, 'metagene 0' if kind in ('metagenes', 'genes') else '')}" in drawn
    assert main(("plot", kind, "fitted.h5ad", "-o", "again.svg", *arguments)) == 0
    assert Path("again.svg").read_bytes() == Path("figure.svg").read_bytes()


def test_domains_are_those_of_the_library_with_the_options_given(here, capsys):
    options = ("--n-domains", "3", "--n-averagings", "1", "--no-smooth", "--key-added", "region")
    assert main(("domains", "fitted.h5ad", "-o", "d.h5ad", *options)) == 0
    adata = anndata.read_h5ad("fitted.h5ad")
    tl.domains(adata, n_domains=3, n_averagings=1, smooth=False, key_added="region")
    written = anndata.read_h5ad("d.h5ad")
    assert written.obs["region"].tolist() == adata.obs["region"].tolist()
    assert "3 domains of" in capsys.readouterr().out
    assert main(("plot", "domains", "d.h5ad", "-o", "d.svg")) == 0 and "region" in Path("d.svg").read_text()


@pytest.mark.parametrize("kind", ["spatial", "markers"])
def test_plot_after_a_fit_shows_the_clusters_that_the_command_cluster_gives(here, kind, capsys):
    assert main(("plot", kind, "fitted.h5ad", "-o", "plain.svg")) == 0
    assert "hold no clusters, so they were computed as by `spicemix cluster`" in capsys.readouterr().err
    assert main(("cluster", "fitted.h5ad", "-o", "clustered.h5ad")) == 0
    assert main(("plot", kind, "clustered.h5ad", "-o", "figure.svg")) == 0
    assert "no clusters" not in capsys.readouterr().err
    assert Path("plain.svg").read_bytes() == Path("figure.svg").read_bytes()


def test_plot_draws_enrichment_from_gene_sets(here):
    Path("sets.gmt").write_text("one\t-\tgene0\tgene1\tgene2\ntwo\t-\tgene5\tgene6\tgene7\tgene8\n")
    assert main(("plot", "enrichment", "fitted.h5ad", "--gene-sets", "sets.gmt", "-o", "figure.png")) == 0
    assert Path("figure.png").read_bytes().startswith(b"\x89PNG")


def test_select_compares_the_grid_and_suggests_one_of_it(here, capsys):
    arguments = ("-k", "2,3", "--n-seeds", "2", "--sample-key", "sample", "--max-iter", "3")
    assert main(("select", "tissue.h5ad", "-o", "grid.csv", "--plot", "grid.pdf", *arguments)) == 0
    table = pd.read_csv("grid.csv")
    assert list(table["n_metagenes"]) == [2, 3] and table["suggested"].sum() == 1
    suggested = table.loc[table["suggested"], "n_metagenes"].item()
    assert f"suggestion: --n-metagenes {suggested} --affinity-penalty 0.0001" in capsys.readouterr().out
    assert Path("grid.pdf").read_bytes().startswith(b"%PDF")
    assert not Path("grid.csv.fits").exists()


def test_convert_restores_the_data_of_a_round_trip(here):
    for source, target in (("tissue.h5ad", "tissue.ZARR"), ("tissue.ZARR", "authors"), ("authors", "back.h5ad")):
        assert main(("convert", source, target)) == 0
    before, after = anndata.read_h5ad("tissue.h5ad"), anndata.read_h5ad("back.h5ad")
    np.testing.assert_array_equal(after.X, before.X)
    assert list(after.var_names) == list(before.var_names)
    assert (after.obsp["spatial_connectivities"] != before.obsp["spatial_connectivities"]).nnz == 0


def test_result_of_the_authors_becomes_a_model(here, real_data):
    folder = real_data / "synthetic_cortex"
    result = next((folder / "results").glob("*.h5"))
    assert main(("convert", str(result), "old.h5", "--data", str(folder / "files"))) == 0
    old = SpiceMix.load("old.h5")
    assert old.metagenes_.shape == (100, 10) and not old.spatial and len(old.cell_names_) == 4


def test_data_sets_are_listed_and_checked(real_data, capsys):
    assert main(("data", "list")) == 0
    assert re.search(r"^starmap +present", capsys.readouterr().out, re.MULTILINE)
    assert main(("data", "path", "starmap")) == 0
    assert Path(capsys.readouterr().out.strip()).is_dir()
    assert main(("data", "check", "synthetic_truth")) == 0
    assert "complete" in capsys.readouterr().out


def test_force_replaces_files_and_folders(here, capsys):
    simulated = ("simulate", "--n-cells", "30", "--n-genes", "5")
    for name in ("tissue.h5ad", "tissue.zarr"):
        main((*simulated, "-o", name))
        assert main((*simulated, "-o", name)) == 1 and f"{name} exists" in stderr(capsys)[-1]
        assert main((*simulated, "-o", name, "--force")) == 0
    Path("empty").mkdir()
    assert main(("convert", "tissue.h5ad", "empty", "--force")) == 0 and Path("empty", "genes_0.txt").exists()
    assert anndata.read_zarr("tissue.zarr").n_obs == anndata.read_h5ad("tissue.h5ad").n_obs == 30


# ---- help and messages


def commands():
    """All commands, by name."""
    program = typer.main.get_command(app)
    group = program.commands.pop("data")
    return program.commands | {f"data {name}": command for name, command in group.commands.items()}


@pytest.mark.parametrize("name", [*commands(), "data", ""])
def test_help_explains_each_command_and_gives_an_example(name, capsys):
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"  spicemix {name}".rstrip() in shown  # an example
    assert "Usage: spicemix" in shown


@pytest.mark.parametrize("name", list(commands()))
def test_every_option_is_explained(name):
    options = commands()[name].params
    assert all(getattr(option, "help", None) for option in options if option.name != "help")
    assert "debug" in {option.name for option in options}


def test_options_have_the_names_of_the_librarys_parameters():
    from inspect import signature

    from spicemix_core import convert, convert_result, prepare, read_data, select, tl, write_report
    from spicemix_core.runs.consensus import fit_consensus

    library = {"fit": (read_data, prepare, SpiceMix, SpiceMix.fit, fit_consensus),
               "transform": (read_data, prepare, SpiceMix.transform), "cluster": (tl.cluster,),
               "domains": (tl.domains,), "select": (read_data, prepare, select, SpiceMix),
               "simulate": (simulate_cortex,),
               "convert": (convert, convert_result), "report": (write_report,)}
    of_commands = {"output", "force", "threads", "debug", "help", "annotated", "non_spatial", "markers", "plot",
                   "model", "as_in_the_paper", "quiet", "one_sample", "memory"}
    for name, functions in library.items():
        parameters = {parameter for function in functions for parameter in signature(function).parameters}
        assert {option.name for option in commands()[name].params} - of_commands <= parameters | {"data"}
        assert all(f"--{option.name.replace('_', '-')}" in option.opts for option in commands()[name].params
                   if option.opts[0].startswith("-"))


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_earlier_name_of_an_option_is_understood_with_a_warning(old, new, capsys):
    assert not any(old in option.opts for command in commands().values() for option in command.params)
    of = [name for name, command in commands().items() if any(new in option.opts for option in command.params)]
    assert of
    assert main([of[0], old, "3", "--debug-me"]) == 2  # the earlier name works, with a warning
    assert stderr(capsys) == [f"Warning: The option {old} is now called {new}.",
                              f"Error: No such option: --debug-me (Possible options: --debug). See spicemix "
                              f"{of[0]} --help."]
    other = next(name for name in commands() if name not in of)
    assert main([other, old, "3"]) == 2
    assert stderr(capsys) == [f"Error: The option {old} is now called {new}."]


@pytest.mark.parametrize(("remedy", "line"), [
    ("Set {normalize=True}.", "Set --normalize."), ("Set {graph=None}.", "Set --non-spatial."),
    ("Set {spatial=False}.", "Set --non-spatial."),
    ("Check {max_length} or {radius}.", "Check --max-length or --radius."),
    ("Set {graph=knn} with {n_neighbors}.", "Set --graph knn with --n-neighbors.")])
def test_a_remedy_names_the_options_and_nothing_else_in_a_message_changes(remedy, line):
    error = ArgumentError("The column 'normalize=True' of obs\nis empty.", remedy)
    assert one_line(error) == f"The column 'normalize=True' of obs is empty. {line}"
    assert one_line(pickle.loads(pickle.dumps(error))) == one_line(error)
    assert one_line(ArgumentError("affinity_penalty must be positive.", parameter="affinity_penalty")) == \
        "--affinity-penalty must be positive."


def test_examples_in_help_are_understood(here, monkeypatch):
    """Every example is parsed by the command it is an example of."""
    program, seen = typer.main.get_command(app), 0
    for text in (command.help for command in commands().values()):
        for line in re.findall(r"(?m)^ +spicemix (.*)$", text):
            first, *rest = line.split()
            command = program.commands[first]
            if first == "data":
                first, *rest = rest
                command = command.commands[first]
            with command.make_context(first, rest):
                seen += 1
    assert seen >= len(commands())


def test_help_imports_no_slow_package():
    code = ("import sys; from spicemix_core.command_line import main; main(['fit', '--help']); "
            "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    loaded = set(run.stderr.split())
    assert "Usage: spicemix fit" in run.stdout and "typer" in loaded
    assert not loaded & {"numpy", "numba", "anndata", "pandas", "sklearn", "scipy", "matplotlib", "torch", "umap",
                         "gurobipy", "rich", "papermill"}


def test_package_and_fit_do_not_import_torch_umap_and_gurobipy():
    code = ("import sys, spicemix_core; first = set(sys.modules); import spicemix_core.model, "
            "spicemix_core.runs.consensus, spicemix_core.inputs.prepare; print(*[n for n in ('numpy', 'numba', "
            "'pandas') if n in first], '|', *[n for n in ('torch', 'umap', 'gurobipy', 'distributed', 'papermill') "
            "if n in sys.modules])")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "|"


def test_threads_are_set_before_the_compiled_code_is_imported(here):
    code = ("import sys; from spicemix_core.command_line import main; assert 'numba' not in sys.modules; "
            "main(['cluster', 'fitted.h5ad', '-o', 'c.h5ad', '--n-clusters', '2', '--threads', '1']); "
            "import os, numba; print(numba.config.NUMBA_NUM_THREADS, os.environ['OMP_NUM_THREADS'])")
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")} | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.stdout.splitlines()[-1] == "1 1", run.stderr


def test_debug_shows_the_traceback(here, capsys):
    assert main(("cluster", "tissue.h5ad", "-o", "c.h5ad", "--debug")) == 1
    lines = stderr(capsys)
    assert lines[0].startswith("Traceback") and lines[-1].startswith("Error: ")


def test_each_warning_of_a_successful_fit_is_printed_on_one_line(here, capsys):
    assert main(("fit", "tissue.h5ad", "-o", "m.h5", *FAST)) == 0
    lines = stderr(capsys)
    assert lines and all(line.startswith("Warning: ") for line in lines)
    assert any("No convergence" in line for line in lines)


# ---- refused requests


def _write(name, change):
    def prepare():
        adata = anndata.read_h5ad("tissue.h5ad")
        change(adata)
        adata.write_h5ad(name)
    return prepare


def _set(place, key, value):
    return lambda adata: getattr(adata, place).__setitem__(key, value(adata) if callable(value) else value)


def _drop(adata):
    del adata.obsp["spatial_connectivities"], adata.obsm["spatial"]


def _counts(adata):
    adata.X = np.round(abs(adata.X) * 100)


def _names(kind):
    def change(adata):
        names = list(getattr(adata, kind))
        names[1] = names[0]
        setattr(adata, kind, names)
    return change


def _nan(adata):
    adata.X[3, 2] = np.nan


def _truncated(source, name):
    return lambda: Path(name).write_bytes(Path(source).read_bytes()[:3000])


def _words():
    with h5py.File("tissue.h5ad", "r+") as file:
        shape = file["X"].shape
        del file["X"]
        file.create_dataset("X", data=np.full(shape, "many", dtype=object), dtype=h5py.string_dtype())


def _tenx():
    with h5py.File("tenx.h5", "w") as file:
        file.create_group("matrix")


def _authors(**changes):
    """A directory in the authors' format: three cells in a row, edges counted from 0."""
    def prepare():
        folder = Path("authors")
        folder.mkdir()
        files = {"expression_0.txt": "1.5 2\n3 4\n5 6\n", "genes_0.txt": "a\nb\n", "neighborhood_0.txt": "0 1\n1 2\n",
                 "coordinates_0.txt": "0 0\n1 0\n2 0\n"} | {f"{key}_0.txt": value for key, value in changes.items()}
        for name, text in files.items():
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return prepare


def _scaled(adata):
    adata.X = (adata.X - adata.X.mean(axis=0)) / adata.X.std(axis=0)


def _own_folder():
    for name in ("thesis", "folder.h5", "folder.csv"):
        Path(name).mkdir()
        Path(name, "chapter.txt").write_text("years of work")
    Path("file.zarr").write_text("no folder")


def _checkpoint_of_other_data():
    Path("m.h5.checkpoint").write_bytes(b"something else")


FIT = ("fit", "tissue.h5ad", "-o", "m.h5", *FAST)
BAD = {
    # of the request: exit status 2
    "no such command": ((), ("fitt",), 2, "No such command 'fitt'"),
    "no output": ((), ("fit", "tissue.h5ad"), 2, "Missing option '--output'"),
    "no data": ((), ("fit", "-o", "m.h5"), 2, "Missing argument 'DATA'"),
    "unknown option": ((), (*FIT, "--metagens", "3"), 2, "--metagens"),
    "number that is none": ((), ("fit", "tissue.h5ad", "-o", "m.h5", "-k", "many"), 2, "--n-metagenes"),
    "one metagene": ((), ("fit", "tissue.h5ad", "-o", "m.h5", "-k", "1"), 2, "greater than or equal to 2"),
    "unknown graph": ((), (*FIT, "--graph", "voronoi"), 2, "'auto', 'lattice', 'delaunay', 'knn', 'radius'"),
    "ending of a model": ((), ("fit", "tissue.h5ad", "-o", "m.pkl"), 2, "m.pkl must end in .h5"),
    "ending of data": ((), (*FIT, "-a", "a.csv"), 2, "a.csv must end in .h5ad or .zarr"),
    "ending of a figure": ((), ("plot", "history", "fitted.h5ad", "-o", "f.txt"), 2, "f.txt must end in .svg"),
    "unknown figure": ((), ("plot", "pie", "fitted.h5ad", "-o", "f.svg"), 2, "'spatial', 'domains'"),
    "enrichment without sets": ((), ("plot", "enrichment", "fitted.h5ad", "-o", "f.svg"), 2, "--gene-sets"),
    "positions of a tree": ((), ("plot", "tree", "fitted.h5ad", "-o", "f.svg", "--spatial-key", "um"), 2,
                            "--spatial-key: The figure tree does not depend on it"),
    "colour of an affinity": ((), ("plot", "affinity", "fitted.h5ad", "-o", "f.svg", "--color", "cell_type"), 2,
                              "--color: The figure affinity does not depend on it"),
    "graph of a map": ((), ("plot", "spatial", "fitted.h5ad", "-o", "f.svg", "--graph-key", "g"), 2,
                       "--graph-key: The figure spatial does not depend on it"),
    "no grid": ((), ("select", "tissue.h5ad", "-o", "g.csv", "-k", "5;10"), 2, "'5;10' is not a list of whole numbers"),
    "data of no result": ((), ("convert", "tissue.h5ad", "t.zarr", "--data", "x"), 2, "--data"),
    "the paper without space": ((), (*FIT, "--as-in-the-paper", "--non-spatial"), 2, "--non-spatial: Leave it out"),
    "the paper on a device": ((), (*FIT, "--as-in-the-paper", "--device", "cpu"), 2, "--device: Leave it out"),
    "the paper to convergence": ((), (*FIT, "--as-in-the-paper", "--tol", "0.001"), 2, "--tol: Leave it out"),
    "no threads": ((), (*FIT, "--threads", "0"), 2, "--threads"),
    # of the files
    "no such file": ((), ("fit", "nothing.h5ad", "-o", "m.h5"), 1, "nothing.h5ad"),
    "empty file": (lambda: Path("e.h5ad").touch(), ("fit", "e.h5ad", "-o", "m.h5"), 1, "e.h5ad"),
    "truncated file": (_truncated("tissue.h5ad", "t.h5ad"), ("fit", "t.h5ad", "-o", "m.h5"), 1, "truncated"),
    "a table": (lambda: Path("t.h5ad").write_text("a,b\n1,2\n"), ("fit", "t.h5ad", "-o", "m.h5"), 1, "HDF5 file"),
    "incomplete counts of 10x": (_tenx, ("fit", "tenx.h5", "-o", "m.h5"), 1, "incomplete or was changed"),
    "a model": ((), ("fit", "model.h5", "-o", "m.h5"), 1, "a fitted model, not expression"),
    "any folder": (lambda: Path("d").mkdir(), ("fit", "d", "-o", "m.h5"), 1, "neither zarr metadata nor"),
    "edges from 1": (_authors(neighborhood="1 2\n2 3\n"), ("fit", "authors", "-o", "m.h5", "-k", "2"), 1,
                     "neighborhood_0.txt"),
    "not UTF-8": (_authors(genes=b"a\n\xff\xfe\n"), ("fit", "authors", "-o", "m.h5", "-k", "2"), 1, "genes_0.txt"),
    "words for numbers": (_authors(expression="1 2\n3 x\n5 6\n"), ("fit", "authors", "-o", "m.h5", "-k", "2"), 1,
                          "expression_0.txt"),
    # of the data
    "gene twice": (_write("b.h5ad", _names("var_names")), ("fit", "b.h5ad", "-o", "m.h5", *FAST), 1, "gene0"),
    "cell twice": (_write("b.h5ad", _names("obs_names")), ("fit", "b.h5ad", "-o", "m.h5", *FAST), 1, "0-0"),
    "text for expression": (_words, FIT, 1, "X"),
    "not a number": (_write("b.h5ad", _nan), ("fit", "b.h5ad", "-o", "m.h5", *FAST), 1, "NaN"),
    "raw counts": (_write("b.h5ad", _counts), ("fit", "b.h5ad", "-o", "m.h5", *FAST), 1, "Pass --normalize"),
    "counts that are none": (_write("b.h5ad", _scaled), ("fit", "b.h5ad", "-o", "m.h5", *FAST, "--normalize"), 1,
                             "Put raw counts there, or leave out --normalize."),
    "no coordinates": (_write("b.h5ad", _drop), ("fit", "b.h5ad", "-o", "m.h5", *FAST), 1, "or pass --non-spatial."),
    "no such column": ((), (*FIT, "--sample-key", "slice"), 1, "There is no column 'slice' in obs"),
    "no such layer": ((), (*FIT, "--layer", "log"), 1, "There is no layer 'log' in layers"),
    "cell without a sample": (_write("b.h5ad", _set("obs", "sample", lambda a: [None, *["a"] * (CELLS - 1)])),
                              ("fit", "b.h5ad", "-o", "m.h5", "--sample-key", "sample", *FAST), 1, "missing for 1"),
    "edges between samples": (_write("b.h5ad", _set("obs", "half", lambda a: ["ab"[i % 2] for i in range(CELLS)])),
                              ("fit", "b.h5ad", "-o", "m.h5", "--sample-key", "half", *FAST), 1, "different samples"),
    "z-scored": (_write("b.h5ad", _scaled), ("fit", "b.h5ad", "-o", "m.h5", *FAST), 1, "z-scored expression"),
    "longest edge in another unit": (_write("b.h5ad", lambda a: a.obsp.clear()),
                                     ("fit", "b.h5ad", "-o", "m.h5", "--max-length", "1e-9", *FAST), 1,
                                     "Check the samples, and --max-length or --radius, which are in the unit"),
    "no radius": (_write("b.h5ad", lambda a: a.obsp.clear()),
                  ("fit", "b.h5ad", "-o", "m.h5", "--graph", "radius", *FAST), 1, "Set --radius"),
    "more metagenes than cells": ((), ("fit", "tissue.h5ad", "-o", "m.h5", "-k", "500"), 1,
                                  "Lower --n-metagenes to at most"),
    "penalty of zero": ((), (*FIT, "--affinity-penalty", "0"), 1, "--affinity-penalty must be a positive number"),
    # of outputs
    "model is there": ((), ("fit", "tissue.h5ad", "-o", "model.h5"), 1, "model.h5 exists. Give --force"),
    "second output is there": ((), (*FIT, "-a", "fitted.h5ad"), 1, "fitted.h5ad exists"),
    "no such folder": ((), ("fit", "tissue.h5ad", "-o", "no/m.h5"), 1, "The folder no of m.h5 does not exist"),
    "a folder for a model": (_own_folder, ("fit", "tissue.h5ad", "-o", "folder.h5", "--force"), 1, "is a folder"),
    "a folder for a table": (_own_folder, ("cluster", "fitted.h5ad", "-o", "c.h5ad", "--markers", "folder.csv",
                                           "--force"), 1, "is a folder"),
    "a file for a store": (_own_folder, ("convert", "tissue.h5ad", "file.zarr", "--force"), 1, "is a file"),
    "another folder": (_own_folder, ("convert", "tissue.h5ad", "thesis", "--force"), 1, "something other than data"),
    "this folder": (_own_folder, ("convert", "tissue.h5ad", ".", "--force"), 1, "something other than data"),
    "checkpoint of something else": (_checkpoint_of_other_data, FIT, 1, "m.h5.checkpoint"),
    "a file for several runs": (_checkpoint_of_other_data, (*FIT, "--n-runs", "2"), 1, "m.h5.checkpoint is a file"),
    "a file for the paper's runs": (_checkpoint_of_other_data, (*FIT, "--as-in-the-paper"), 1, "kept in a folder"),
    # of models
    "data for a model": ((), ("transform", "tissue.h5ad", "tissue.h5ad", "-o", "s.h5ad"), 1, "tissue.h5ad"),
    "truncated model": (_truncated("model.h5", "t.h5"), ("transform", "t.h5", "tissue.h5ad", "-o", "s.h5ad"), 1,
                        "t.h5"),
    "no gene in common": (_write("b.h5ad", lambda a: setattr(a, "var_names", [f"other{i}" for i in range(GENES)])),
                          ("transform", "model.h5", "b.h5ad", "-o", "s.h5ad"), 1, "genes"),
    "too few genes": ((), ("transform", "model.h5", "few.h5ad", "-o", "s.h5ad"), 1, "genes"),
    # of analyses
    "no states": ((), ("cluster", "tissue.h5ad", "-o", "c.h5ad"), 1, "There are no latent states 'X_spicemix'"),
    "more clusters than cells": ((), ("cluster", "fitted.h5ad", "-o", "c.h5ad", "--n-clusters", "999"), 1, "999"),
    "unknown colour": ((), ("plot", "spatial", "fitted.h5ad", "--color", "mood", "-o", "f.svg"), 1, "'mood'"),
    "no gene sets": ((), ("plot", "enrichment", "fitted.h5ad", "--gene-sets", "no.gmt", "-o", "f.svg"), 1, "no.gmt"),
    "grid beyond the cells": ((), ("select", "tissue.h5ad", "-o", "g.csv", "-k", "900"), 1, "900"),
    "endless variation": ((), ("simulate", "--sigma-x", "inf", "-o", "s.h5ad"), 1, "at least 0 and finite"),
    "cells that do not fit": ((), ("simulate", "--n-cells", "2", "--n-genes", "0", "-o", "s.h5ad"), 2, "--n-genes"),
    "converting nothing": ((), ("convert", "no.h5ad", "t.zarr"), 1, "no.h5ad"),
    "no result": ((), ("convert", "tissue.h5ad", "t.h5"), 1, "tissue.h5ad"),
    "unknown data set": ((), ("data", "path", "moon"), 1, "There is no data set 'moon'"),
    "report of another model": ((), ("report", "other.h5", "fitted.h5ad", "-o", "r.html"), 1,
                                "hold states of 3 metagenes, but the model has 2"),
}


def _prepare(case):
    if case == "too few genes":
        anndata.read_h5ad("tissue.h5ad")[:, :4].copy().write_h5ad("few.h5ad")
    if case == "report of another model":
        SpiceMix(2, max_iter=2, spatial=False).fit(anndata.read_h5ad("tissue.h5ad")).save("other.h5")
    if BAD[case][0]:
        BAD[case][0]()


@pytest.mark.parametrize("case", list(BAD))
@pytest.mark.filterwarnings("ignore")
def test_a_bad_request_is_refused_in_one_line_and_no_file_is_written(here, capsys, case):
    _, arguments, status, sentence = BAD[case]
    _prepare(case)
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(arguments) == status
    lines = stderr(capsys)
    assert len(lines) == 1 and lines[0].startswith("Error: ") and sentence in lines[0], lines
    after = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    assert after == before


FILES = {  # each made as "bad"
    "nothing": lambda: None, "empty": lambda: Path("bad").touch(), "folder": lambda: Path("bad").mkdir(),
    "truncated": _truncated("fitted.h5ad", "bad"), "truncated model": _truncated("model.h5", "bad"),
    "table": lambda: Path("bad").write_text("gene0,gene1\n1,2\n"),
    "bytes": lambda: Path("bad").write_bytes(b"\xff" * 99),
    "no UTF-8": lambda: (_authors(genes=b"a\n\xff\xfe\n")(), Path("authors").rename("bad")),
    "edges from 1": lambda: (_authors(neighborhood="1 2\n2 3\n")(), Path("authors").rename("bad"))}
TAKING = {
    "fit": ("fit", "bad", "-o", "o.h5"), "transform": ("transform", "model.h5", "bad", "-o", "o.h5ad"),
    "transform by": ("transform", "bad", "tissue.h5ad", "-o", "o.h5ad"), "cluster": ("cluster", "bad", "-o", "o.h5ad"),
    "plot": ("plot", "spatial", "bad", "-o", "o.svg"), "select": ("select", "bad", "-o", "o.csv", "--plot", "o.svg"),
    "gene sets": ("plot", "enrichment", "fitted.h5ad", "--gene-sets", "bad", "-o", "o.svg"),
    "convert": ("convert", "bad", "o.zarr"), "convert to text": ("convert", "bad", "o"),
    "convert a result": ("convert", "bad", "o.h5"), "report": ("report", "model.h5", "bad", "-o", "o.html"),
    "report of": ("report", "bad", "fitted.h5ad", "-o", "o.html")}


@pytest.mark.parametrize("kind", list(FILES))
@pytest.mark.parametrize("command", list(TAKING))
def test_every_command_refuses_every_unreadable_file_by_its_name(here, capsys, command, kind):
    FILES[kind]()
    before = sorted(here.rglob("*"))
    capsys.readouterr()
    assert main(TAKING[command]) == 1
    lines = stderr(capsys)
    assert len(lines) == 1 and re.match(r"Error: .*\bbad\b", lines[0]), lines
    assert sorted(here.rglob("*")) == before


def test_missing_papermill_is_named_with_its_extra(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "papermill", None)
    assert main(("report", "model.h5", "fitted.h5ad", "-o", "r.html")) == 1
    assert stderr(capsys) == ["Error: The report needs the package papermill, which is not installed. Install it "
                            "with pip install 'spicemix-core[book]'."]


def test_categories_without_cells_are_not_samples(here):
    adata = anndata.read_h5ad("tissue.h5ad")
    adata.obs["sample"] = adata.obs["sample"].cat.add_categories(["empty"]).cat.rename_categories({"0": "10", "1": "9"})
    adata.write_h5ad("b.h5ad")
    assert main(("fit", "b.h5ad", "-o", "m.h5", "--sample-key", "sample", *FAST)) == 0
    fitted, expected = SpiceMix.load("m.h5"), SpiceMix.load("model.h5")
    assert fitted.sample_names_ == ["10", "9"]
    np.testing.assert_array_equal(fitted.metagenes_, expected.metagenes_)


def test_samples_named_by_numbers_are_samples(here):
    adata = anndata.read_h5ad("tissue.h5ad")
    adata.obs["slice"] = adata.obs["sample"].astype(int) * 7
    adata.write_h5ad("b.h5ad")
    assert main(("fit", "b.h5ad", "-o", "m.h5", "--sample-key", "slice", *FAST)) == 0
    assert SpiceMix.load("m.h5").sample_names_ == ["0", "7"]


@pytest.mark.parametrize("command", [("fit", "-o", "m.h5", "-a", "a.zarr"), ("transform", "model.h5", "-o", "a.zarr"),
                                     ("cluster", "-o", "a.zarr"), ("convert", "a.zarr")], ids=lambda words: words[0])
def test_what_cannot_be_written_is_found_before_the_work(here, capsys, monkeypatch, command):
    adata = anndata.read_h5ad("fitted.h5ad")
    adata.obs = adata.obs.assign(**{"G1/S": 0.5})
    with pytest.warns(FutureWarning, match="slash"):
        adata.write_h5ad("slash.h5ad")
    monkeypatch.setattr(SpiceMix, "fit", None)
    monkeypatch.setattr(SpiceMix, "transform", None)
    name, *rest = command
    at = 1 if name == "transform" else 0
    assert main((name, *rest[:at], "slash.h5ad", *rest[at:])) == 1
    assert "The column 'G1/S' of obs cannot be written to" in capsys.readouterr().err
    assert not Path("a.zarr").exists() and not Path("m.h5").exists()
