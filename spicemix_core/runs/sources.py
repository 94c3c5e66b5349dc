"""Which source files a piece of code needs, according to its import statements.

This file imports only the standard library, so that the book's runner can load it by its path without the package.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package


def sources_of(module: str, roots: Sequence[Path] = (ROOT,)) -> set[Path]:
    """Files below ``roots`` that a module imports, directly or not, including its own and those of its packages."""
    return _closure([module], roots)


def sources_of_code(code: str, roots: Sequence[Path] = (ROOT,)) -> set[Path]:
    """The same for Python code outside modules, for example that of a chapter."""
    return _closure(_imported(code, _packages(roots)), roots)


def _closure(modules, roots):
    packages = _packages(roots)
    found, todo, homes = set(), list(modules), _homes(packages)
    while todo:
        name = todo.pop()
        name = homes.get(name, name)
        top, *parts = name.split(".")
        if top not in packages:
            continue
        path = packages[top].joinpath(*parts)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path in found or not path.exists():  # a name inside a module
            continue
        found.add(path)
        todo += [name.rpartition(".")[0]] if parts else []
        todo += _imported(path.read_bytes(), packages)
        todo += _table(path).values() if parts and path.name == "__init__.py" else []  # any of its names may be used
    return found


def _packages(roots):
    """Folders of the packages below ``roots``, by name."""
    return {path.parent.name: path.parent for root in roots for path in sorted(Path(root).glob("*/__init__.py"))}


def _homes(packages):
    """Modules of the names that the packages import on first use."""
    return {f"{package}.{name}": module for package, folder in packages.items()
            for name, module in _table(folder / "__init__.py").items()}


def _table(path):
    """The table ``_MODULES`` of a package: names that it imports on first use, and their modules."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODULES":
            return ast.literal_eval(node.value)
    return {}


def _imported(code, packages):
    """Dotted names of ``packages`` that the code uses. The names in a ``from`` statement may be modules."""
    names = []
    for node in _executed(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.append(f"{node.value.id}.{node.attr}")
    return [name for name in names if name.split(".")[0] in packages]


def _executed(node):
    """All nodes of a program except those that only type checkers read."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _executed(child)
