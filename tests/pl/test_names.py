"""Names are drawn as they are: a dollar sign is no mathematics, and no name makes a picture that cannot be read."""

import io
import xml.etree.ElementTree as ET

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from spicemix_core import pl, tl
from spicemix_core.datasets import simulate_cortex
from spicemix_core.pl.names import readable
from spicemix_core.pl.svg import svg_of

mpl.use("agg")
NAMES = ["$$", "$x^", r"$\frac{a}$", "a\x00b", "a\x01b", "\x1b[31m", "--", "]]>", "<script>alert(1)</script>", "\ufffe",
         "\x84\x7f", "&amp;", "\u202e right to left"]
pytestmark = pytest.mark.filterwarnings("ignore:Glyph .* missing from font")


@pytest.fixture(scope="module")
def adata():
    """Cells whose samples, clusters, genes and gene sets have such names."""
    adata = simulate_cortex(2, n_cells=80, n_genes=40, random_state=0).copy()
    adata.X = adata.X.clip(0)
    adata.var_names = [*NAMES, *adata.var_names[len(NAMES):]]
    adata.obs["$ sample\x02"] = np.repeat(NAMES[:2], 80)
    adata.obs["$ group\x03$"] = pd.Categorical([NAMES[i % len(NAMES)] for i in range(160)], NAMES)
    adata.varm["metagenes"] = adata.varm["true_metagenes"]
    adata.obsm["X_spicemix"] = adata.obsm["true_latent_states"]
    adata.obsm["X_spicemix_umap"] = adata.obsm["X_spicemix"][:, :2]
    tl.markers(adata, "$ group\x03$")
    tl.metagene_genes(adata)
    tl.enrichment(adata, {name: adata.var_names[i : i + 9] for i, name in enumerate(NAMES)})
    tl.type_affinity(adata, "$ group\x03$", n_permutations=9, random_state=0)
    return adata


DRAWINGS = {
    "map": (lambda a: pl.spatial(a, "$ group\x03$", "$ sample\x02"), NAMES),
    "gene": (lambda a: pl.spatial(a, "$x^"), ["$x^"]),
    "metagenes": (lambda a: pl.metagenes(a, "$ sample\x02"), []),
    "umap": (lambda a: pl.umap(a, "$ group\x03$"), NAMES),
    "genes": (pl.metagene_genes, []),
    "markers": (pl.markers, NAMES),
    "enrichment": (pl.enrichment, NAMES),
    "type affinity": (pl.type_affinity, NAMES),
}


def check(figure, names):
    """The figure can be drawn in every form, its SVG parsed, and it shows the names."""
    file = io.StringIO()
    figure.savefig(file, format="svg")
    for svg in (file.getvalue(), svg_of(figure)):
        ET.fromstring(svg)
    for form in ("png", "pdf"):
        figure.savefig(io.BytesIO(), format=form)
    shown = [text.get_text().split(" (")[0] for text in figure.findobj(mpl.text.Text)]
    assert set(map(readable, names)) <= {name.replace("\n", "") for name in shown}


@pytest.mark.parametrize("name", DRAWINGS)
def test_hostile_names_are_drawn_as_text(adata, name):
    draw, names = DRAWINGS[name]
    check(draw(adata), names)
    assert mpl.rcParams["text.parse_math"]  # as it was


@pytest.mark.parametrize("name", ["umap", "markers", "enrichment", "type affinity"])
def test_hostile_names_are_drawn_as_text_on_given_axes(adata, name):
    draws = {"umap": lambda ax: pl.umap(adata, "$ group\x03$", ax=ax), "markers": lambda ax: pl.markers(adata, ax=ax),
             "enrichment": lambda ax: pl.enrichment(adata, ax=ax),
             "type affinity": lambda ax: pl.type_affinity(adata, ax=ax)}
    figure, ax = plt.subplots()
    draws[name](ax)
    check(figure, NAMES)
    plt.close(figure)


def test_hostile_names_are_drawn_as_text_in_custom_figures():
    figure, axes = plt.subplots(1, 3)
    colors = pl.palette(NAMES)
    cells = np.random.default_rng(0).random((len(NAMES), 2))
    pl.draw_samples(axes[:2], cells, ["$$"] + ["a\x00b"] * (len(NAMES) - 1), NAMES, colors)
    pl.draw_table(axes[2], pd.DataFrame(np.eye(len(NAMES)), NAMES, NAMES), label="$ and \x01")
    pl.draw_legend(figure, colors, title="$ and \x01")
    check(figure, [*NAMES, "$ and \x01"])
    plt.close(figure)


def test_mathematics_of_the_package_and_of_the_user_is_drawn():
    from test_pl import TABLE

    selection = pl.selection(TABLE)
    assert selection.legends[0].get_title().get_parse_math()
    with mpl.rc_context():
        pl.use_style()
        figure, ax = plt.subplots()
        assert ax.set_xlabel(r"$\lambda$").get_parse_math()
        plt.close(figure)


@pytest.mark.parametrize(("text", "expected"), [
    ("Sst-é 中 🧠\n", "Sst-é 中 🧠\n"), ("\x00\x1f\x7f\x9f", r"\x00\x1f\x7f\x9f"), ("\ud800\uffff", r"\ud800\uffff")])
def test_only_characters_that_xml_cannot_hold_are_replaced(text, expected):
    assert readable(text) == expected
