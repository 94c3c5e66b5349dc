"""Commands that are stopped, killed, or run out of disk or memory: nothing is lost, and the error is one sentence."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path
from threading import Event

import anndata
import numpy as np
import pytest
from forked import Forked, run_forked

from spicemix_core import algorithm, report
from spicemix_core.command_line import main
from spicemix_core.command_line.messages import one_line
from spicemix_core.datasets.simulation import simulate_cortex
from spicemix_core.files import atomic, checkpoint
from spicemix_core.files.checkpoint import Checkpoint
from spicemix_core.files.lock import locked
from spicemix_core.model import SpiceMix

ROOT = Path(__file__).resolve().parents[2]
FIT = ("fit", "tissue.h5ad", "-o", "m.h5", "--max-iter", "4", "--n-metagenes", "3")


def stderr(capsys):
    """The lines of stderr."""
    return capsys.readouterr().err.splitlines()


# ---- streams, disk and locks


def run_program(code, *arguments, **options):
    """Run ``code``, which ends the process with the status of ``main``, in a process of its own."""
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, **options)


def run_main(*arguments):
    """Run a command as the program does, which ends the process in its own way."""
    sys.argv = ["spicemix", *map(str, arguments)]
    return main()


def with_small_files(n_bytes, *arguments):
    """Run a command in a process that can write no file of more than ``n_bytes``."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    return run_main(*arguments)


# Three commands, which have their processes in common; for the second and third, no file can have more than 100 bytes.
SEVERAL = """
import os, resource, sys
from joblib import Parallel, delayed
from spicemix_core.command_line import main

def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    return os.getpid()

def run(command):
    print("status", main([*command.split(), "--n-jobs", "2"]), file=sys.stderr)

run(sys.argv[1])
print("full", file=sys.stderr)
seen = {limited()}
while len(seen) < 3:
    seen.update(Parallel(n_jobs=2)(delayed(limited)() for _ in range(4)))
run(sys.argv[2])
run(sys.argv[3])"""


@pytest.mark.subprocess
@pytest.mark.parametrize(("n_bytes", "arguments", "names"), [
    (3000, ("simulate", "-o", "s.h5ad"), "s.h5ad"), (3000, ("simulate", "-o", "s.zarr"), "s.zarr"),
    (9000, FIT, "m.h5.checkpoint"), (90_000, (*FIT, "-a", "a.h5ad"), "m.h5 and a.h5ad"),
    (300, ("cluster", "fitted.h5ad", "-o", "c.zarr", "--markers", "m.csv"), "c.zarr and m.csv"),
    (3000, ("convert", "tissue.h5ad", "text"), "text"), (3000, ("transform", "model.h5", "tissue.h5ad", "-o", "t.h5ad"),
                                                         "t.h5ad"),
    (9000, ("report", "model.h5", "fitted.h5ad", "-o", "r.html"), tempfile.gettempdir())])
def test_a_full_disk_gives_an_error_of_one_sentence_and_no_output(here, n_bytes, arguments, names):
    before = sorted(here.iterdir())
    run = run_forked(with_small_files, n_bytes, *arguments)
    assert run.returncode == 1
    assert run.stderr == f"Error: The disk is full: {names} cannot be written. Free some space and try again.\n"
    assert [path for path in here.iterdir() if path not in before and path.suffix != ".checkpoint"] == []


@pytest.fixture(scope="module")
def several(made, tmp_path_factory):
    """What three commands with several processes write to stderr: before, and after the disk is full."""
    folder = tmp_path_factory.mktemp("several")
    shutil.copy(made / "tissue.h5ad", folder)
    fit = " ".join(FIT[:2]) + " " + " ".join(FIT[4:])
    run = run_program(SEVERAL, f"{fit} -o free.h5 --n-runs 3", f"{fit} -o full.h5 --n-runs 2",
                      "select tissue.h5ad -o g.csv -k 2,3 --n-seeds 2 --max-iter 2", cwd=folder)
    assert run.returncode == 0, run.stderr
    # joblib's own process may add, to its folder that is gone, a warning
    said = [line for line in run.stderr.splitlines() if "resource_tracker" not in line and "warnings.warn" not in line]
    return said[:said.index("full")], said[said.index("full") + 1:]


