"""What `pip install` gives: a wheel with the package and the small files that it reads, and nothing else."""

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
READ_FILES = {"datasets/registry.json", "datasets/twin_seqfish_plus.npz", "datasets/twin_starmap.npz",
              "datasets/GO_0043209_myelin_sheath_mouse.txt", "report/chapter.md", "report/page.html"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without isolation and without a network, unpacked; its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True,
                   capture_output=True, env=os.environ | {"NO_COLOR": "1"})
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def metadata(wheel):
    return email.message_from_string(next(wheel.glob("*.dist-info/METADATA")).read_text(encoding="utf-8"))


def test_wheel_holds_the_package_and_what_it_reads(wheel):
    assert {path.name.partition("-")[0] for path in wheel.iterdir()} == {"spicemix_core"}
    files = {path.relative_to(wheel / "spicemix_core").as_posix() for path in (wheel / "spicemix_core").rglob("*")
             if path.is_file()}
    sources = {path.relative_to(ROOT / "spicemix_core").as_posix() for path in (ROOT / "spicemix_core").rglob("*.py")}
    assert files == sources | READ_FILES
    assert sum(path.stat().st_size for path in wheel.rglob("*") if path.is_file()) < 8e6


def test_extras_are_those_that_the_documentation_names(wheel):
    told = metadata(wheel)
    assert set(told.get_all("Provides-Extra")) == {"torch", "gurobi", "dask", "book", "test"}
    needed = [Requirement(line) for line in told.get_all("Requires-Dist")]
    core = {requirement.name for requirement in needed if requirement.marker is None}
    assert {"anndata", "numba", "typer"} <= core
    assert not core & {"torch", "gurobipy", "distributed", "papermill", "jupyter-book", "pytest", "scanpy", "squidpy"}
    of_extra = {extra: {r.name for r in needed if r.marker and r.marker.evaluate({"extra": extra})}
                for extra in told.get_all("Provides-Extra")}
    assert of_extra["torch"] == {"torch"} and of_extra["gurobi"] == {"gurobipy"}
    assert of_extra["dask"] == {"distributed"}
    assert {"jupytext", "papermill", "nbconvert", "ipykernel"} <= of_extra["book"]


def test_wheel_gives_the_command(wheel):
    points = next(wheel.glob("*.dist-info/entry_points.txt")).read_text()
    assert points.split() == ["[console_scripts]", "spicemix", "=", "spicemix_core.command_line:main"]


def test_unpacked_wheel_works_by_itself(wheel, tmp_path):
    code = ("import sys; from spicemix_core.command_line import main; from spicemix_core.datasets import "
            "load_or_simulate_starmap as load; import spicemix_core; print(spicemix_core.__file__); "
            "main(['data', 'list']); print(load(download=False).shape)")
    environment = {key: value for key, value in os.environ.items() if key != "SPICEMIX_DATA"}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
                         env=environment | {"PYTHONPATH": str(wheel), "XDG_CACHE_HOME": str(tmp_path)})
    lines = run.stdout.splitlines()
    assert lines[0].startswith(str(wheel)) and "starmap" in run.stdout and lines[-1] == "(930, 1020)"
