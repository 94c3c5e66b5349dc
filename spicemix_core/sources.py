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
    found, todo, homes = set(), list(modules), _homes(root)
    while todo:
        name = todo.pop()
        name = homes.get(name, name)
        path = root.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path in found or not path.exists():  # a name imported from a module is no module
            continue
        found.add(path)
        todo += [name.rpartition(".")[0]] if "." in name else []
        todo += _imported(path.read_bytes())
    return found


def _homes(root):
    """Modules of the names that the package itself imports only when they are asked for: its table ``_MODULES``."""
    path = root / _PACKAGE / "__init__.py"
    for node in ast.parse(path.read_bytes()).body if path.exists() else []:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODULES":
            return {f"{_PACKAGE}.{name}": module for name, module in ast.literal_eval(node.value).items()}
    return {}


def _imported(code):
    """Dotted names of this package that some code imports or takes from it; the names in a ``from`` may be modules."""
    names = []
    for node in _executed(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.append(f"{node.value.id}.{node.attr}")
    return [name for name in names if name.split(".")[0] == _PACKAGE]


def _executed(node):
    """All nodes of a program but those that only type checkers read."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _executed(child)
