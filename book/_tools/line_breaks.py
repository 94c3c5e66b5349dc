"""Sphinx extension of all pages: where a line may not break, in or after a formula or a piece of code."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

ENDS = re.compile(r"[.,;:!?)\]’”]+")
SHORT = 20  # characters; a longer one may be wider than a column of a table


class LineBreaks(SphinxPostTransform):
    """Keep punctuation on the line of the formula before it, and the dashes of an option on the line of its name."""

    default_priority = 900

    def run(self, **options):
        for literal in self.document.findall(nodes.literal):
            if "-" in literal.astext() and len(literal.astext()) <= SHORT:
                literal["classes"].append("short")
        for formula in list(self.document.findall(nodes.math)):
            text = formula.next_node(descend=False, siblings=True)
            if isinstance(text, nodes.Text) and (end := ENDS.match(text)):
                parent, place = formula.parent, formula.parent.index(formula)
                parent.remove(text)
                parent.remove(formula)
                parent.insert(place, nodes.Text(text[end.end():]))
                parent.insert(place, nodes.inline("", "", formula, nodes.Text(end[0]), classes=["kept"]))


def setup(app):
    """Register with Sphinx."""
    app.add_post_transform(LineBreaks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
