"""The report: one page without other files, made from a fit and its data; or no page and an error of one sentence."""

import base64
import os
import re
import shutil
import xml.etree.ElementTree as ET

import anndata
import numpy as np
import pandas as pd
import pytest
from required import missing

from spicemix_core import report
from spicemix_core.datasets.simulation import simulate_cortex
from spicemix_core.model import SpiceMix
from spicemix_core.report import write_report
from spicemix_core.report.data import complete
from spicemix_core.runs.consensus import fit_consensus
from spicemix_core.tl.fit_residuals import residuals

pytestmark = pytest.mark.filterwarnings("ignore:expression has negative", "ignore:no convergence")
K, SECTIONS = 3, ["Cell types", "Metagenes", "Affinity", "Markers", "Agreement over seeds", "Diagnostics",
                  "How this page was made"]
NUMBERS = ["10", "9", "11", "2"]  # names of clusters in an order of their own


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with the model and the data of a consensus of two runs."""
    folder = tmp_path_factory.mktemp("report")
    adata = simulate_cortex(2, n_cells=60, n_genes=20, random_state=0)
    result = fit_consensus(adata, K, n_runs=2, sample_key="sample", random_state=0, max_iter=5)
    result.model.save(folder / "model.h5")
    adata.write_h5ad(folder / "fitted.h5ad")
    return folder


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Two reports of one input: names that are no plain text, and clusters that are in no alphabetical order."""
    folder = tmp_path_factory.mktemp("hostile")
    names = ["$$", "$x^", "a\x01b", "\x1b[31m", "--", "]]>", "<script>alert(1)</script>", "\ufffe", "&amp;"]
    adata = simulate_cortex(2, n_cells=60, n_genes=20, random_state=0).copy()
    adata.var_names = [*names, *adata.var_names[len(names):]]
    adata.obs["$ sample\x02"] = np.repeat(names[:2], 60)
    result = fit_consensus(adata, K, n_runs=2, sample_key="$ sample\x02", random_state=0, max_iter=5)
    result.model.save(folder / "model.h5")
    adata.obs["spicemix_cluster"] = pd.Categorical(np.resize([*names[:8], *NUMBERS], 120), [*names[:8], *NUMBERS])
    adata.obsm["X_spicemix_umap"] = np.random.default_rng(0).random((120, 2))  # to compute one takes half a minute
    adata.write_h5ad(folder / "$data.h5ad")
    for path in ("first.html", "second.html"):
        write_report(folder / "model.h5", folder / "$data.h5ad", folder / path, sample_key="$ sample\x02",
                     title="Tissue <1> & $$ \x03 more")
    return folder


@pytest.fixture(scope="module")
def page(reports):
    """The text of the first."""
    return (reports / "first.html").read_text(encoding="utf-8")


def test_page_has_its_sections_and_figures(page):
    assert re.findall(r'<h2 id="[^"]*">(.*?)</h2>', page, re.DOTALL) == SECTIONS
    assert re.findall(r'<li><a href="#[^"]*">(.*?)</a>', page) == SECTIONS
    alternatives = re.findall(r'<img alt="([^"]+)" src="data:image/svg', page)
    assert len(alternatives) == page.count("<img") == 14
    assert "Maps of the share of runs that agree on each cell." in alternatives
    assert "120 cells in 2 samples, 20 genes, 3 metagenes" in page
    assert "2 runs from different seeds" in page


def test_page_needs_no_other_file(page):
    assert "<script" not in page and "@import" not in page and "<link rel=\"stylesheet\"" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert not re.findall(r"url\((?!['\"]?(?:#|data:))", page)


def test_title_is_text(page):
    assert r"<h1>Tissue &lt;1&gt; &amp; $$ \x03 more</h1>" in page


def test_nothing_of_the_code_or_of_a_failure_is_shown(page):
    assert "import " not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).replace("important", "")
    assert "Traceback" not in page and "Warning" not in page


def test_page_can_be_read_in_a_browser_without_a_network(reports, tmp_path):
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if not all(programs):
        missing("chromium and chromedriver are not installed")
    axe = pytest.importorskip("axe_core_python.base")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path}"):
        options.add_argument(flag)
    rules = "{runOnly: {type: 'rule', values: ['color-contrast', 'image-alt', 'html-has-lang', 'link-name']}}"
    with webdriver.Chrome(options=options, service=Service(programs[1])) as browser:
        for scheme in ("light", "dark"):
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
                {"name": "prefers-color-scheme", "value": scheme}]})
            browser.get((reports / "first.html").as_uri())
            browser.execute_script(axe.AXE_SCRIPT)
            assert browser.execute_async_script(
                f"const done = arguments[0]; axe.run(document, {rules}).then(r => done(r.violations.map(v => v.id)))"
            ) == []
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})
        assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert browser.get_log("browser") == []


