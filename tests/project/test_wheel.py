"""What `pip install` gives: a wheel with the package and the small files that it reads, and nothing else."""

import email
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
READ_FILES = {"py.typed", "datasets/registry.json", "datasets/twin_seqfish_plus.npz", "datasets/twin_starmap.npz",
              "datasets/twin_visium_dlpfc.npz", "datasets/GO_0043209_myelin_sheath_mouse.txt",
              "datasets/starmap_genes.txt",
              "report/chapter.md", "report/page.html"}


# Every public name is imported, and public functions of each kind are called, by files that only the wheel holds.
EVERYTHING = """
import warnings

import spicemix_core

warnings.simplefilter("ignore")
assert spicemix_core.__file__.startswith({wheel!r}), spicemix_core.__file__
for name in spicemix_core.__all__:
    value = getattr(spicemix_core, name)
    for part in getattr(value, "__all__", []):
        assert getattr(value, part) is not None

from spicemix_core import SpiceMix, baselines, convert, datasets, fit_consensus, inputs, pl, read_data, select, tl

adata = datasets.simulate_cortex(2, n_cells=20, n_genes=12, random_state=0)
model = SpiceMix(3, max_iter=2, affinity_iterations=1, random_state=0).fit(adata, sample_key="sample")
model.save("model.h5")
assert (SpiceMix.load("model.h5").transform(adata, "sample") >= 0).all()
tl.cluster(adata)
tl.type_affinity(adata, sample_key="sample")
pl.spatial(adata, sample_key="sample").savefig("map.png")
adata.write_h5ad("data.h5ad")
convert("data.h5ad", "data.zarr")
assert read_data("data.zarr").shape == (40, 12)
quick = dict(sample_key="sample", max_iter=2, affinity_iterations=1)
fit_consensus(adata, 3, n_runs=2, random_state=0, **quick)
select(adata, n_metagenes=(2,), n_seeds=2, **quick)
datasets.load_gene_set("GO:0043209")
assert datasets.load_or_simulate_starmap(download=False).shape == (930, 1020)
print("everything")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, built without isolation and without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True,
                   capture_output=True, env=os.environ | {"NO_COLOR": "1"})
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(built):
    """The folder of the unpacked wheel."""
    with zipfile.ZipFile(built) as archive:
        archive.extractall(built.parent / "unpacked")
    return built.parent / "unpacked"


def test_wheel_is_small(built):
    assert built.stat().st_size < 550_000  # 170 kB of it are synthetic twins


def metadata(wheel):
    return email.message_from_string(next(wheel.glob("*.dist-info/METADATA")).read_text(encoding="utf-8"))


def test_wheel_holds_the_package_and_what_it_reads(wheel):
    assert {path.name.partition("-")[0] for path in wheel.iterdir()} == {"spicemix_core"}
    files = {path.relative_to(wheel / "spicemix_core").as_posix() for path in (wheel / "spicemix_core").rglob("*")
             if path.is_file()}
    sources = {path.relative_to(ROOT / "spicemix_core").as_posix() for path in (ROOT / "spicemix_core").rglob("*.py")}
    assert files == sources | READ_FILES


def test_extras_are_those_that_the_documentation_names(wheel):
    declared = metadata(wheel)
    assert set(declared.get_all("Provides-Extra")) == {"torch", "gurobi", "dask", "book", "test"}
    needed = [Requirement(line) for line in declared.get_all("Requires-Dist")]
    core = {requirement.name for requirement in needed if requirement.marker is None}
    assert {"anndata", "numba", "typer"} <= core
    assert not core & {"torch", "gurobipy", "distributed", "papermill", "jupyter-book", "pytest", "scanpy", "squidpy"}
    of_extra = {extra: {r.name for r in needed if r.marker and r.marker.evaluate({"extra": extra})}
                for extra in declared.get_all("Provides-Extra")}
    assert of_extra["torch"] == {"torch"} and of_extra["gurobi"] == {"gurobipy"}
    assert of_extra["dask"] == {"distributed"}
    assert {"jupytext", "papermill", "nbconvert", "ipykernel"} <= of_extra["book"]


def test_wheel_gives_the_command(wheel):
    points = next(wheel.glob("*.dist-info/entry_points.txt")).read_text()
    assert points.split() == ["[console_scripts]", "spicemix", "=", "spicemix_core.command_line:main"]


def run_alone(wheel, folder, *arguments):
    """Run Python in a folder, with the unpacked wheel on its path and neither the repository nor measured data."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SPICEMIX_DATA")}
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
                          env=environment | {"PYTHONPATH": str(wheel), "XDG_CACHE_HOME": str(folder),
                                             "MPLBACKEND": "agg", "NUMBA_DISABLE_JIT": "1"})  # to compile takes longer


def test_every_public_function_works_without_the_repository(wheel, tmp_path):
    run = run_alone(wheel, tmp_path, "-c", EVERYTHING.format(wheel=str(wheel)))
    assert run.stdout == "everything\n", run.stderr


def test_the_command_works_without_the_repository(wheel, tmp_path):
    run = run_alone(wheel, tmp_path, "-m", "spicemix_core.command_line", "data", "list")
    assert run.returncode == 0 and "starmap" in run.stdout, run.stderr


def test_the_version_is_that_of_pyproject(wheel, tmp_path):
    run = run_alone(wheel, tmp_path, "-c", "import spicemix_core; print(spicemix_core.__version__)")
    assert run.stdout.strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
