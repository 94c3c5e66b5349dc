"""The table of all errors and warnings of the package, read from its sources when the pages are built.

Each row is a call in the sources that makes an error or a warning: its sentence with a name in place of every value,
what to do, and the commands and functions that can issue it.
"""

import ast
import sys
from dataclasses import dataclass, replace
from itertools import product

from _tools import ROOT
from _tools.call_graph import CallGraph
from _tools.sentences import Sentence, sentences

WARN = "warnings.warn"
NOT_SHOWN = {"typer.Exit"}
TOPICS = {
    "command_line": "Command line", "exchange": "Reading and converting files",
    "inputs": "Expression, names and graphs",
    "files": "Models, checkpoints and other files of the program", "core": "Fitting", "numerics": "Fitting",
    "steps": "Fitting", "backends": "Graphics cards, Dask and Gurobi", "runs": "Several fits", "tl": "Analyses",
    "pl": "Figures", "report": "Report", "datasets": "Data sets and simulation", "baselines": "Other methods"}
# What to do where a sentence says only what is wrong.
REMEDIES = {
    "files": "Copy the file again, or write it again with the program that made it.",
    "exchange": "Copy the file again, or write it again with the program that made it."}
REMEDY = "Change the value or the data that the message names."


@dataclass(frozen=True)
class Refusal:
    """An error or a warning of the package.

    Attributes
    ----------
    places : tuple of (str, int)
        Modules and lines of the calls that make it.
    warning : bool
    sentence, remedy : str
        What is wrong, and what to do, as MyST.
    commands, functions : tuple of str
        Commands and public functions that can issue it.
    """

    places: tuple[tuple[str, int], ...]
    warning: bool
    sentence: str
    remedy: str
    commands: tuple[str, ...]
    functions: tuple[str, ...]

    @property
    def topic(self) -> str:
        """Title of the section that it belongs to."""
        room = room_of(self.places[0][0])
        return TOPICS.get(room, room.replace("_", " ").capitalize())


def room_of(module: str) -> str:
    """The folder of a module of the package, or ``core`` for the modules that lie flat in it."""
    inside = module.split(".")[1:]
    return inside[0] if len(inside) > 1 or (ROOT / "spicemix_core" / (inside or ["-"])[0]).is_dir() else "core"


def is_refusal(call: ast.Call) -> bool:
    """Whether a call makes an error or a warning."""
    name = ast.unparse(call.func)
    return name == WARN or (name not in NOT_SHOWN and bool(call.args) and name.split(".")[-1][:1].isupper()
                            and name.endswith(("Error", "Interrupted", "BadParameter")))


def refusals() -> list[Refusal]:
    """All errors and warnings of the package, in the order of its modules."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))  # the package of this checkout, even if another version is installed
    graph = CallGraph(ROOT / "spicemix_core")
    found = []
    for function in graph.functions.values():
        for call in function.calls:
            if is_refusal(call):
                found += _rows(call, function, graph)
    same = {}
    for row in sorted(found, key=lambda row: row.places):
        same.setdefault((row.warning, row.sentence, row.remedy), []).append(row)
    return [_joined(rows) for rows in same.values()]


def _joined(rows):
    """One row for calls that say the same."""
    places, commands, functions = (tuple(dict.fromkeys(one for row in rows for one in getattr(row, name)))
                                   for name in ("places", "commands", "functions"))
    return replace(rows[0], places=places, commands=commands, functions=functions)


def _rows(call, function, graph):
    """The rows of a call: one for each sentence that it can hold."""
    warning = ast.unparse(call.func) == WARN
    made = call.args[0] if warning and isinstance(call.args[0], ast.Call) else call  # a warning with a remedy
    explained = len(made.args) > 1 and (made is not call or not warning)
    problems = sentences(made.args[0], function, graph)
    remedies = sentences(made.args[1], function, graph) if explained else [Sentence("", "")]
    commands, functions = graph.users(function)
    hint = next((one.value for one in call.keywords if one.arg == "param_hint"), None)
    option = f"Invalid value for {sentences(hint, function, graph)[0].text}: " if hint is not None else ""
    for problem, remedy in product(problems, remedies):
        sentence, advice = problem.split() if not remedy.text else (problem, remedy)
        if not sentence.names_only:
            advice = advice.text or REMEDIES.get(room_of(function.module), REMEDY)
            yield Refusal(((function.module, call.lineno),), warning, option + sentence.text,
                          advice[0].upper() + advice[1:], commands, functions)


def refusal_table() -> str:
    """All errors and warnings as MyST: a fold for each topic, with a definition list that fits any width."""
    rows = refusals()
    parts = []
    for topic in dict.fromkeys([*TOPICS.values(), *(row.topic for row in rows)]):
        own = sorted((row for row in rows if row.topic == topic), key=lambda row: row.sentence.lower())
        if own:
            entries = "\n\n".join(map(_entry, own))
            parts.append(f"::::{{dropdown}} {topic} ({len(own)})\n:class-container: refusals\n\n{entries}\n::::")
    return "\n\n".join(parts)


def _entry(row):
    commands = "`spicemix` " * bool(row.commands) + ", ".join(f"`{name}`" for name in row.commands)
    source = "; ".join(filter(None, (commands, ", ".join(f"`{name}`" for name in row.functions))))
    kind = "*Warning.* " if row.warning else ""
    return f"{kind}{row.sentence}\n: {row.remedy}\n\n  From {source}."
