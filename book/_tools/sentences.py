"""Sentences of errors and warnings as a reader sees them: texts of the sources with a name for every value."""

import ast
import re
from dataclasses import dataclass
from itertools import product

NUMBERS = {"len", "sum", "min", "max", "argmin", "argmax", "mean", "count_nonzero", "nnz", "size"}
NAMES = {"K": "number", "n": "number", "N": "number", "error": "reason", "e": "reason", "i": "name", "j": "name",
         "wrong": "reason", "y": "array", "a": "metagenes", "b": "metagenes", "first": "choices", "last": "choice",
         "least": "number", "at": "number", "raw": "data", "self": "data", "parent": "folder"}
# Words that begin an explanation after a colon or a semicolon, not advice.
NO_ADVICE = {"a", "an", "expression", "it", "its", "no", "nothing", "other", "raw", "the", "they"}
MOST = 6  # sentences of one call
PARAMETER = re.compile(r"\\?\{(\w+)(?:=(\w+))?\}")
MARKUP = re.compile(r"([\\`*_\[\]<>$|#~])")


@dataclass(frozen=True)
class Sentence:
    """Text as MyST, and the same text with nothing in place of the values."""

    text: str
    fixed: str

    @property
    def names_only(self) -> bool:
        """Whether the text has no word of its own: a call that passes on another message."""
        return not re.search(r"[A-Za-z]{2}", self.fixed)

    def split(self) -> tuple["Sentence", "Sentence"]:
        """What is wrong, and what to do: the second sentence, or what follows a semicolon or the last colon."""
        for mark in re.finditer(r"(?<=[^.])\.\s+(?=[A-Z`])|[;:]\s+(?=[a-z`])", self.text):
            problem, advice = self.text[: mark.start()], self.text[mark.end():]
            if advice.split()[0] not in NO_ADVICE:
                return Sentence(f"{problem}.", self.fixed), Sentence(advice[0].upper() + advice[1:], "")
        return self, Sentence("", "")


def sentences(node, function, graph, deep: bool = True) -> list[Sentence]:
    """The texts that an expression can have; a value that is not a text of the sources becomes its name in italics."""
    return [Sentence(_with_parameters(text), fixed) for text, fixed in _texts(node, function, graph, deep)][:MOST]


def _texts(node, function, graph, deep):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [(MARKUP.sub(r"\\\1", node.value), node.value)]
    if isinstance(node, ast.JoinedStr):
        values = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        parts = [_texts(value, function, graph, deep) for value in _without_capitals(values)]
        return [("".join(t for t, _ in way), "".join(f for _, f in way)) for way in list(product(*parts))[:MOST]]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, function, graph, deep), *_texts(node.orelse, function, graph, deep)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in _texts(value, function, graph, deep) if text[1]]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        both = product(*(_texts(side, function, graph, deep) for side in (node.left, node.right)))
        joined = [(a + c, b + d) for (a, b), (c, d) in both if b or d][:MOST]
        if joined:
            return joined
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        table = function.constants.get(node.value.id)
        if isinstance(table, ast.Dict):
            return [text for value in table.values for text in _texts(value, function, graph, deep)]
    if isinstance(node, ast.Name) and isinstance(function.constants.get(node.id), ast.Constant):
        return _texts(ast.Constant(str(function.constants[node.id].value)), function, graph, deep)
    if isinstance(node, ast.Name) and deep:
        given = function.assigned(node.id) or graph.arguments(function, node.id)
        known = [text for value, place in given for text in _texts(value, place, graph, False)]
        known = [text for text in dict.fromkeys(known) if " " in text[1].strip() or text == ("", "")]
        if known:
            return known
    return [(f"*{name_of(node)}*", "")]


def _without_capitals(values):
    """The parts of a text in which ``x[0].upper()`` and ``x[1:]``, one after the other, are ``x``."""
    kept = []
    for value in values:
        rest = value.value if isinstance(value, ast.Subscript) else None
        if kept and rest is not None and ast.unparse(kept[-1]) == f"{ast.unparse(rest)}[0].upper()":
            kept[-1] = rest
        else:
            kept.append(value)
    return kept


def name_of(node) -> str:
    """A readable name of a value, from the expression that computes it."""
    if isinstance(node, ast.Name):
        return NAMES.get(node.id, node.id.strip("_").replace("_", " "))
    if isinstance(node, ast.Attribute):
        return NAMES.get(node.attr, node.attr.strip("_").replace("_", " "))
    if isinstance(node, ast.Subscript):
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            return "number"
        name = name_of(node.value)
        return name[:-1] if name.endswith("s") and not name.endswith("ss") else name
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in NUMBERS:
            return "number"
        if called == "first_line":
            return "reason"
        if called in ("join", "sorted", "map", "repr", "str", "tuple") and node.args:
            return name_of(node.args[-1])
        if isinstance(node.func, ast.Attribute) and called in ("rstrip", "tolist", "splitlines", "strip", "total"):
            return name_of(node.func.value)
        return {"search_path": "folders", "read_registry": "names"}.get(called, "value")
    if isinstance(node, ast.BinOp):
        return "path" if isinstance(node.op, ast.Div) else "number"
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return name_of(node.elt)
    return "value"


def _with_parameters(text):
    """Text with parameters (``{name=value}``) in both notations, that of Python and that of the command line."""
    from spicemix_core.command_line.messages import option

    def both(match):
        name, value = match[1].replace("\\", ""), match[2]
        python = name if value is None else f"{name}={value}"
        return f"`{python}` (`{option(name, value)}`)"

    return PARAMETER.sub(both, text.replace("\\_", "_")) if "{" in text else text
