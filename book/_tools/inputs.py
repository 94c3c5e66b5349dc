"""What the result of a chapter depends on: its source, the modules it imports, its claims, its data."""

import ast
import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import nbformat
import yaml

from _tools import BOOK, ROOT
from _tools.chapters import code_of


def _load(path: str):
    """A module of the package by its path, because the package itself takes seconds to import."""
    spec = importlib.util.spec_from_file_location(f"_tools.{Path(path).stem}", ROOT / "spicemix_core" / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LEDGER = BOOK / "claims.yml"
BENCHMARKS = "benchmarks/results"  # the tables that a chapter may show
sources, registry = _load("runs/sources.py"), _load("datasets/registry.py")


def inputs_digest(name: str, notebook: nbformat.NotebookNode, parameters: dict) -> str:
    """sha256 of everything that the result of a chapter depends on.

    That is its text, its parameters, the modules of the package that it imports, directly or not, its own entries in
    ``book/claims.yml``, the data sets that it or these modules name (with the registry and what else is in ``data/``),
    the tables of ``benchmarks/results`` if its own code names that folder, how chapters are executed, the lock of the
    environment and the version of Python. Other files of this kind, ``book/*.yml``, count for every chapter.
    """
    code = code_of(notebook)
    files = {BOOK / f"chapters/{name}.md", BOOK / "_tools/execution.py", ROOT / "requirements.lock",
             *(path for path in BOOK.glob("[!_]*.yml") if path != LEDGER), *sources.sources_of_code(code, (ROOT, BOOK))}
    if used := used_data_sets(code):
        files |= {path for path in (ROOT / "data").rglob("*") if path.is_file() and path.suffix != ".md"}
        files |= {path for data_set in used for path in data_files(data_set)}
    if BENCHMARKS in _words(code):
        files |= set((ROOT / BENCHMARKS).glob("*.md"))
    used = {"parameters": parameters, "python": sys.version_info[:2],
            "claims": claims_of(name),
            "files": [[_name(path), file_digest(path)] for path in sorted(files)]}
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()


def claims_of(name: str) -> list[dict]:
    """The entries of a chapter in the ledger of claims, if there is one."""
    claims = yaml.safe_load(LEDGER.read_text(encoding="utf-8")) if LEDGER.exists() else []
    return [claim for claim in claims if claim.get("chapter") == name]


def _name(path: Path) -> str:
    """Path of a file in the repository; for data, in any location, the folder of the data set and the file."""
    return "/".join(path.relative_to(ROOT).parts if path.is_relative_to(ROOT) else path.parts[-2:])


def file_digest(path: Path) -> str:
    """sha256 of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def used_data_sets(code: str) -> list[str]:
    """Names in the registry that occur in some code, or in modules that it imports, as text or in a loader's name.

    A loader is a function ``load..._NAME``. The loaders' own modules do not count, because they are imported together.
    """
    programs = [code, *(path.read_bytes() for path in sorted(sources.sources_of_code(code, (ROOT, BOOK)))
                        if path.parent.name != "datasets")]
    words = set().union(*map(_words, programs))
    loaders = [word for word in words if word.startswith("load")]
    return [name for name in registry.read_registry() if name in words
            or any(word.endswith((f"_{name}", f"_{name.removesuffix('s')}")) for word in loaders)]


def _words(code) -> set[str]:
    """All names and all pieces of text in a program."""
    words = set()
    for node in ast.walk(ast.parse(code)):
        for field in ("id", "attr", "name", "value"):
            word = getattr(node, field, None)
            words |= {word} if isinstance(word, str) else set()
    return words


def data_files(data_set: str) -> dict[Path, dict]:
    """Files of a data set, each with its entry in the registry; empty if there is no complete copy."""
    if (found := registry.find(data_set)) is None:
        return {}
    layout, folder = found
    return {folder / file: facts for file, facts in registry.entry(data_set)["layouts"][layout]["files"].items()}


def check_data(data_sets: list[str]) -> None:
    """Refuse a file that is truncated or not the published one, before any chapter uses it."""
    for name in data_sets:
        for path, facts in data_files(name).items():
            registry.check_file(path, facts)


def lacks_measurements(data_sets: list[str]) -> bool:
    """Whether measured data are missing, so that a chapter shows a synthetic twin."""
    return any(registry.entry(name).get("measured") and not registry.available(name) for name in data_sets)


def missing_data(data_sets: list[str]) -> str:
    """A sentence on the data sets of which files are missing, naming the file if there is just one; "" if none is."""
    missing = {name: registry.lacking(name) for name in data_sets}
    listed = ", ".join(f"{name} ({files[0]})" if len(files) == 1 else name for name, files in missing.items() if files)
    return listed and (f"Not found: {listed}. Chapters that need these data use a synthetic twin or omit a section, "
                       "and say so.")
