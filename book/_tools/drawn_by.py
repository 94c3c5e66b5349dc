"""Which function draws a figure: found in the code of its cell and in the imports of its chapter."""

import ast
from dataclasses import dataclass
from pathlib import Path

from _tools import BOOK

HELPERS = {"show", "use_style", "palette", "draw_legend"}  # of `pl`, which finish a figure


@dataclass(frozen=True)
class Function:
    """A function that draws.

    Attributes
    ----------
    module, name : str
        For example ``paper.starmap.section_figures`` and ``draw_section``.
    """

    module: str
    name: str

    def source(self) -> tuple[Path, int] | None:
        """File of a function of ``book/paper`` and the number of its first line; None for other functions."""
        path = BOOK / (self.module.replace(".", "/") + ".py")
        if not path.is_file():
            return None
        lines = [node.lineno for node in ast.parse(path.read_bytes()).body
                 if isinstance(node, ast.FunctionDef) and node.name == self.name]
        return (path, lines[0]) if lines else None


def imported_names(code: str) -> dict[str, str]:
    """Full path of each name that some code imports: ``{"sf": "paper.starmap.findings"}``."""
    found = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.asname: name.name for name in node.names if name.asname}
    return found


def drawing_function(cell: str, names: dict[str, str]) -> Function | None:
    """The function that draws the figure of a cell: one of ``book/paper``, else one of `pl`; None without either."""
    called = [function for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Call)
              if (function := _called(node.func, names))]
    ours = [one for one in called if one.module.startswith("paper.") and one.source() and _draws(one)]
    public = [one for one in called if one.module == "spicemix_core.pl" and one.name not in HELPERS]
    return next(iter(ours + public), None)


def _draws(function: Function) -> bool:
    return function.name.startswith(("draw", "plot")) or "figures" in function.module


def _called(node: ast.expr, names: dict[str, str]) -> Function | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
        return Function(names[node.value.id], node.attr)
    if isinstance(node, ast.Name) and node.id in names:
        return Function(*names[node.id].rsplit(".", 1))
    return None
