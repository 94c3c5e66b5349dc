"""Which commands and public functions of the package lead to a function, from the names that its sources use."""

import ast
import importlib
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

FACES = ("", "tl", "pl", "inputs", "datasets", "baselines", "steps")
PACKAGE = "spicemix_core"
MOST = 3  # functions named for one refusal, the nearest ones


@dataclass
class Function:
    """A function or method, with the functions inside it; the statements of a module are a function without a name."""

    module: str
    name: str
    node: ast.AST
    imports: dict[str, str]
    constants: dict[str, ast.expr]
    called: set[str] = field(default_factory=set)

    @property
    def calls(self) -> list[ast.Call]:
        """All calls in its own statements."""
        return [node for node in own_nodes(self.node) if isinstance(node, ast.Call)]

    def assigned(self, name: str) -> list[tuple]:
        """The expressions that the function assigns to a name, each with the function."""
        found = []
        for node in own_nodes(self.node):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name) and target.id == name:
                        found.append((node.value, self))
                    elif (isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple | ast.IfExp)):
                        ways = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [
                            node.value]
                        for place, one in enumerate(target.elts):
                            if isinstance(one, ast.Name) and one.id == name:
                                found += [(way.elts[place], self) for way in ways if isinstance(way, ast.Tuple)]
        return found

    @property
    def parameters(self) -> list[str]:
        """Names of its parameters, without ``self``."""
        if not isinstance(self.node, ast.FunctionDef):
            return []
        given = self.node.args
        return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs) if one.arg != "self"]

    @property
    def defaults(self) -> dict[str, ast.expr]:
        """Defaults of its parameters that have one."""
        given = self.node.args
        by_place = [one.arg for one in (*given.posonlyargs, *given.args)]
        by_name = {one.arg: value for one, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value}
        return dict(zip(reversed(by_place), reversed(given.defaults), strict=False)) | by_name


def own_nodes(node):
    """The nodes of a function with the functions inside it, or of a module or class without its functions."""
    inside_function = isinstance(node, ast.FunctionDef)
    for child in ast.iter_child_nodes(node):
        if inside_function or not isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield child
            yield from own_nodes(child)


