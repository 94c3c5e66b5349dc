"""The home page: its quick start runs as shown, and its statements about the results come from the results."""

import contextlib
import importlib
import io
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from paper import ledger, ledger_page, scheme

from spicemix_core import datasets

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PAGES = sorted([*BOOK.glob("*.md"), *BOOK.glob("chapters/*.md")])


@pytest.fixture
def tools(monkeypatch):
    """The modules behind the home page, by name."""
    monkeypatch.syspath_prepend(BOOK)
    for name in [name for name in sys.modules if name.split(".")[0] == "_tools"]:
        monkeypatch.delitem(sys.modules, name)
    return SimpleNamespace(**{name: importlib.import_module(f"_tools.{name}")
                              for name in ("home", "repository", "description")})


@pytest.fixture
def tissue(tmp_path, monkeypatch):
    """A folder with a small file of counts, ``tissue.h5ad``, that is the working folder."""
    adata = datasets.simulate_cortex(n_cells=150, n_genes=60, random_state=0)
    adata.X = np.random.default_rng(0).poisson(100 * np.clip(adata.X, 0, None)).astype(float)
    del adata.obsp["spatial_connectivities"]
    adata.write_h5ad(tmp_path / "tissue.h5ad")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code_of_home(language):
    (code,) = re.findall(rf"```{language}\n(.*?)```", (BOOK / "intro.md").read_text(encoding="utf-8"), re.DOTALL)
    return code


def test_quick_start_in_python_runs_as_shown(tissue):
    code = code_of_home("python")
    assert len(code.splitlines()) <= 10
    plt.switch_backend("agg")
    names = {}
    exec(code, names)
    plt.close("all")
    assert names["adata"].obs["spicemix_cluster"].nunique() > 1
    assert (tissue / "types.svg").stat().st_size > 1000 and (tissue / "affinity.svg").stat().st_size > 1000


def test_quick_start_in_a_shell_runs_as_shown(tissue):
    from spicemix_core.command_line import main

    for line in code_of_home("bash").replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            status = main(words)
        assert program == "spicemix" and status == 0, said.getvalue()
    assert (tissue / "model.h5").is_file() and (tissue / "fitted.h5ad").is_file()
    assert (tissue / "types.svg").stat().st_size > 1000 and (tissue / "affinity.svg").stat().st_size > 1000


def test_the_headline_counts_the_claims_about_spicemix_that_hold(tools):
    table = pd.DataFrame(0, index=ledger.ABOUT, columns=ledger_page.VERDICTS)
    first, second = table.copy(), table.copy()
    first.loc["SpiceMix", ["reproduced", "partly", "not measured"]] = 14, 7, 2
    second.loc["SpiceMix", ["reproduced", "not reproduced", "not measured"]] = 18, 3, 2
    first.loc["data", "reproduced"] = 5
    assert tools.home.headline({"procedure": first, "recommended": second}) == (
        "Of 21 claims about SpiceMix, 14 hold under the paper's procedure and 18 hold for the recommended fit.")
    first.loc["SpiceMix"] = 0
    assert tools.home.headline({"procedure": first, "recommended": second}) == ""


def test_cards_name_claims_of_the_ledger_after_their_verdicts(tools):
    entries = ledger.load_ledger()
    named = [(chapter, name) for chapter, (_, phrases) in tools.home.CARDS.items() for name in phrases]
    assert all(entries.loc[name, "chapter"] == chapter for chapter, name in named)
    verdicts = pd.Series(["partly", "reproduced", "not reproduced"], index=["a", "b", "c"])
    counts = verdicts.value_counts().reindex(ledger_page.VERDICTS, fill_value=0)
    phrases = {"a": "one", "b": "two", "c": "three", "d": "four"}
    text = tools.home.sentence(counts, counts, verdicts, verdicts, phrases)
    assert text == "**1 of 3** claims hold (recommended fit: **1**), among them *two*, but not *three*."
    others = pd.Series(["partly", "partly", "reproduced"], index=["a", "b", "c"])  # no claim has both verdicts now
    assert tools.home.sentence(counts, counts, verdicts, others, phrases) == (
        "**1 of 3** claims hold (recommended fit: **1**).")
    none = counts * 0
    none["not evaluated"] = 3
    assert "simulated tissue" in tools.home.sentence(none, none, verdicts, verdicts, phrases)
    none["not measured"] = 1
    assert tools.home.sentence(none, none, verdicts, verdicts, phrases) == "Not measured yet."


