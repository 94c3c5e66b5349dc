"""Commands that are stopped, killed, or run out of disk or memory: nothing is lost, and the error is one sentence."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spicemix_core.command_line import main
from spicemix_core.datasets.simulation import simulate_cortex
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


SMALL_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from spicemix_core.command_line import main
sys.exit(main())"""


@pytest.mark.parametrize(("n_bytes", "arguments", "names"), [
    (3000, ("simulate", "-o", "s.h5ad"), "s.h5ad"), (3000, ("simulate", "-o", "s.zarr"), "s.zarr"),
    (9000, FIT, "m.h5.checkpoint"), (90_000, (*FIT, "-a", "a.h5ad"), "m.h5 and a.h5ad"),
    (300, ("cluster", "fitted.h5ad", "-o", "c.zarr", "--markers", "m.csv"), "c.zarr and m.csv")])
def test_a_full_disk_gives_an_error_of_one_sentence_and_no_output(here, n_bytes, arguments, names):
    before = sorted(here.iterdir())
    run = run_program(SMALL_FILES, n_bytes, *arguments)
    assert run.returncode == 1
    assert run.stderr == f"Error: The disk is full: {names} cannot be written. Free some space and try again.\n"
    assert [path for path in here.iterdir() if path not in before and path.suffix != ".checkpoint"] == []


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


# The program is killed when the second output is about to get its name.
KILLED = """
import os, signal, sys
from pathlib import Path
import spicemix_core.files.atomic as atomic
from spicemix_core.command_line import main

def replace_or_be_killed(temporary, target, replace=atomic._replace, second=Path(sys.argv.pop(1)).resolve()):
    if target == second:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(temporary, target)

atomic._replace = replace_or_be_killed
sys.exit(main())"""
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
    assert run_program(KILLED, second, *command).returncode == -signal.SIGKILL
    assert first.exists() and not second.exists()

    def fail(*arguments):
        raise AssertionError("The fits were finished.")

    for start in ("algorithm.initialize", "baselines.published_fit.start", "runs.cross_validation.SpiceMix"):
        monkeypatch.setattr(f"spicemix_core.{start}", fail)
    assert main(command) == 0
    assert {*here.iterdir()} - before == {here / first, here / second}
    assert main(command) == 1  # now both exist


INTERRUPTED = """
import os, signal, sys
import spicemix_core.files.checkpoint as kept
from spicemix_core.command_line import main

def save_and_stop(self, *arguments, save=kept.Checkpoint.save, **options):
    save(self, *arguments, **options)
    os.kill(os.getpid(), signal.SIGINT)

kept.Checkpoint.save = save_and_stop
sys.exit(main())"""


def test_a_fit_that_a_script_started_in_the_background_can_be_interrupted(here):
    run = run_program(INTERRUPTED, *FIT, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert run.returncode == 130
    assert run.stderr == "Error: The fit was interrupted. The same command resumes from m.h5.checkpoint.\n"
    assert main(FIT) == 0


def test_closed_streams_are_not_an_error(here):
    code = "import sys; sys.stdout = sys.stderr = None; from spicemix_core.command_line import main; sys.exit(main())"
    assert run_program(code, *FIT).returncode == 0 and Path("m.h5").exists()
    assert run_program(code, *FIT).returncode == 1


def test_two_fits_cannot_use_one_checkpoint_at_once(here, capsys):
    with locked("m.h5.checkpoint"):
        assert main(FIT) == 1
        assert stderr(capsys) == ["Error: Another process uses m.h5.checkpoint. Wait until it has finished, or choose "
                                "another name."]
        assert main(("select", "tissue.h5ad", "-o", "m.h5.csv", "--folder", "m.h5.checkpoint")) == 1
    assert not Path("m.h5").exists() and main(FIT) == 0


# ---- interrupted


LONG = ("fit", "long.h5ad", "-o", "long.h5", "-k", "6", "--max-iter", "150", "--tol", "0")
# A checkpoint at every iteration; after the third the program prints a line and waits to be stopped.
WAITING = """
import sys, threading
import spicemix_core.files.checkpoint as kept
from spicemix_core.command_line import main

def save_and_wait(self, *arguments, save=kept.Checkpoint.save, saved=[], **options):
    save(self, *arguments, **options)
    saved.append(None)
    if len(saved) == 3:
        print("waiting", flush=True)
        threading.Event().wait()

kept.SECONDS, kept.Checkpoint.save = 0.0, save_and_wait
sys.exit(main())"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A fit of some seconds: its folder, with the data only, and its numbers."""
    folder = tmp_path_factory.mktemp("long")
    adata = simulate_cortex(2, n_cells=150, n_genes=40, random_state=0)
    adata.write_h5ad(folder / "long.h5ad")
    with pytest.warns(match="No convergence"):
        return folder, SpiceMix(6, max_iter=150, tol=0, random_state=0).fit(adata)


@pytest.mark.subprocess
@pytest.mark.filterwarnings("ignore:no convergence")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_fit_resumes_to_the_same_numbers(undisturbed, tmp_path, monkeypatch, how):
    folder, expected = undisturbed
    shutil.copy(folder / "long.h5ad", tmp_path)
    monkeypatch.chdir(tmp_path)
    run = subprocess.Popen([sys.executable, "-c", WAITING, *LONG], text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
    kept, output = Path("long.h5.checkpoint"), Path("long.h5")
    assert run.stdout.readline() == "waiting\n"
    run.send_signal(how)
    said = run.communicate(timeout=60)[1]
    assert kept.exists() and not output.exists()
    if how == signal.SIGINT:
        assert run.returncode == 130
        assert said.splitlines() == [
            "Error: The fit was interrupted. The same command resumes from long.h5.checkpoint."]
    assert main(LONG) == 0
    resumed = SpiceMix.load(output)
    np.testing.assert_array_equal(resumed.metagenes_, expected.metagenes_)
    np.testing.assert_array_equal(resumed.affinity_, expected.affinity_)
    assert not kept.exists()
