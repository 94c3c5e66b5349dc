"""The files that describe the environment agree: pyproject.toml, the lock, environment.yml, the Makefile."""

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def make_variable(name):
    return re.search(rf"^{name}\s*[:?]?=\s*(.*)$", MAKEFILE, re.MULTILINE).group(1)


def declared():
    """All requirements that pyproject.toml and requirements.in name."""
    extras = PROJECT["optional-dependencies"].values()
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.in").read_text().splitlines())
    named = [*PROJECT["dependencies"], *(name for extra in extras for name in extra), *filter(None, lines)]
    return [Requirement(name) for name in named]


def locked():
    """The entries of requirements.lock: name -> (requirement, number of hashes)."""
    lines = (ROOT / "requirements.lock").read_text().replace("\\", "").splitlines()
    entries = " ".join(line.strip() for line in lines if not line.lstrip().startswith("#"))
    found = {}
    for entry in re.split(r"\s+(?=[A-Za-z0-9][A-Za-z0-9._-]*==)", entries):
        text, *hashes = re.split(r"\s--hash=", entry)
        requirement = Requirement(text)
        found[canonicalize_name(requirement.name)] = requirement, hashes
    return found


def test_every_declared_requirement_is_locked_at_a_version_that_fits():
    lock = {name: requirement for name, (requirement, _) in locked().items()}
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        version = make_variable("TORCH") if name == "torch" else next(iter(lock[name].specifier)).version
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_every_locked_requirement_is_one_version_with_a_hash():
    lock = locked()
    assert len(lock) > 100
    for requirement, hashes in lock.values():
        assert [clause.operator for clause in requirement.specifier] == ["=="]
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", digest) for digest in hashes), requirement


def test_lock_leaves_torch_and_its_gpu_libraries_to_the_makefile():
    assert not [name for name in locked() if name in ("torch", "triton") or name.startswith(("nvidia-", "cuda-"))]


def test_conda_environment_has_the_python_and_the_lock_of_the_makefile():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    packages = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert f"python={make_variable('PYTHON').removeprefix('python')}" in packages
    # pip refuses requirements without a hash next to those with one, so the Makefile's torch step serves conda too
    assert pip == ["-r requirements.lock"]
    assert f"torch ({make_variable('TORCH')}" in (ROOT / "environment.yml").read_text()


def test_binder_has_the_python_and_the_lock_of_the_makefile():
    binder = ROOT / ".binder"
    assert f"python-{make_variable('PYTHON').removeprefix('python')}" == (binder / "runtime.txt").read_text().strip()
    (line,) = (binder / "requirements.txt").read_text().splitlines()
    assert (binder / line.removeprefix("-r ")).resolve() == ROOT / "requirements.lock"
    assert os.access(binder / "postBuild", os.X_OK)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements.in", "environment.yml", "Makefile", ".ci/run"])
def test_no_host_is_named_but_the_index_of_cpu_builds_of_torch(name):
    text = (ROOT / name).read_text().replace(make_variable("TORCH_INDEX"), "")
    assert not re.findall(r"\S*(?:://|\b(?:[\w-]+\.)+(?:org|com|net|io|dev)\b)\S*", text)


def test_every_make_target_is_phony():
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    assert targets == set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE).group(1).split())


def test_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_readme_links_to_files_that_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links and not [link for link in links if not (ROOT / link).exists()]
