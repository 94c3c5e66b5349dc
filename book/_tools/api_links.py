"""Sphinx extension of the API reference: labels of the book's equations in docstrings become links."""

import re

LABEL = re.compile(r"``(eq-[a-z-]+)``")


def link_equations(app, what, name, thing, options, lines):
    """Replace ``eq-...`` in double backticks by a reference to the equation, in place."""
    lines[:] = [LABEL.sub(r":eq:`\1`", line) for line in lines]


def setup(app):
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", link_equations, priority=400)  # before napoleon
    return {"parallel_read_safe": True}
