"""The rules of the layout: which room may import which, sizes of modules, and what is public."""

import importlib
import subprocess
import sys

import pytest
from layout import (
    FACE,
    FACE_NAMES,
    FACES,
    MODULES,
    PACKAGE,
    PAPER,
    ROOMS,
    ROOT,
    code_of,
    docstring_lines,
    homes,
    imports,
    lines,
    named,
    public,
    room,
    used_names,
)

PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md")), *sorted((ROOT / "book/chapters").glob("*.md"))]
CORE = [path for name, path in MODULES.items() if room(name) in ("core", "model", "numerics", FACE)]


def arrows(module):
    """Imports of a module that leave its room: (room, module, name)."""
    return sorted((room(target), target, name or "") for target, name in imports(module)
                  if room(target) != room(module))


# --- rooms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in ("core", "numerics")])
def test_the_core_imports_only_the_core_and_numerics(module):
    assert not [arrow for arrow in arrows(module) if arrow[0] not in ("core", "numerics")]


def test_the_model_also_imports_inputs_files_and_backends():
    assert {arrow[0] for arrow in arrows("spicemix_core.model")} <= {"core", "numerics", "inputs", "files", "backends"}


@pytest.mark.parametrize("name", ROOMS)
def test_arrows_between_rooms_run_downwards(name):
    below = ROOMS[: ROOMS.index(name)]
    upwards = {(module, *arrow) for module in MODULES if room(module) == name for arrow in arrows(module)
               if arrow[0] not in below and arrow[0] != FACE}
    assert not upwards


def test_every_module_is_in_a_room_of_the_list():
    assert {room(module) for module in MODULES} == {*ROOMS, FACE}


def test_the_package_imports_neither_the_chapters_code_nor_its_public_names():
    inside = [module for module in MODULES if module.split(".")[0] == "spicemix_core" and module != FACE]
    assert not [(module, arrow) for module in inside for arrow in arrows(module)
                if arrow[0].split(".")[0] == "paper" or (arrow[0] == FACE and arrow[2] not in FACE_NAMES)]
    assert not [module for module in inside if "book/" in MODULES[module].read_text(encoding="utf-8")]


def test_no_modules_import_each_other_in_a_circle():
    below = {module: {target for target, _ in imports(module)} for module in MODULES}
    while leaves := [module for module, targets in below.items() if not targets]:
        for leaf in leaves:
            del below[leaf]
        below = {module: targets.difference(leaves) for module, targets in below.items()}
    assert not below, "these modules are in a circle or import one that is"


def test_names_with_an_underscore_stay_in_their_folder():
    taken = [(module, target, name) for module in MODULES for target, name in imports(module)
             if any(part.startswith("_") for part in f"{target}.{name or ''}".split("."))
             and name not in FACE_NAMES and MODULES[target].parent != MODULES[module].parent]
    assert not taken


# --- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [PACKAGE, PAPER, ROOT / "data", ROOT / "book/_tools"], ids=lambda path: path.name)
def test_no_module_has_more_than_300_lines(folder):
    assert not {str(path.relative_to(ROOT)): lines(path) for path in folder.rglob("*.py") if lines(path) > 300}


def test_core_and_numerics_have_at_most_2880_lines():
    assert sum(map(lines, CORE)) <= 2880


def test_the_package_has_fewer_than_12250_lines_outside_its_docstrings():
    assert sum(lines(path) - docstring_lines(path) for path in PACKAGE.rglob("*.py")) < 12_250


# --- public names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
def test_dir_of_a_face_shows_its_public_names_and_nothing_else(face):
    module = importlib.import_module(face)
    assert dir(module) == sorted(module.__all__)
    assert not [name for name in module.__all__ if name.startswith("_") or not hasattr(module, name)]


def test_the_modules_of_the_public_names_exist():
    assert set(homes().values()) <= set(MODULES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_and_imports_public_paths_only(page):
    names = named(page.read_text(encoding="utf-8")) | used_names(code_of(page))
    assert not sorted(name for name in names if not public(name))


def test_the_package_is_imported_without_its_heavy_dependencies():
    code = ("import sys, spicemix_core; dir(spicemix_core); "
            "print(sorted({'numba', 'numpy', 'pandas', 'sklearn', 'importlib.metadata'} & set(sys.modules)))")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
