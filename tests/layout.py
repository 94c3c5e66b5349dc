"""What the layout tests read: modules, their imports, the rooms, and the names that chapters and pages use."""

import ast
import importlib
import re
from pathlib import Path

import jupytext

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, PAPER = ROOT / "spicemix_core", ROOT / "book/paper"
FACES = ("spicemix_core", *(f"spicemix_core.{name}" for name in ("baselines", "datasets", "inputs", "pl", "steps",
                                                                 "tl")))
# From the ground up: a room imports only rooms that are listed before it.
ROOMS = ("numerics", "core", "inputs", "files", "backends", "model", "steps", "tl", "baselines", "pl", "exchange",
         "datasets", "runs", "report", "command_line",
         "paper", "paper.shared", "paper.simulation", "paper.choosing", "paper.myelination", "paper.seqfish_plus",
         "paper.starmap", "paper.methods_compared")
FACE = "spicemix_core"  # it imports from all rooms; the package itself imports only these names from it
FACE_NAMES = {"__version__"}


def modules():
    """All modules of the package and of the chapters' code: name -> path."""
    found = {}
    for top in (PACKAGE, PAPER):
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def homes():
    """The modules that define the public names of ``spicemix_core``: name -> module."""
    return importlib.import_module("spicemix_core")._MODULES


def room(module):
    """The room of a module: its folder, or ``core`` for the modules that lie flat in the package."""
    top, *rest = module.split(".")
    if top == "paper":
        return ".".join([top, *rest[:-1]]) if len(rest) > 1 else (module if module in ROOMS else "paper")
    if not rest:
        return FACE
    return rest[0] if rest[0] in ROOMS or (PACKAGE / rest[0]).is_dir() else "core"


def imports(module, only_at_import=False):
    """What a module imports of the package and of ``paper``: pairs (module, name or None for a whole module).

    Imports that only type checkers read do not count; those inside functions do not if ``only_at_import``.
    """
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in executed(ast.parse(path.read_bytes()), only_at_import):
        if isinstance(node, ast.Import):
            found |= {(alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(filter(None, [*above, base]))
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                if base == FACE and whole not in MODULES and alias.name in homes():
                    found.add((homes()[alias.name], alias.name))
                else:
                    found.add((whole, None) if whole in MODULES else (base, alias.name))
    return {(target, name) for target, name in found if target in MODULES and target != module}


def executed(node, only_at_import=False):
    """All nodes of a program except those that only type checkers read."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for child in node.orelse:
            yield from executed(child, only_at_import)
        return
    if only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from executed(child, only_at_import)


def lines(path):
    """Number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def docstring_lines(path):
    """Number of lines of a source file that belong to docstrings."""
    nodes = [node for node in ast.walk(ast.parse(path.read_bytes()))
             if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None]
    return sum(node.body[0].end_lineno - node.body[0].lineno + 1 for node in nodes)


def public(name):
    """Whether a dotted name is on a public path: a face, a name that it lists, or an attribute of such a name."""
    if name in FACES:
        return True
    face = max((face for face in FACES if name.startswith(f"{face}.")), key=len, default=None)
    if face is None:
        return False
    first, *rest = name[len(face) + 1:].split(".")
    value = importlib.import_module(face)
    if first not in value.__all__:
        return False
    value = getattr(value, first)
    for attribute in rest:
        if attribute.startswith("_") or not (hasattr(value, attribute)
                                             or attribute in getattr(value, "__annotations__", {})):
            return False
        value = getattr(value, attribute, None)
    return True


def used_names(code):
    """Dotted names below ``spicemix_core`` that Python code imports, or reads from one of the faces."""
    names, faces = set(), {}
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == FACE}
            faces |= {alias.asname or FACE: alias.name if alias.asname else FACE for alias in node.names
                      if alias.name.split(".")[0] == FACE}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == FACE:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            faces |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
                      if f"{node.module}.{alias.name}" in FACES}
    for node in ast.walk(tree):
        parts = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else []
        if parts and parts[0] in faces and all(part.isidentifier() for part in parts):
            names.add(".".join([faces[parts[0]], *parts[1:]]))
    return {name for name in names if not re.search(r"\.__\w+__", name)}  # a module's __file__, for example


def named(text):
    """Dotted names below ``spicemix_core`` in a text, files left out."""
    return {name for name in re.findall(r"(?<![\w/.])spicemix_core(?:\.\w+)+", text)
            if not name.endswith((".py", ".md")) and ".__" not in name}


def code_of(path):
    """The Python code of a chapter or of a page with blocks of Python, the kernel's own commands left out."""
    text = path.read_text(encoding="utf-8")
    if path.parent.name == "chapters":
        blocks = [cell.source for cell in jupytext.read(path, fmt="md:myst").cells if cell.cell_type == "code"]
    else:
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return "\n".join(line for block in blocks for line in block.splitlines() if not re.match(r"\s*[%!]", line))