class CallGraph:
    """Functions of the package by name (``module:qualified name``) and the functions that each one uses."""

    def __init__(self, package: Path):
        self.functions: dict[str, Function] = {}
        self._methods: dict[str, list[str]] = {}
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            self._read(".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_bytes()))
        for function in self.functions.values():
            function.called = set(self._uses(function))

    def _read(self, module, tree):
        imports = {alias.asname or alias.name.split(".")[0]: f"{node.module}.{alias.name}"
                   for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
                   for alias in node.names}
        constants = {target.id: node.value for node in tree.body if isinstance(node, ast.Assign)
                     for target in node.targets if isinstance(target, ast.Name)}
        self.functions[f"{module}:"] = Function(module, f"{module}:", tree, imports, constants)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[f"{module}:{node.name}"] = Function(module, f"{module}:{node.name}", node, imports,
                                                                   constants)
            elif isinstance(node, ast.ClassDef):
                for method in [one for one in node.body if isinstance(one, ast.FunctionDef)]:
                    name = f"{module}:{node.name}.{method.name}"
                    self.functions[name] = Function(module, name, method, imports, constants)
                    self._methods.setdefault(method.name, []).append(name)

    def _uses(self, function):
        """Names of the functions that a function calls or passes on."""
        for node in own_nodes(function.node):
            if isinstance(node, ast.Name):
                yield from self._resolved(function, node.id)
            elif isinstance(node, ast.Attribute):
                base = node.value
                if isinstance(base, ast.Name) and (f"{function.imports.get(base.id)}:" in self.functions):
                    yield from self._in_module(function.imports[base.id], node.attr)
                else:
                    yield from self._methods_of(function, base, node.attr)

    def _methods_of(self, function, base, method):
        """The methods that an attribute can be: those of the class that is known, and else all of this name.

        A public class is known where it is made (``SpiceMix(...).fit``) or where the module names it.
        """
        named = [name for name in self._methods.get(method, ()) if len(self._methods[method]) == 1
                 or name not in self._public or self._class_of(name) in function.imports
                 or name.startswith(f"{function.module}:")]
        if isinstance(base, ast.Call) and isinstance(base.func, ast.Name):
            made = [name for name in named if self._class_of(name) == base.func.id]
            return made or named
        return named

    @staticmethod
    def _class_of(name):
        return name.split(":")[1].split(".")[0]

    def _resolved(self, function, name):
        whole = function.imports.get(name)
        if whole is None:
            return self._in_module(function.module, name)
        return self._in_module(*whole.rsplit(".", 1))

    def _in_module(self, module, name):
        """Functions that a name of a module stands for: a function, or the methods by which a class is made."""
        if f"{module}:{name}" in self.functions:
            return [f"{module}:{name}"]
        made = [f"{module}:{name}.{method}" for method in ("__init__", "__post_init__", "__enter__", "__exit__")]
        if found := [one for one in made if one in self.functions]:
            return found
        face = self.functions.get(f"{module}:")
        if face is not None and name in face.imports and face.imports[name] != f"{module}.{name}":
            return self._in_module(*face.imports[name].rsplit(".", 1))
        return []

    def arguments(self, function: Function, parameter: str) -> list[tuple]:
        """What the package passes as a parameter of a function: expressions, each with the function that passes it."""
        if parameter not in function.parameters:
            return []
        place, short = function.parameters.index(parameter), function.name.split(":")[1].split(".")[-1]
        found = []
        for caller in self.functions.values():
            if function.name in caller.called:
                for call in caller.calls:
                    if ast.unparse(call.func).split(".")[-1] == short:
                        by_name = {one.arg: one.value for one in call.keywords}
                        if parameter in by_name:
                            found.append((by_name[parameter], caller))
                        elif len(call.args) > place and not any(isinstance(a, ast.Starred) for a in call.args):
                            found.append((call.args[place], caller))
                        elif parameter in function.defaults:
                            found.append((function.defaults[parameter], function))
        return found

    @cached_property
    def _callers(self):
        callers: dict[str, set[str]] = {}
        for function in self.functions.values():
            for name in function.called:
                callers.setdefault(name, set()).add(function.name)
        return callers

    @cached_property
    def _public(self):
        """Public name of each function that users call, from the faces of the package."""
        names = {}
        for face in FACES:
            module = importlib.import_module(".".join(filter(None, (PACKAGE, face))))
            for name in dir(module):
                value = getattr(module, name, None)
                home, inside = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
                if isinstance(home, str) and home.startswith(PACKAGE) and inside:
                    shown = f"{face}.{name}" if face else name
                    names.setdefault(f"{home}:{inside}", shown)
                    for one in [one for one in dir(value) if isinstance(value, type) and one[0] != "_"]:
                        place = getattr(getattr(value, one), "__module__", home)
                        qualified = getattr(getattr(value, one), "__qualname__", f"{inside}.{one}")
                        names.setdefault(f"{place}:{qualified}", f"{shown}.{one}")
                    names.setdefault(f"{home}:{inside}.__init__", shown)
                    names.setdefault(f"{home}:{inside}.__post_init__", shown)
        return names

    @cached_property
    def _commands(self):
        """Functions of the commands: name of the function -> name of the command."""
        import typer

        from spicemix_core.command_line import app

        def below(group, path):
            for name, command in group.commands.items():
                if hasattr(command, "commands"):
                    yield from below(command, f"{path}{name} ")
                else:
                    function = command.callback.__wrapped__ if hasattr(command.callback, "__wrapped__") else (
                        command.callback)
                    yield f"{function.__module__}:{function.__qualname__}", f"{path}{name}"

        return dict(below(typer.main.get_command(app), ""))

    def users(self, function: Function) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Commands from which a function is reached, and the nearest public functions, by their public names.

        Methods of the model come first. Where nothing is known to reach it, the module that users import.
        """
        distance, commands, functions = {function.name: 0}, [], []
        waiting = deque([function.name])
        while waiting:
            one = waiting.popleft()
            if one in self._commands:
                commands.append(self._commands[one])
            elif one in self._public and self._public[one] not in functions:
                functions.append(self._public[one])
            for caller in sorted(self._callers.get(one, ())):
                if caller not in distance:
                    distance[caller] = distance[one] + 1
                    waiting.append(caller)
        if not commands and not functions:
            functions = [function.module]
        functions.sort(key=lambda name: not name.startswith("SpiceMix."))  # otherwise by distance
        return tuple(sorted(commands, key=list(self._commands.values()).index)), tuple(functions[:MOST])
