"""Commands on data larger than memory: expression stays in its file, and the results are those of data in memory."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from spicemix_core import SpiceMix, read_data
from spicemix_core.command_line import budget, main
from spicemix_core.command_line.budget import Budget

FIT = ("fit", "counts.h5ad", "--normalize", "--sample-key", "sample", "-k", "3", "--max-iter", "3")


@pytest.fixture
def counts(here, monkeypatch):
    """A folder with sparse counts of 120 cells, and budgets in which only states and expression count."""
    monkeypatch.setattr(budget, "PROCESS", 0)
    monkeypatch.setattr(budget, "PER_CELL", 0)
    monkeypatch.setattr(budget, "FEWEST", 1)
    adata = read_data("tissue.h5ad")
    values = np.random.default_rng(0).poisson(8 * np.maximum(adata.X, 0) + 0.3)
    values[:, 0] += 1
    adata.X = sp.csr_matrix(values.astype(np.float32))
    adata.write_h5ad("counts.h5ad")
    return here


def small_blocks():
    """The option --memory for blocks of 25 cells, for a fit with three metagenes; a sample has 60 cells."""
    array = read_data("counts.h5ad", backed=True).X
    states = array.shape[0] * 8 * budget.STATES * 3
    return str(int(states + budget.BLOCKS * 25.5 * budget.bytes_per_cell(array)) / 2**10) + "K"


def test_a_fit_reads_blocks_and_writes_the_results_of_a_fit_in_memory(counts, capsys):
    assert main((*FIT, "-o", "one.h5", "-a", "one.h5ad")) == 0
    capsys.readouterr()
    assert main((*FIT, "-o", "two.h5", "-a", "two.h5ad", "--memory", small_blocks())) == 0
    said = capsys.readouterr().out
    assert "stays in counts.h5ad and is read in blocks of 25 cells\n" in said
    one, two = SpiceMix.load("one.h5"), SpiceMix.load("two.h5")
    np.testing.assert_array_equal(one.metagenes_, two.metagenes_)
    np.testing.assert_array_equal(one.history_["energy"], two.history_["energy"])
    first, second = read_data("one.h5ad"), read_data("two.h5ad")
    for place in ("X", "layers/counts"):
        np.testing.assert_array_equal(matrix(first, place), matrix(second, place))
    np.testing.assert_array_equal(first.obsm["X_spicemix"], second.obsm["X_spicemix"])
    assert first.obs.equals(second.obs) and first.var.equals(second.var)
    assert set(first.obsp) == set(second.obsp) and set(first.uns["spicemix"]) == set(second.uns["spicemix"])
    assert main(("transform", "one.h5", "counts.h5ad", "-o", "three.zarr", "--memory", small_blocks())) == 0
    third = read_data("three.zarr")
    assert main(("transform", "one.h5", "counts.h5ad", "-o", "four.h5ad")) == 0
    np.testing.assert_array_equal(third.obsm["X_spicemix"], read_data("four.h5ad").obsm["X_spicemix"])
    np.testing.assert_array_equal(matrix(third, "X"), matrix(first, "X"))


def matrix(adata, place):
    values = adata.X if place == "X" else adata.layers[place.split("/")[1]]
    return values.toarray()


def test_expression_that_fits_is_read_into_memory(counts, capsys):
    assert main((*FIT, "-o", "m.h5", "--memory", "4G")) == 0
    assert "memory: the expression takes 0 MiB and is read into memory\n" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "message"), [
    ("1K", "Error: 120 cells with 3 metagenes take about 0 MiB, even if the expression stays in counts.h5ad, but 0 MiB "
           "are allowed. Give more with --memory, or fit fewer metagenes."),
    ("much", "Error: Invalid value for --memory: 'much' is not a size such as 4G or 500M. See spicemix fit --help.")])
def test_a_size_that_is_too_small_or_none_is_refused(counts, capsys, given, message):
    assert main((*FIT, "-o", "m.h5", "--memory", given)) > 0
    assert capsys.readouterr().err.splitlines() == [message]


def test_several_runs_are_refused(counts, capsys):
    assert main((*FIT, "-o", "m.h5", "--memory", "4G", "--n-runs", "2")) == 2
    assert "Several runs hold all data in memory." in capsys.readouterr().err


def test_expression_that_is_stored_by_genes_is_read_into_memory(counts, capsys):
    adata = read_data("counts.h5ad")
    adata.X = adata.X.tocsc()
    adata.write_h5ad("counts.h5ad")
    assert main((*FIT, "-o", "m.h5", "--memory", "1G")) == 0
    assert "memory: counts.h5ad cannot be read in blocks of cells, so it is read into memory" in capsys.readouterr().out


def test_the_blocks_grow_with_the_budget(counts):
    adata = read_data("counts.h5ad", backed=True)
    size = budget.bytes_per_cell(adata.X)
    adata = anndata.AnnData(adata.X, obs=adata.obs, var=adata.var)
    states = 120 * 8 * budget.STATES * 3
    for cells in (5, 9):
        plan = Budget(int(states + budget.BLOCKS * (cells + 0.5) * size), 3).plan(adata, counts / "counts.h5ad")
        assert plan.cells_per_block == cells
    enough = Budget(int(states + budget.COPIES * 120.5 * size), 3)
    assert enough.plan(adata, counts / "counts.h5ad").cells_per_block is None


def test_the_command_of_the_book_runs(here):
    page = (Path(__file__).parents[2] / "book/chapters/own_data.md").read_text(encoding="utf-8")
    command = next(text for text in re.findall(r"```bash\n(spicemix .*?)```", page, re.DOTALL) if "--memory" in text)
    adata = read_data("tissue.h5ad")
    adata.obs["section"] = adata.obs.pop("sample")
    adata.X = np.random.default_rng(0).poisson(8 * np.maximum(adata.X, 0) + 0.3) + 1.0
    adata.write_h5ad("atlas.h5ad")
    assert main((*shlex.split(command.replace("\\\n", ""))[1:], "--max-iter", "2", "--force")) == 0
    assert SpiceMix.load("model.h5").n_metagenes == 20


# ---- commands that need no expression


BROKEN = (("cluster", "broken.h5ad", "-o", "c.h5ad"), ("domains", "broken.h5ad", "-o", "d.h5ad"),
          *(("plot", kind, "broken.h5ad", "-o", f"{kind}.svg") for kind in ("spatial", "affinity", "metagenes")))


@pytest.mark.parametrize("command", BROKEN, ids=lambda words: "-".join(words[:2]))
def test_commands_that_need_no_expression_do_not_read_it(here, monkeypatch, command):
    """The chunks of X cannot be decompressed, which only reading them would show; they are copied as they are."""
    read_data("fitted.h5ad").write_h5ad("broken.h5ad", compression="gzip")
    with h5py.File("broken.h5ad", "r+") as file:
        x = file["X"]["data"] if isinstance(file["X"], h5py.Group) else file["X"]
        x.id.write_direct_chunk((0,) * x.ndim, b"no gzip")
    with pytest.raises(ValueError, match="cannot be read as AnnData"):
        read_data("broken.h5ad")
    assert main(command) == 0


# ---- bad input


def test_a_missing_value_in_the_last_block_is_named_and_nothing_is_written(counts, capsys):
    with h5py.File("counts.h5ad", "r+") as file:
        file["X/data"][-1] = np.nan
    before = sorted(counts.iterdir())
    assert main((*FIT, "-o", "m.h5", "--memory", small_blocks())) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "in 1 of the 120 cells, the first is gene 'gene19' in cell" in error[0]
    assert sorted(counts.iterdir()) == before


def test_a_truncated_file_is_one_sentence(counts, capsys):
    size = small_blocks()
    content = (counts / "counts.h5ad").read_bytes()
    (counts / "counts.h5ad").write_bytes(content[: len(content) // 2])
    assert main((*FIT, "-o", "m.h5", "--memory", size)) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "counts.h5ad" in error[0] and "truncated" in error[0]


FULL_DISK = """
import resource, sys
from spicemix_core.command_line import budget, main
budget.PROCESS = budget.PER_CELL = 0
budget.FEWEST = 1
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
sys.exit(main())"""


@pytest.mark.subprocess
def test_a_full_disk_is_one_sentence_and_the_fit_is_not_repeated(counts, capsys):
    command = (*FIT, "-o", "m.h5", "-a", "a.h5ad", "--memory", small_blocks())
    run = subprocess.run([sys.executable, "-c", FULL_DISK, "90000", *command], text=True, capture_output=True,
                         env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert run.returncode == 1
    assert run.stderr == ("Error: The disk is full: m.h5 and a.h5ad cannot be written. "
                          "Free some space and try again.\n")
    assert (counts / "m.h5.checkpoint").exists() and not (counts / "m.h5").exists()
    assert main(command) == 0  # resumes from the checkpoint
    assert main((*FIT, "-o", "one.h5")) == 0
    np.testing.assert_array_equal(SpiceMix.load("m.h5").metagenes_, SpiceMix.load("one.h5").metagenes_)
    assert not (counts / "m.h5.checkpoint").exists()
