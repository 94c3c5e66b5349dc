"""The files that describe the environment agree: pyproject.toml, the lock, environment.yml, the Makefile."""

import os
import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from spicemix_core.command_line import app

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


def locked(name="requirements.lock", several=False):
    """The entries of a lock: name -> (requirement, hashes), or a list of these if there are ``several`` of a name."""
    lines = (ROOT / name).read_text().replace("\\", "").splitlines()
    entries = " ".join(line.strip() for line in lines if not line.lstrip().startswith("#"))
    found = []
    for entry in re.split(r"\s+(?=[A-Za-z0-9][A-Za-z0-9._-]*==)", entries):
        text, *hashes = re.split(r"\s--hash=", entry)
        requirement = Requirement(text)
        found.append((requirement, hashes))
    return found if several else {canonicalize_name(requirement.name): (requirement, hashes)
                                  for requirement, hashes in found}


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


def test_torch_is_locked_by_its_digests_for_each_system():
    requirements = locked("requirements-torch.lock", several=True)
    assert {str(requirement.marker) for requirement, _ in requirements} == {
        'sys_platform == "darwin"', 'sys_platform != "darwin"'}
    for requirement, hashes in requirements:
        assert str(requirement.specifier).removesuffix("+cpu") == f"=={make_variable('TORCH')}"
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", digest) for digest in hashes)
    assert "--require-hashes --index-url $(TORCH_INDEX) -r requirements-torch.lock" in MAKEFILE


def test_no_release_candidate_is_locked():
    versions = {name: next(iter(requirement.specifier)).version for name, (requirement, _) in locked().items()}
    assert not {name: version for name, version in versions.items() if Version(version).is_prerelease}


WORKFLOWS = {path.name: path for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}


@pytest.mark.parametrize("name", ["Makefile", ".ci/run", ".binder/postBuild", *WORKFLOWS])
def test_no_second_index_can_shadow_the_name_of_a_package(name):
    assert "extra-index-url" not in (WORKFLOWS.get(name) or ROOT / name).read_text()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_by_commit_and_jobs_have_their_own_permissions(name):
    text = WORKFLOWS[name].read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {} and re.findall(r"uses: (\S+)", text)
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in re.findall(r"uses: (\S+)", text))
    for job in workflow["jobs"].values():
        runs_code = any("make" in step.get("run", "") or "pip" in step.get("run", "") for step in job["steps"])
        assert not runs_code or job["permissions"] == {"contents": "read"}  # what runs all code can write nothing


def test_commands_of_the_workflows_are_understood():
    program = typer.main.get_command(app)
    calls = [line for path in WORKFLOWS.values()
             for line in re.findall(r"bin/spicemix (.*)$", path.read_text(), re.MULTILINE)]
    assert calls
    for call in calls:
        name, *arguments = call.split()
        program.commands[name].make_context(name, arguments).close()


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


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-torch.lock", "requirements.in", "environment.yml",
                                  "Makefile", ".ci/run"])
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
