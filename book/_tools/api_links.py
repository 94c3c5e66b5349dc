"""Sphinx extension of the API reference: what docstrings name becomes a link where it is in the book."""

import importlib
import pydoc
import re
from functools import cache

LABEL = re.compile(r"``(eq-[a-z-]+)``")
LETTER = re.compile(r"^(\s*[A-Z])\.$")
FACES = ("", ".baselines", ".datasets", ".inputs", ".pl", ".steps", ".tl")


def link_equations(app, what, name, thing, options, lines):
    """Replace ``eq-...`` in double backticks by a reference to the equation, in place; "K." does not begin a list."""
    lines[:] = [LETTER.sub(r"\1\\.", LABEL.sub(r":eq:`\1`", line)) for line in lines]


@cache
def public_names() -> dict[int, str]:
    """Public path of each public object, by its identity."""
    faces = {f"spicemix_core{face}": importlib.import_module(f"spicemix_core{face}") for face in FACES}
    return {id(getattr(face, name)): f"{path}.{name}" for path, face in faces.items() for name in face.__all__}


def link_to_public_path(app, environment, node, content):
    """Link the name of a module's object to its public path; a name that exists but is on no page remains text.

    A name that does not exist is an error.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("spicemix_core"):
        return None
    if (thing := pydoc.locate(target)) is None:
        return None
    public = public_names().get(id(thing))
    if public is None or public == target:
        return content
    domain = environment.get_domain("py")
    return domain.resolve_xref(environment, node.get("refdoc"), app.builder, "obj", public, node, content) or content


def setup(app):
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", link_equations, priority=400)  # before napoleon
    app.connect("missing-reference", link_to_public_path)
    return {"parallel_read_safe": True}
