"""The arithmetic of the benchmarks, on invented numbers, and the stored tables."""

import argparse
import logging
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    """Programs of a folder import each other by name; the folder is on the path while they are tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield
    for name in {path.stem for path in (ROOT / "benchmarks").glob("*.py")} & set(sys.modules):
        del sys.modules[name]


def check_table(lines):
    title, empty, made, *lines = lines
    assert title.startswith("# ") and not empty
    assert re.search(r"20\d\d-\d\d-\d\d", made) and re.search(r"x86_64|aarch64|arm64", made) and "cores" in made
    header, rule, *rows = [line for line in lines if line.startswith("|")]
    assert rule == len(cells_of(header)) * "|-" + "|" and rows
    assert {line.count("|") for line in rows} == {header.count("|")}
    return rows


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks/results").glob("*.md")), ids=lambda path: path.stem)
def test_a_stored_table_states_date_and_machine_and_has_full_rows(path):
    check_table(path.read_text().splitlines())


def test_a_table_is_written_completely_or_not_at_all(tmp_path, capsys):
    from tables import write_table

    path = tmp_path / "new" / "table.md"

    def breaks():
        yield "first"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(breaks(), path)
    assert capsys.readouterr().out == "first\n" and not path.exists()
    write_table(iter(["first", "second"]), path)
    assert path.read_text() == "first\nsecond\n" and [p.name for p in path.parent.iterdir()] == ["table.md"]


def test_rows_of_the_comparison_hold_medians_and_paired_ratios():
    from compare import OURS, OURS_TO_MARK, SPATIAL, THEIRS, THEIRS_TO_MARK, rows

    def fits(seconds):
        return {name: {"seconds": s, "processor": 2 * s, "iterations": 10, "loss": 0.5}
                for name, s in zip((OURS_TO_MARK, THEIRS_TO_MARK, OURS, THEIRS, SPATIAL), seconds, strict=True)}

    measured = {"cells": 1000, "genes": 20, "pairs": [fits((1, 2, 1, 4, 1)), fits((2, 2, 2, 4, 1)),
                                                      fits((4, 2, 4, 4, 1))]}
    found = [cells_of(line) for line in rows("starmap", measured)]
    assert found[1] == ["starmap", "1,000 x 20", THEIRS_TO_MARK, "10", "0.500000", "2.00", "4.00",
                        "1.00 (0.50 to 2.00)", "1.00 (0.50 to 2.00)"]
    assert found[0][7] == "1.00 (1.00 to 1.00)" and found[3][7] == "2.00 (1.00 to 4.00)"


def test_iterations_to_a_loss_are_as_few_as_reach_it():
    from compare import iterations_to
    from sklearn.decomposition import NMF

    Y = np.random.default_rng(0).gamma(1.0, size=(30, 12))

    def loss(iterations):
        model = NMF(3, init="nndsvda", max_iter=iterations, tol=0, random_state=0)
        W = model.fit_transform(Y)
        return np.linalg.norm(Y - W @ model.components_) / np.sqrt(Y.size)

    for wanted in (2, 7):
        assert iterations_to(loss(wanted) * (1 + 1e-9), Y, 3, 0, 50) == wanted
    assert iterations_to(0.0, Y, 3, 0, 5) == 5


def test_ratios_of_the_cluster_are_of_pairs_without_the_first_two():
    from cluster import Bytes, spread

    assert spread({"one": [9, 9, 1.0, 2.0, 6.0], "workers": [1, 1, 1.0, 4.0, 3.0]}) == "1.00 (0.50 to 2.00)"
    count = Bytes()
    for level, arguments in ((logging.DEBUG, ("state_products", 16, 100)), (logging.WARNING, ("worker", 1, 2)),
                             (logging.DEBUG, ("update_states", 4, 5))):
        count.handle(logging.LogRecord("x", level, "", 0, "%s %d %d", arguments, None))
    assert count.taken() == 125 and count.taken() == 0


@pytest.mark.parametrize("sparse", [False, True])
def test_tissue_comes_in_pieces_and_iterates(sparse):
    from scaling import walk
    from workload import simulate_tissue

    from spicemix_core.inputs.arrays import check_samples

    expressions, graphs = simulate_tissue(230, 40, piece=100, sparse=sparse)
    assert [y.shape for y in expressions] == [(100, 40), (100, 40), (30, 40)]
    assert [g.shape[0] for g in graphs] == [100, 100, 30]
    step, factors = walk(check_samples(expressions, graphs, 4), 4)
    rows = [step(estimate_affinity=i < 1) for i in range(4)]
    assert rows[3]["energy"] < rows[2]["energy"] < rows[1]["energy"] and rows[3]["change_affinity"] == 0.0
    metagenes, states = factors()
    assert metagenes.shape == (40, 4) and states.shape == (230, 4)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_benchmark_of_a_device_is_ready_to_run(sparse):
    from device import table

    options = argparse.Namespace(device="cpu", cells=300, genes=40, n_metagenes=4, iterations=4, sparse=sparse)
    rows = check_table("\n".join(table(options)).splitlines())
    assert [cells_of(row)[0] for row in rows[:3]] == ["Y M", "Y'X", "S estimated, seconds"] and len(rows) == 10
    assert all(float(cells_of(row)[1]) >= 0.0 for row in rows)


def test_bytes_of_a_sparse_tensor_are_those_of_its_indices_too():
    import torch
    from device import stored

    y = torch.tensor([[0.0, 2.0], [0.0, 0.0]], dtype=torch.float32)
    assert sum(part.nbytes for part in stored(y)) == 16
    assert sum(part.nbytes for part in stored(y.to_sparse_csr())) == 4 + 8 + 3 * 8