@pytest.mark.subprocess
def test_warnings_of_runs_in_other_processes_are_printed_once_on_one_line(several):
    *lines, status = several[0]
    assert status == "status 0"
    assert all(line.startswith("Warning: ") for line in lines) and len(set(lines)) == len(lines)
    assert any(line.startswith("Warning: No convergence to a tolerance of 0.001 in 4 iterations") for line in lines)


@pytest.mark.subprocess
def test_a_full_disk_is_one_sentence_also_with_several_processes(several):
    fit, first, select, second = several[1]
    assert first == second == "status 1"
    for line in (fit, select):
        assert re.fullmatch(r"Error: The disk is full: \S+ cannot be written\. Free some space and try again\.", line)


@pytest.mark.parametrize("runs", [(), ("--n-runs", "2"), ("--n-runs", "2", "--as-in-the-paper")])
def test_a_finished_fit_is_kept_until_its_outputs_are_written(here, monkeypatch, runs):
    command = (*FIT, "-a", "a.h5ad", *runs)

    def fail(*arguments):
        raise OSError("The disk was removed.")

    with monkeypatch.context() as patch:
        patch.setattr("spicemix_core.command_line.fitting.write_data", fail)
        assert main(command) == 1
    assert Path("m.h5.checkpoint").exists() and not Path("m.h5").exists() and not Path("a.h5ad").exists()
    with monkeypatch.context() as patch:
        for start in ("spicemix_core.algorithm.initialize", "spicemix_core.baselines.published_fit.start"):
            patch.setattr(start, fail)  # it must not start again
        assert main(command) == 0
    assert Path("m.h5").exists() and Path("a.h5ad").exists() and not Path("m.h5.checkpoint").exists()


def killed_before_the_name_of(second, *arguments):
    """Run a command in a process that is killed when the output ``second`` is about to get its name."""
    def replace_or_be_killed(temporary, target, replace=atomic._replace):
        if target == second.resolve():
            os.kill(os.getpid(), signal.SIGKILL)
        replace(temporary, target)

    atomic._replace = replace_or_be_killed
    return run_main(*arguments)


TWO_OUTPUTS = {
    "fit": (*FIT, "-a", "second.h5ad"), "consensus": (*FIT, "-a", "second.zarr", "--n-runs", "2"),
    "as in the paper": (*FIT, "-a", "second.h5ad", "--n-runs", "2", "--as-in-the-paper"),
    "select": ("select", "tissue.h5ad", "-o", "m.csv", "--plot", "second.svg", "-k", "2,3", "--n-seeds", "2",
               "--max-iter", "3"),
    "cluster": ("cluster", "fitted.h5ad", "-o", "m.h5ad", "--markers", "second.csv", "--n-clusters", "4")}


@pytest.mark.subprocess
@pytest.mark.parametrize("name", TWO_OUTPUTS)
def test_the_same_command_goes_on_after_a_kill_between_its_outputs(here, monkeypatch, name):
    command, before = TWO_OUTPUTS[name], {*here.iterdir()}
    first, second = (Path(argument) for argument in command if argument.startswith(("m.", "second")))
    assert run_forked(killed_before_the_name_of, second, *command).returncode == -signal.SIGKILL
    assert first.exists() and not second.exists()

    def fail(*arguments):
        raise AssertionError("The fits were finished.")

    for start in ("algorithm.initialize", "baselines.published_fit.start", "runs.cross_validation.SpiceMix"):
        monkeypatch.setattr(f"spicemix_core.{start}", fail)
    assert main(command) == 0
    assert {*here.iterdir()} - before == {here / first, here / second}
    assert main(command) == 1  # now both exist


