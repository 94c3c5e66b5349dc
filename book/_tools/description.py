"""Sphinx extension: what search engines and previews show of a page, how to cite, and the source that "edit" opens."""

import html
import re
from pathlib import Path

from docutils import nodes

from _tools.home import CARD

ABOUT, CITE = "about", "how-to-cite"  # the page with the references and their BibTeX, and their label there
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
    has_card = (Path(app.srcdir) / "_static" / CARD).is_file()
    tags = {"name": {"description": text, "twitter:card": "summary_large_image" if has_card else "summary"},
            "property": {"og:title": title, "og:description": text, "og:type": "article",
                         "og:site_name": html.escape(app.config.html_title or ""),
                         "og:url": context.get("pageurl") or "",
                         "og:image": card_address(app, context) if has_card else ""}}
    context["metatags"] = context.get("metatags", "") + "".join(
        f'\n<meta {kind}="{name}" content="{content}" />' for kind, all_of in tags.items()
        for name, content in all_of.items() if content)


def card_address(app, context) -> str:
    """Address of the picture for previews: absolute if the book's own address is known, as most programs need it."""
    base = app.config.html_baseurl
    return f"{base.rstrip('/')}/_static/{CARD}" if base else context["pathto"](f"_static/{CARD}", resource=True)


def add_cite_button(app, pagename, templatename, context, doctree):
    """Add a button that leads to the references and their BibTeX, in a book that has their page."""
    if ABOUT not in app.env.all_docs:
        return
    about = context["pathto"](ABOUT).rstrip("#")  # "#" on that page itself
    context.setdefault("header_buttons", []).append({
        "type": "link", "url": f"{about}#{CITE}", "text": "Cite",
        "tooltip": "How to cite SpiceMix and this book", "icon": "fas fa-quote-right", "label": "cite-button"})


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", add_tags, priority=400)  # before the theme makes its links
    app.connect("html-page-context", add_cite_button, priority=502)  # after the theme's buttons
    return {"parallel_read_safe": True}
