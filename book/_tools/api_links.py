"""Sphinx extension of the API reference: what docstrings name becomes a link where it is in the book."""

import pydoc
import re

LABEL = re.compile(r"``(eq-[a-z-]+)``")
LETTER = re.compile(r"^(\s*[A-Z])\.$")


def link_equations(app, what, name, thing, options, lines):
    """Replace ``eq-...`` in double backticks by a reference to the equation, in place; "K." begins no list."""
    lines[:] = [LETTER.sub(r"\1\\.", LABEL.sub(r":eq:`\1`", line)) for line in lines]


def keep_names(app, environment, node, content):
    """Leave a name of the package that exists but is on no page as it is; one that does not exist is an error."""
    target = node.get("reftarget", "")
    if node.get("refdomain") == "py" and target.startswith("spicemix_core") and pydoc.locate(target) is not None:
        return content
    return None


def setup(app):
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", link_equations, priority=400)  # before napoleon
    app.connect("missing-reference", keep_names)
    return {"parallel_read_safe": True}