def interrupted_after_the_first_checkpoint():
    """Run the fit in a process that inherited an ignored SIGINT, and send it this signal in its first save."""
    def save_and_stop(self, *arguments, save=Checkpoint.save, **options):
        save(self, *arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Checkpoint.save = save_and_stop
    return run_main(*FIT)


@pytest.mark.subprocess
def test_a_fit_that_a_script_started_in_the_background_can_be_interrupted(here):
    run = run_forked(interrupted_after_the_first_checkpoint)
    assert run.returncode == 130
    assert run.stderr == "Error: The fit was interrupted. The same command resumes from m.h5.checkpoint.\n"
    assert main(FIT) == 0


@pytest.mark.subprocess
def test_closed_streams_are_not_an_error(here):
    def without_streams():
        sys.stdout = sys.stderr = None
        return run_main(*FIT)

    assert run_forked(without_streams).returncode == 0 and Path("m.h5").exists()
    assert run_forked(without_streams).returncode == 1


def test_closed_standard_streams_are_not_taken_by_files(here):
    code = """import os, sys
from spicemix_core.command_line import main
status = main()
same = [os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in (0, 1, 2)]
open("same.txt", "w").write(str(same))
sys.exit(status)"""
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    arguments = ["simulate", "-o", "s.h5ad", "--n-cells", "20", "--n-genes", "5"]
    run = subprocess.run([*closing, *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert run.returncode == 0 and Path("same.txt").read_text() == "[True, True, True]"
    assert anndata.read_h5ad("s.h5ad").shape == (20, 5)


def test_an_error_that_nobody_reads_is_not_another_error(here):
    code = "import sys; from spicemix_core.command_line import main; sys.exit(main())"
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run([sys.executable, "-c", code, "fit", "--nonsense"], stderr=writing,
                         env=os.environ | {"PYTHONPATH": str(ROOT)})
    os.close(writing)
    assert run.returncode == 2


def test_a_fit_that_runs_out_of_memory_says_so_and_resumes(here, monkeypatch, capsys):
    iterate, done = algorithm.iterate, []

    def allocate_too_much(*arguments, **options):
        done.append(None)
        return iterate(*arguments, **options) if len(done) < 3 else np.ones(2**50)

    with monkeypatch.context() as patch:
        patch.setattr(algorithm, "iterate", allocate_too_much)
        assert main(FIT) == 1
    (line,) = stderr(capsys)
    assert re.fullmatch(r"Error: The memory is full \(.+\)\. Close other programs, or use a machine with more memory\. "
                        r"The same command resumes from m\.h5\.checkpoint\.", line)
    monkeypatch.setattr(algorithm, "initialize", None)  # it must not start again
    assert main(FIT) == 0


# The first checkpoint is saved, and from then on the process can have two mebibytes more. Arrays are mapped, and so are
# given back at once: that the next iteration needs more does not depend on what the process has freed before.
LIMITED = """
import resource, sys
from pathlib import Path
from spicemix_core.command_line import main
from spicemix_core.files import checkpoint

def save_and_limit(self, *arguments, save=checkpoint.Checkpoint.save, **options):
    save(self, *arguments, **options)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**21,) * 2)

checkpoint.SECONDS, checkpoint.Checkpoint.save = 0.0, save_and_limit
sys.exit(main())"""


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform != "linux", reason="Other systems do not limit the memory of a process.")
def test_a_fit_in_a_process_with_limited_memory_keeps_its_checkpoint(here, monkeypatch):
    values = np.random.default_rng(0).gamma(1.0, size=(40_000, 11)).astype(np.float32)  # a state of all cells: 3 MiB
    anndata.AnnData(values).write_h5ad("large.h5ad")
    command = ("fit", "large.h5ad", "-k", "10", "--max-iter", "2", "--non-spatial", "-o")
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(2**16))
    run = run_program(LIMITED, *command, "m.h5")
    assert run.returncode == 1
    assert re.fullmatch(r"Error: The memory is full \(Unable to allocate .+\)\. Close other programs, or use a machine "
                        r"with more memory\. The same command resumes from m\.h5\.checkpoint\.\n", run.stderr)
    assert not Path("m.h5").exists() and main((*command, "n.h5")) == 0
    monkeypatch.setattr(algorithm, "initialize", None)  # it must not start again
    assert main((*command, "m.h5")) == 0
    np.testing.assert_array_equal(SpiceMix.load("m.h5").metagenes_, SpiceMix.load("n.h5").metagenes_)


def test_libraries_that_do_not_fit_into_memory_are_not_called_missing():
    mapping = ImportError("_tree.so: failed to map segment from shared object")
    wrapped = OSError("Could not find/load shared object file 'libllvmlite.so'")
    wrapped.__context__ = OSError("libllvmlite.so: failed to map segment from shared object")
    for error in (mapping, wrapped, OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))):
        assert one_line(error).startswith(f"The memory is full ({error}). Close other programs")
    assert one_line(ImportError("No module named 'torch'")) == "No module named 'torch'"


def test_a_process_that_the_system_killed_is_named_with_what_to_do(here, monkeypatch, capsys):
    def kill(*_, **__):
        raise BrokenExecutor("A worker process was unexpectedly terminated.")

    monkeypatch.setattr("spicemix_core.runs.consensus.Parallel", kill)
    assert main((*FIT, "--n-runs", "2")) == 1
    assert stderr(capsys) == [
        "Error: A process of the fit was killed, as systems do when the memory is full. Close other programs, or lower "
        "--n-jobs. The same command resumes from m.h5.checkpoint."]