def test_a_failing_chapter_keeps_the_old_page_and_gives_one_sentence(fitted, tmp_path, monkeypatch):
    start, import_and_rest = (report.HERE / "chapter.md").read_text().split("import ", 1)  # after the parameters
    broken = f"{start}raise OSError('no such pen')\nimport {import_and_rest}"
    (tmp_path / "chapter.md").write_text(broken)
    monkeypatch.setattr(report, "HERE", tmp_path)
    (tmp_path / "report.html").write_text("old")
    before = dict(os.environ)
    with pytest.raises(RuntimeError, match=r"The execution of the report failed \(OSError: no such pen\)\."):
        write_report(fitted / "model.h5", fitted / "fitted.h5ad", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chapter.md", "report.html"]
    assert dict(os.environ) == before


def test_data_without_states_get_those_of_the_model(fitted):
    model = SpiceMix.load(fitted / "model.h5")
    plain = simulate_cortex(2, n_cells=60, n_genes=20, random_state=0)
    found, *_ = complete(plain, model, "sample")
    np.testing.assert_array_equal(found.obsm["X_spicemix"], model.transform(plain, "sample"))
    np.testing.assert_array_equal(found.varm["metagenes"], model.metagenes_)


def test_counts_are_normalised_if_asked(fitted):
    model, adata = SpiceMix.load(fitted / "model.h5"), simulate_cortex(1, n_cells=60, n_genes=20, random_state=0)
    adata.X = np.round(100 * abs(adata.X))
    with pytest.raises(ValueError, match="look like raw counts"):
        complete(adata.copy(), model, None)
    found, *_ = complete(adata, model, None, normalize=True)
    np.testing.assert_array_equal(found.layers["counts"], adata.X)
    assert found.obsm["X_spicemix"].shape == (60, K)


def test_layer_and_graph_are_those_that_are_named(fitted):
    model, adata = SpiceMix.load(fitted / "model.h5"), anndata.read_h5ad(fitted / "fitted.h5ad")
    adata.layers["log"], adata.X = adata.X, np.round(100 * abs(adata.X))
    adata.obsp["own"] = adata.obsp.pop("spatial_connectivities")
    found, *_ = complete(adata.copy(), model, "sample", layer="log", graph_key="own")
    np.testing.assert_array_equal(found.X, adata.layers["log"])
    states = adata.obsm.pop("X_spicemix")
    found, *_ = complete(adata, model, "sample", layer="log", graph_key="own")
    np.testing.assert_allclose(found.obsm["X_spicemix"], states, atol=0.05 * states.max())
    assert set(found.obsp) == {"own"}


def test_genes_in_another_order_keep_their_weights(fitted):
    model, adata = SpiceMix.load(fitted / "model.h5"), anndata.read_h5ad(fitted / "fitted.h5ad")
    found, *_ = complete(adata[:, ::-1].copy(), model, "sample")
    np.testing.assert_array_equal(found.varm["metagenes"], model.metagenes_[::-1])


def test_data_that_do_not_belong_to_the_model_are_refused(fitted):
    model, adata = SpiceMix.load(fitted / "model.h5"), anndata.read_h5ad(fitted / "fitted.h5ad")
    with pytest.raises(KeyError, match="There is no column 'slice' in obs"):
        complete(adata.copy(), model, "slice")
    adata.var_names = [f"other{i}" for i in range(adata.n_vars)]
    with pytest.raises(ValueError, match="no gene in common"):
        complete(adata, model, None)


def test_residuals_are_those_of_the_matrices(fitted):
    adata = anndata.read_h5ad(fitted / "fitted.h5ad")
    adata.X[:, 4] = 0.25
    left = adata.X - adata.obsm["X_spicemix"] @ adata.varm["metagenes"].T
    genes, cells = residuals(adata)
    np.testing.assert_allclose(cells, np.sqrt((left**2).mean(axis=1)))
    varying = np.arange(adata.n_vars) != 4
    expected = (left**2).sum(axis=0)[varying] / (adata.n_obs * adata.X.var(axis=0)[varying])
    np.testing.assert_allclose(genes["unexplained"].drop("gene4"), expected)
    assert np.isnan(genes.loc["gene4", "unexplained"])


def test_residuals_of_sparse_expression_in_blocks_are_the_same(fitted, monkeypatch):
    import scipy.sparse as sp

    adata = anndata.read_h5ad(fitted / "fitted.h5ad")
    whole, cells = residuals(adata)
    monkeypatch.setattr("spicemix_core.tl.fit_residuals.ROWS", 7)
    adata.layers["sparse"] = sp.csr_matrix(adata.X)
    blocks, again = residuals(adata, layer="sparse")
    np.testing.assert_allclose(blocks, whole)
    np.testing.assert_allclose(again, cells)
    with pytest.raises(KeyError, match="There is no layer 'raw' in layers"):
        residuals(adata, layer="raw")


def test_two_reports_of_one_input_are_equal_byte_for_byte(reports):
    assert (reports / "second.html").read_bytes() == (reports / "first.html").read_bytes()


def test_clusters_are_in_the_order_of_their_categories(page):
    picture = re.search(r'alt="Heat map of the mean proportion[^"]*" src="data:image/svg\+xml;base64,([^"]+)"', page)[1]
    drawn = re.findall(r"<!-- (\d+) -->", base64.b64decode(picture).decode())
    assert drawn[K:K + 4] == NUMBERS


def test_hostile_names_give_a_valid_page(page):
    assert not re.findall("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]", page)
    assert r"a\x01b" in page and "<td>$$</td>" in page and "<script" not in page
    for picture in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page):
        ET.fromstring(base64.b64decode(picture))