def test_home_states_no_number_of_claims_by_hand():
    text = (BOOK / "intro.md").read_text(encoding="utf-8")
    assert "{{ headline }}" in text and "{{ cards }}" in text
    assert not re.search(r"\d+ (claims|of the claims|reproduced)", text)


def test_without_an_address_no_page_has_a_link_or_a_placeholder(tools):
    config = {"html": {}, "repository": {"url": "", "branch": "main"}}
    said = tools.repository.add_links(config)
    assert config == {"html": {}} and "git" not in " ".join(said.values())
    assert not [page.name for page in PAGES if re.search(r"\bADDRESS\b|\bgit clone\b|TODO", page.read_text("utf-8"))]


def test_with_an_address_there_are_buttons_and_commands(tools):
    config = {"repository": {"url": "https://host/a/b/", "branch": "main"}}
    said = tools.repository.add_links(config)
    assert config["repository"] == {"url": "https://host/a/b", "branch": "main", "path_to_book": "book"}
    assert set(config["html"].values()) == {True}
    assert all("https://host/a/b" in text for text in said.values())


def test_a_page_is_described_by_its_first_paragraph(tools):
    from docutils import nodes, utils

    document = utils.new_document("page")
    item = nodes.list_item("", nodes.paragraph("", "of a list"))
    output = nodes.container("", nodes.paragraph("", "of an output"), classes=["cell_output"])
    first = nodes.paragraph("", "First [A et al., 2020]\nwords. " + "more " * 60)
    document += nodes.section("", nodes.bullet_list("", item), output, first)
    text = tools.description.describe(document)
    assert text.startswith("First words. more") and text.endswith("more …") and len(text) <= 202
    first.parent.remove(first)
    document[0] += nodes.section("", first)
    assert tools.description.describe(document) == ""


def test_the_card_for_previews_has_the_size_that_they_ask_for(tmp_path):
    plt.switch_backend("agg")
    figure = scheme.draw_card(scheme.simulate_scheme(), "Title", "one\ntwo")
    figure.savefig(tmp_path / "card.png", dpi=100)
    plt.close(figure)
    assert plt.imread(tmp_path / "card.png").shape[:2] == (630, 1200)


def test_every_page_leads_to_the_citation(tools):
    assert f"({tools.description.CITE})=\n" in (BOOK / f"{tools.description.ABOUT}.md").read_text(encoding="utf-8")
    context = {"pathto": lambda page: f"../{page}.html"}
    for documents, addresses in (({"about", "chapters/nmf"}, ["../about.html#how-to-cite"]), ({"chapters/nmf"}, None)):
        app, own = SimpleNamespace(env=SimpleNamespace(all_docs=documents)), dict(context)
        tools.description.add_cite_button(app, "chapters/nmf", "page.html", own, None)
        assert [button["url"] for button in own["header_buttons"]] == addresses if addresses else (
            "header_buttons" not in own)  # a book without the page has no button


@pytest.mark.parametrize(("base", "address"), [("", "../_static/card.png"),
                                               ("https://host/book/", "https://host/book/_static/card.png")])
def test_previews_find_their_picture_by_the_address_of_the_book(tools, base, address):
    app = SimpleNamespace(config=SimpleNamespace(html_baseurl=base))
    assert tools.description.card_address(app, {"pathto": lambda path, resource: f"../{path}"}) == address


def test_the_scheme_follows_the_model_and_is_always_the_same():
    data, again = scheme.simulate_scheme(), scheme.simulate_scheme()
    np.testing.assert_allclose(data.proportions.sum(axis=1), 1)
    np.testing.assert_allclose(data.metagenes.sum(axis=0), 1)
    np.testing.assert_allclose(data.expression, data.proportions @ data.metagenes.T)
    np.testing.assert_allclose(data.affinity, data.affinity.T)
    assert data.affinity[0, 0] < 0 and data.affinity[1, 1] < 0 < data.affinity[0, 1]
    assert data.pair in {(i, j) for i, j in data.edges.tolist()} | {(j, i) for i, j in data.edges.tolist()}
    plt.switch_backend("agg")
    drawn = [scheme.scheme_svg(example, narrow=narrow) for example in (data, again) for narrow in (False, True)]
    assert drawn[:2] == drawn[2:] and drawn[0] != drawn[1]