def test_a_fit_does_not_depend_on_the_wall_clock(here, monkeypatch):
    times = iter(range(10**9, 0, -10**5))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))  # set back at every look
    monkeypatch.setattr("spicemix_core.files.checkpoint.SECONDS", 0.0)
    assert main(FIT) == 0
    with monkeypatch.context() as patch:
        patch.undo()
        assert main((*FIT[:3], "n.h5", *FIT[4:])) == 0
    back, forth = SpiceMix.load("m.h5"), SpiceMix.load("n.h5")
    np.testing.assert_array_equal(back.metagenes_, forth.metagenes_)
    assert (back.history_.filter(like="seconds") >= 0).all(axis=None)


def report_and_wait():
    """Write the data of a report, print their folder, and wait to be killed."""
    def wait(folder, parameters):
        print(folder, flush=True)
        Event().wait()

    report._execute = wait
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return run_main("report", "model.h5", "fitted.h5ad", "-o", "r.html")


@pytest.mark.subprocess
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_report_leaves_no_copy_of_the_data(here, how):
    run = Forked(report_and_wait)
    with run.stdout, run.stderr:
        folder = Path(run.stdout.readline().strip())
        assert (folder / "data.h5ad").is_file()
        os.kill(run.number, how)
        run.stderr.read()  # until the process that removes the folder has ended too
    assert run.wait() == (130 if how == signal.SIGINT else -how)
    assert not folder.exists() and not Path("r.html").exists()


def test_two_fits_cannot_use_one_checkpoint_at_once(here, capsys):
    with locked("m.h5.checkpoint"):
        assert main(FIT) == 1
        assert stderr(capsys) == ["Error: Another process uses m.h5.checkpoint. Wait until it has finished, or choose "
                                "another name."]
        assert main(("select", "tissue.h5ad", "-o", "m.h5.csv", "--folder", "m.h5.checkpoint")) == 1
    assert not Path("m.h5").exists() and main(FIT) == 0


# ---- interrupted


LONG = ("fit", "long.h5ad", "-o", "long.h5", "-k", "6", "--max-iter", "60", "--tol", "0")


def fit_and_wait():
    """Run the fit in a process that inherited an ignored SIGINT, and wait after the third save to be stopped."""
    def save_and_wait(self, *arguments, save=Checkpoint.save, saved=[], **options):  # noqa: B006
        save(self, *arguments, **options)
        saved.append(None)
        if len(saved) == 3:
            print("waiting", flush=True)
            Event().wait(300)  # then the fit ends and the test fails

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    checkpoint.SECONDS, Checkpoint.save = 0.0, save_and_wait
    return run_main(*LONG)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A fit of some seconds: its folder, with the data only, and its numbers."""
    folder = tmp_path_factory.mktemp("long")
    adata = simulate_cortex(2, n_cells=150, n_genes=40, random_state=0)
    adata.write_h5ad(folder / "long.h5ad")
    with pytest.warns(match="No convergence"):
        return folder, SpiceMix(6, max_iter=60, tol=0, random_state=0).fit(adata)


@pytest.mark.subprocess
@pytest.mark.filterwarnings("ignore:no convergence")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_fit_resumes_to_the_same_numbers(undisturbed, tmp_path, monkeypatch, how):
    folder, expected = undisturbed
    shutil.copy(folder / "long.h5ad", tmp_path)
    monkeypatch.chdir(tmp_path)
    run = Forked(fit_and_wait)
    kept, output = Path("long.h5.checkpoint"), Path("long.h5")
    with run.stdout, run.stderr:
        assert "waiting\n" in iter(run.stdout.readline, "")  # after what was understood of the data
        os.kill(run.number, how)
        said = run.stderr.read()
    assert run.wait() == (130 if how == signal.SIGINT else -how)
    assert kept.exists() and not output.exists()
    assert said == ("Error: The fit was interrupted. The same command resumes from long.h5.checkpoint.\n"
                    if how == signal.SIGINT else "")
    assert main(LONG) == 0
    resumed = SpiceMix.load(output)
    np.testing.assert_array_equal(resumed.metagenes_, expected.metagenes_)
    np.testing.assert_array_equal(resumed.affinity_, expected.affinity_)
    assert not kept.exists()
