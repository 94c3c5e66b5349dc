"""Which files of this package a piece of code draws on, read off its import statements.

Nothing but the standard library is imported, so that the book's runner can load this file by its path, without the
package.
"""

import ast
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = Path(__file__).resolve().parent.name


def sources_of(module, root=_ROOT):
    """Files of this package that a module imports, directly or not, its own and its packages' included: set of Path."""
    return _closure([module], Path(root))


def sources_of_code(code, root=_ROOT):
    """The same for Python code outside the package, for example that of a chapter."""
    return _closure(_imported(code), Path(root))


def _closure(modules, root):
    found, todo = set(), list(modules)
    while todo:
        name = todo.pop()
        path = root.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path in found or not path.exists():  # a name imported from a module is no module
            continue
        found.add(path)
        todo += [name.rpartition(".")[0]] if "." in name else []
        todo += _imported(path.read_bytes())
    return found


def _imported(code):
    """Dotted names of this package in the import statements of some code; the names in a ``from`` may be modules."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.split(".")[0] == _PACKAGE]
