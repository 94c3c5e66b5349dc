"""Sphinx extension: what search engines and previews of links show of a page, and the source that "edit" opens."""

import html
import re

from docutils import nodes

LONGEST = 200  # characters of a description
CITATION = re.compile(r"\s*\[[^\]]*\d{4}[^\]]*\]")


def describe(document: nodes.document) -> str:
    """The first paragraph below the title as one line without citations, cut after a word."""
    for paragraph in document.findall(nodes.paragraph):
        under_title = isinstance(paragraph.parent, nodes.section) and paragraph.parent.parent is document
        if under_title or "hero" in paragraph.parent.get("classes", []):
            text = CITATION.sub("", " ".join(paragraph.astext().split()))
            return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0] + " …"
    return ""


def add_tags(app, pagename, templatename, context, doctree):
    """Add a description and a preview to the head of a page; executed chapters are edited as MyST Markdown."""
    if doctree is None:
        return
    if context.get("page_source_suffix") == ".ipynb":
        context["page_source_suffix"] = ".md"
    text = html.escape(describe(doctree))
    title = html.escape(doctree.next_node(nodes.title).astext() if doctree.next_node(nodes.title) else pagename)
    tags = {"name": {"description": text, "twitter:card": "summary"},
            "property": {"og:title": title, "og:description": text, "og:type": "article",
                         "og:site_name": html.escape(app.config.html_title or "")}}
    context["metatags"] = context.get("metatags", "") + "".join(
        f'\n<meta {kind}="{name}" content="{content}" />' for kind, all_of in tags.items()
        for name, content in all_of.items() if content)


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", add_tags, priority=400)  # before the theme makes its links
    return {"parallel_read_safe": True}
