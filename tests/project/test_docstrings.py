"""Public objects are documented, typed and have examples; errors are full sentences."""

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap

import pytest
from layout import FACES, MODULES, PACKAGE, ROOT, room

from spicemix_core.cells import Cells

OWN_ERRORS = {"ArgumentError": "ValueError", "MissingDataError": "KeyError"}  # raised -> documented
SECTIONS = re.compile(r"(?m)^([A-Z][A-Za-z ]+)\n-{3,}\n")


def public_objects():
    """Functions and classes on public paths, by room of the module in which they are defined: name -> object."""
    found = {}
    for face in FACES:
        module = importlib.import_module(face)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                found.setdefault(room(thing.__module__), {})[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


PUBLIC = public_objects()


def functions_of(name, thing):
    """A public function, or the public methods that a class defines: name -> function."""
    if inspect.isfunction(thing):
        return {name: thing}
    own = {key: value.__func__ if isinstance(value, classmethod | staticmethod) else value
           for cls in reversed(thing.__mro__) if cls.__module__.startswith("spicemix_core")
           for key, value in vars(cls).items()}
    return {f"{name}.{key}": value for key, value in own.items()
            if inspect.isfunction(value) and not key.startswith("_")}


def sections(thing):
    """The numpydoc sections of a docstring: title -> text."""
    _, *parts = SECTIONS.split(inspect.getdoc(thing) or "")
    return dict(zip(parts[::2], parts[1::2], strict=True))


def described(text):
    """Names that a section of parameters describes; one line may describe several."""
    lines = re.findall(r"(?m)^(\S[^:\n]*?)(?: ?:.*)?$", text)
    return {name.strip().lstrip("*") for line in lines for name in line.split(",")}


def parameters_of(function):
    return [parameter for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in ("self", "cls")]


def raised_by(function):
    """Names of the exceptions that the statements of a function raise."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
    return {OWN_ERRORS.get(name, name) for name in names}


def lacking_sections(name, thing):
    """What the docstring of a public object, and those of its methods, do not describe."""
    if isinstance(thing, type) and issubclass(thing, Exception):
        return []
    lacking = []
    if inspect.isclass(thing):
        text = sections(thing)
        documented = described(text.get("Parameters", "")) | described(text.get("Attributes", ""))
        fields = [field.name for field in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else [
            parameter.name for parameter in parameters_of(thing.__init__)] if "__init__" in vars(thing) else []
        lacking += [f"{name}: {field}" for field in fields if field not in documented and not field.startswith("_")]
    if inspect.isclass(thing) and room(thing.__module__) == "core":  # its methods are the protocol's: a line each
        return lacking + [key for key, method in functions_of(name, thing).items()
                          if not (method.__doc__ or getattr(Cells, method.__name__, None))]
    for function_name, function in functions_of(name, thing).items():
        text = sections(function)
        documented = described(text.get("Parameters", ""))
        lacking += [f"{function_name}: {p.name}" for p in parameters_of(function) if p.name not in documented]
        returns = inspect.signature(function).return_annotation
        if returns not in (None, "None", inspect.Signature.empty) and not {"Returns", "Yields"} & set(text):
            lacking.append(f"{function_name}: Returns")
        lacking += [f"{function_name}: {error}" for error in raised_by(function)
                    if error not in text.get("Raises", "")]
    return lacking


def test_the_rooms_have_public_objects():
    assert {"model", "core", "inputs", "tl", "pl", "runs", "exchange", "datasets", "baselines", "report"} <= set(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_object_has_an_example(name):
    assert not [key for key, thing in PUBLIC[name].items() if ">>> " not in sections(thing).get("Examples", "")
                and not (isinstance(thing, type) and issubclass(thing, Exception))]


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_parameters_results_and_errors_of_public_objects_are_described(name):
    assert not [lack for key, thing in PUBLIC[name].items() for lack in lacking_sections(key, thing)]


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_functions_and_methods_are_typed(name):
    untyped = []
    for key, thing in PUBLIC[name].items():
        functions = functions_of(key, thing)
        if inspect.isclass(thing) and inspect.isfunction(vars(thing).get("__init__")) \
                and not dataclasses.is_dataclass(thing):
            functions[f"{key}.__init__"] = thing.__init__
        for function_name, function in functions.items():
            untyped += [f"{function_name}: {p.name}" for p in parameters_of(function) if p.annotation is p.empty]
            if inspect.signature(function).return_annotation is inspect.Signature.empty \
                    and not function_name.endswith(".__init__"):
                untyped.append(f"{function_name}: return")
    assert not untyped


# --- messages ----------------------------------------------------------------------------------------------------


def message_of(node):
    """The text of ``raise X("...")`` with "{}" for each value, or None if it is not written there."""
    call = node.exc
    text = call.args[0] if isinstance(call, ast.Call) and call.args else None
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return text.value
    if isinstance(text, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in text.values)
    return None


def messages(path):
    """Messages of a module, each with the names of the parameters of the functions around it."""
    def walk(node, names):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            names = names | {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        if isinstance(node, ast.Raise) and (text := message_of(node)):
            yield node.lineno, text, names
        for child in ast.iter_child_nodes(node):
            yield from walk(child, names)

    yield from walk(ast.parse(path.read_bytes()), frozenset())


def well_formed(text, parameters):
    """One or more sentences: the first begins with a capital, a name, or something quoted; a full stop ends it."""
    first = re.match(r"\w*", text).group()
    begins = text[0].isupper() or text[0] in "`'\"{" or first in parameters or "_" in first or text.startswith(
        tuple(f"{place}[" for place in ("obs", "var", "obsm", "varm", "obsp", "uns", "layers")))
    return begins and text.rstrip().endswith((".", "…", ": {}"))  # the last passes a whole message on


def test_the_form_of_a_message_is_recognised():
    assert well_formed("The file names 5 genes.", set()) and well_formed("`n_jobs` must be positive.", set())
    assert well_formed("penalty must be positive.", {"penalty"}) and well_formed("{} has no column.", set())
    assert not well_formed("the file names 5 genes.", set()) and not well_formed("The file names 5 genes", set())
    assert not well_formed("penalty must be positive.", {"other"})


@pytest.mark.parametrize("name", sorted({room(module) for module in MODULES if module.startswith("spicemix_core")}))
def test_errors_are_full_sentences(name):
    paths = [path for module, path in MODULES.items() if room(module) == name and path.is_relative_to(PACKAGE)]
    wrong = [f"{path.relative_to(ROOT)}:{line}: {text}" for path in paths for line, text, parameters in messages(path)
             if not well_formed(text, parameters)]
    assert not wrong
