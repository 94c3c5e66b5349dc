"""Every page of the built book, in a real browser that can access the book only."""

import base64
import functools
import http.server
import importlib
import os
import re
import shutil
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from matplotlib.image import imread
from required import missing
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.ui import WebDriverWait

BOOK = Path(__file__).resolve().parents[2] / "book"
HTML = BOOK / "_build/html"
LISTED = re.findall(r"(?:root|file): *(\S+)", (BOOK / "_toc.yml").read_text())
PAGES = [*LISTED, "search"]
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
         "--window-size=1280,1600", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
MATHS_SET = """const done = arguments[0];
const setting = document.querySelector('.math') && window.MathJax?.startup?.promise;
if (setting) setting.then(done, done); else done();"""
SEEN = """
const text = e => e.textContent.trim(), all = q => [...document.querySelectorAll(q)];
return {
  maths: all('.math').map(e => ({tex: text(e).slice(0, 80),
      set: [...e.querySelectorAll('mjx-container')].some(m => m.getBoundingClientRect().width > 3),
      wrong: e.querySelector('[data-mml-node="merror"], [fill="red"]') !== null})),  // red: unknown command
  images: all('img').map(i => ({src: i.src, alt: i.alt, loaded: i.complete && i.naturalWidth > 0})),
  links: all('a[href]').map(a => a.href),
  sidebar: all('.bd-links a.internal, .bd-links a.reference').map(a => [a.href, text(a)]),
  complaints: all('.cell_output .stderr, .cell_output .traceback').map(text),
  fetched: performance.getEntriesByType('resource').map(r => r.name),
}"""
# What a closed fold hides keeps the place that it had in another window, until it is shown.
JUTTING = """
return [...document.querySelectorAll('main *')].filter(e => e.checkVisibility()
    && e.getBoundingClientRect().right > innerWidth + 1
    && (e.matches('figcaption') || !e.closest('pre, table, figure, .cell_output, mjx-container, div.math')))
    .map(e => e.outerHTML.slice(0, 120))"""


WEIGHT = """return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .filter(r => !r.name.includes('/_downloads/')).reduce((sum, r) => sum + (r.decodedBodySize || 0), 0)"""
# Rules of axe-core that depend on the content of a page; the menus are the theme's.
AXE = """const [root, done] = arguments, values = ['color-contrast', 'image-alt', 'label', 'select-name', 'link-name',
    'button-name', 'aria-allowed-attr', 'aria-valid-attr-value', 'duplicate-id-aria', 'html-has-lang'];
const described = rule => rule.nodes.map(n => [rule.id, n.target.join(' '), ...n.any.map(a => a.message)].join(': '));
axe.run(root, {runOnly: {type: 'rule', values}})
    .then(found => done(found.violations.flatMap(described)), error => done([String(error)]));"""
FILLS = "return [...arguments[0].querySelectorAll('circle')].map(c => c.getAttribute('fill'))"
DEVICES = {"desktop": {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False},
           "phone": {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}}
PICTURES = BOOK.parent / "build/pictures"  # of every page on every device, for people to look at
STILL = """document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important; }</style>')"""
TALLEST = 16_000  # pixels; a browser cannot take a larger picture
MEGABYTES = 4  # of a page with its pictures, scripts and styles
WINDOW = {"width": 1150, "height": 800, "deviceScaleFactor": 1, "mobile": False}
SCREENS = 20  # of this window, the longest page
POINTS = 8.0  # of words in figures as this window shows them
# Matplotlib draws words as outlines, each text scaled from 100 points; a picture on a page is scaled once more.
WORDS = r"""const done = arguments[0], drawn = [...document.images].filter(i => i.currentSrc.endsWith('.svg'));
const points = async image => {
  const text = await (await fetch(image.currentSrc)).text(), width = text.match(/<svg[^>]*?\swidth="([\d.]+)pt"/);
  const scales = [...text.matchAll(/scale\((0\.\d+) -0\.\d+\)/g)].map(scale => 100 * scale[1]);
  const shown = width && 0.75 * image.getBoundingClientRect().width / width[1];
  return width && scales.length ? [[image.closest('figure')?.id || image.currentSrc, Math.min(...scales) * shown]] : [];
};
Promise.all(drawn.map(points)).then(found => done(found.flat()), error => done([[String(error), 0]]));"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that does not print every request."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """The address of the built book, served from this machine."""
    if not (HTML / "index.html").is_file():
        missing("no book is built in book/_build/html (make book)")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(HTML))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(site, tmp_path_factory):
    """A browser without access to any other host."""
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if not all(programs):
        missing("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    driver.set_script_timeout(180)  # for pages with tables of hundreds of rows
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})  # each page is weighed with its styles
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=PAGES)
def page(request, site, browser):
    """One page, loaded, with what a reader's browser finds in it."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(f"{site}/{request.param}.html")
    wait_for_scripts(browser)
    browser.execute_async_script(MATHS_SET)
    return browser.execute_script(SEEN) | {"name": request.param, "log": browser.get_log("browser"),
                                           "bytes": browser.execute_script(WEIGHT)}


@functools.cache
def source(path):
    return path.read_text(encoding="utf-8")


def test_pages_are_those_of_the_table_of_contents(site):
    built = {p.relative_to(HTML).with_suffix("").as_posix() for p in HTML.rglob("*.html") if "_static" not in p.parts}
    assert built == {*PAGES, "index"}


def test_page_has_no_error_in_the_console(page):
    # the theme logs "invalid theme mode" once for every new visitor
    severe = [e["message"] for e in page["log"] if e["level"] == "SEVERE" and "invalid theme mode" not in e["message"]]
    assert not severe


def test_page_fetches_nothing_from_outside(page, site):
    assert page["fetched"]
    assert not [address for address in page["fetched"] if not address.startswith((site, "data:"))]


ICONS_OF_A_FONT = """
return [...document.querySelectorAll("main a, main p, main span, nav a, nav li")].filter(
    element => ["::before", "::after"].some(part => {
        const text = getComputedStyle(element, part).content;
        return element.getClientRects().length && /[\\ue000-\\uf8ff]/.test(text);
    })).map(element => element.outerHTML.slice(0, 120));
"""


def test_icons_are_drawn_without_fonts(page, browser):
    icons = WebDriverWait(browser, 20).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "svg[data-icon]"))
    assert not browser.execute_script(ICONS_OF_A_FONT)
    assert not [address for address in page["fetched"] if ".woff" in address or ".ttf" in address]
    assert len(icons) >= 3 and not browser.find_elements(By.CSS_SELECTOR, 'i[class*="fa-"]')


def test_maths_is_set(page):
    assert not [formula["tex"] for formula in page["maths"] if formula["wrong"] or not formula["set"]]


def test_images_are_loaded_and_described(page):
    assert not [image["src"] for image in page["images"] if not image["loaded"]]
    # an image without a text gets the name of its file
    assert not [image["src"] for image in page["images"] if not image["alt"] or "_images/" in image["alt"]]


def test_cells_show_no_warnings_or_errors(page):
    assert not page["complaints"]


def test_local_links_and_their_fragments_exist(page, site):
    broken = []
    for link in page["links"]:
        if link.startswith(site):
            parts = urlsplit(link)
            target = HTML / unquote(parts.path).lstrip("/")
            fragment = unquote(parts.fragment)
            if not target.is_file() or (fragment and f'id="{fragment}"' not in source(target)):
                broken.append(link)
    assert not broken


def test_sidebar_has_the_titles_of_all_pages(page, site):
    titles = {name: re.search(r"<title>(.*?)(?: &#8212; .*)?</title>", source(HTML / f"{name}.html")).group(1)
              for name in LISTED}
    shown = {urlsplit(address).path.strip("/").removesuffix(".html"): text for address, text in page["sidebar"]}
    assert shown == titles


def test_page_is_small(page):
    assert 0 < page["bytes"] < MEGABYTES * 1e6


@pytest.fixture
def window(page, browser):
    """The browser with a page in a window of `WINDOW`."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", WINDOW)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_page_is_not_long(window):
    high = window.execute_script("return document.documentElement.scrollHeight")
    assert 0 < high <= SCREENS * WINDOW["height"]


HOME = [".hero", ".scheme", ".start pre", ".start .sd-card", ".results .sd-card"]


@pytest.mark.parametrize("size", [(1150, 800), (1280, 900)])
def test_home_fits_a_screen(browser, site, size):
    width, height = size
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", WINDOW | {"width": width, "height": height})
    browser.get(f"{site}/{LISTED[0]}.html")
    browser.execute_async_script(MATHS_SET)
    bottoms = [browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility())"
        ".map(e => e.getBoundingClientRect().bottom + scrollY)", part) for part in HOME]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [len(found) for found in bottoms[-2:]] == [3, 4]  # ways into the book, and results
    assert max(map(max, bottoms[:4])) <= height and max(bottoms[4]) <= 1.3 * height


def test_words_in_figures_are_large_enough(window):
    smallest = window.execute_async_script(WORDS)
    assert not [(figure, points) for figure, points in smallest if points < POINTS]


@pytest.mark.parametrize("device", DEVICES)
def test_page_is_pictured_and_not_blank(page, browser, device):
    browser.execute_script(STILL)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", DEVICES[device])
    path = PICTURES / device / f"{page['name']}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {
        "x": 0, "y": 0, "scale": 1, "width": DEVICES[device]["width"],
        "height": min(TALLEST, browser.execute_script("return document.documentElement.scrollHeight"))}})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    path.write_bytes(base64.b64decode(taken["data"]))
    picture = (255 * imread(path)[..., :3].mean(axis=2)).astype(int)
    assert picture.shape[1] == DEVICES[device]["width"] and picture.shape[0] >= DEVICES[device]["height"]
    share_of_paper = np.bincount(picture.ravel()).max() / picture.size
    assert 0.3 < share_of_paper < 0.99


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_is_accessible(page, browser, theme):
    axe = pytest.importorskip("axe_core_python.base") if os.environ.get("CI") != "true" else importlib.import_module(
        "axe_core_python.base")
    browser.execute_script(STILL)  # no colour on its way to another one
    browser.execute_script("document.documentElement.dataset.theme = arguments[0];"
                           "document.querySelectorAll('.provenance').forEach(d => { d.open = true; });", theme)
    browser.execute_script(axe.AXE_SCRIPT)
    assert browser.execute_async_script(AXE, "main") == []


# Names of equations and of figures that are wider than their place on a phone.
CUT = """const done = arguments[0];
requestAnimationFrame(() => setTimeout(() => done({
  equations: [...document.querySelectorAll('div.math mjx-container')].filter(e => e.checkVisibility()
      && e.querySelector('svg').getBoundingClientRect().width > e.clientWidth + 1).map(e => e.textContent.slice(0, 60)),
  silent: [...document.querySelectorAll('main .cell_output figure')].filter(e => e.checkVisibility()
      && e.closest('.cell_output').scrollWidth > e.closest('.cell_output').clientWidth + 3
      && getComputedStyle(e.querySelector('figcaption'), '::before').content === 'none').map(e => e.id)})));"""


def test_equations_fit_a_phone_and_figures_say_that_they_scroll(page, browser):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", DEVICES["phone"])
    assert browser.execute_async_script(CUT) == {"equations": [], "silent": []}
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_page_fits_a_phone(page, site, browser):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", DEVICES["phone"])
    assert browser.execute_script("return innerWidth") == 390
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert browser.execute_script(JUTTING) == []


def wait_for_scripts(browser):
    """Wait for the scripts that a page runs when it has been read; the browser hands it over before."""
    WebDriverWait(browser, 30).until(lambda driver: driver.execute_script("return document.readyState") == "complete")


def opened(browser, site, name):
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(f"{site}/{name}.html")
    wait_for_scripts(browser)
    return browser


def test_search_finds_affinity(browser, site):
    opened(browser, site, "search").get(f"{site}/search.html?q=affinity")
    found = WebDriverWait(browser, 20).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, "#search-results ul.search li a"))
    assert any("chapters/" in link.get_attribute("href") for link in found)


def explorer(browser, site, page, kind):
    opened(browser, site, page)
    return WebDriverWait(browser, 20).until(
        lambda driver: driver.find_element(By.CSS_SELECTOR, f'.explorer.ready[data-kind="{kind}"]'))


def test_map_of_cells_responds_to_choices_pointer_and_keys(browser, site):
    root = explorer(browser, site, "chapters/seqfish_plus_layers", "map")
    before = browser.execute_script(FILLS, root)
    colour, field, _ = (Select(one) for one in root.find_elements(By.TAG_NAME, "select"))
    metagene = next(option.text for option in colour.options if option.text.startswith("metagene"))
    colour.select_by_visible_text(metagene)
    after = browser.execute_script(FILLS, root)
    assert len(after) == len(before) > 400 and after != before
    field.select_by_visible_text("0")
    assert 50 < len(browser.execute_script(FILLS, root)) < len(after) / 2
    picture, said = root.find_element(By.CSS_SELECTOR, "svg.cells"), root.find_element(By.CSS_SELECTOR, ".said")
    picture.send_keys(Keys.ARROW_RIGHT)
    first = said.text
    assert metagene in first and "type" in first and "field 0" in first
    picture.send_keys(Keys.ARROW_RIGHT)
    assert said.text != first
    cell = picture.find_elements(By.TAG_NAME, "circle")[0]
    webdriver.ActionChains(browser).move_to_element(cell).perform()
    assert "field 0" in said.text and picture.find_elements(By.CSS_SELECTOR, "circle.here")


def test_legend_of_a_map_shows_one_type_and_a_second_map_follows(browser, site):
    root = explorer(browser, site, "chapters/starmap_layers", "map")
    *_, beside = (Select(one) for one in root.find_elements(By.TAG_NAME, "select"))
    assert root.find_elements(By.CSS_SELECTOR, "line.border") and "L4" in root.text
    entry = root.find_element(By.CSS_SELECTOR, ".legend button")
    number = int(re.search(r"\((\d+)\)$", entry.text)[1])
    entry.click()
    every, dim = (len(root.find_elements(By.CSS_SELECTOR, name)) for name in ("circle", "circle.dim"))
    assert every - dim == number > 0
    beside.select_by_index(2)
    assert len(root.find_elements(By.TAG_NAME, "svg")) == 2
    assert len(root.find_elements(By.CSS_SELECTOR, "circle:not(.dim)")) == 2 * number  # the same cells in both
    first, _ = root.find_elements(By.TAG_NAME, "svg")
    first.send_keys(Keys.ARROW_RIGHT)
    assert len(root.find_elements(By.CSS_SELECTOR, "circle.twin")) == 1
    pressed = root.find_element(By.CSS_SELECTOR, '.legend button[aria-pressed="true"]')
    pressed.send_keys(Keys.ENTER)
    assert not root.find_elements(By.CSS_SELECTOR, "circle.dim")


def test_slider_changes_the_model(browser, site):
    root = explorer(browser, site, "chapters/simulation_settings", "model")
    slider, numbers = (root.find_element(By.CSS_SELECTOR, name) for name in ("input[type=range]", ".numbers"))
    said_at = root.find_element(By.TAG_NAME, "output")
    assert said_at.text.endswith("(default)")
    seen = set()
    slider.send_keys(Keys.HOME)
    for _ in range(int(slider.get_attribute("max")) + 1):
        seen.add((said_at.text, numbers.text))
        slider.send_keys(Keys.ARROW_RIGHT)
    assert len(seen) == int(slider.get_attribute("max")) + 1
    runs, before = Select(root.find_element(By.TAG_NAME, "select")), numbers.text
    runs.select_by_index(1)
    assert len(runs.options) == 3 and numbers.text != before
    shown, every = (numbers.find_elements(By.TAG_NAME, "dd")[k].text for k in (1, 4))
    assert every.split(", ")[1] == shown  # the index of the second seed
    matrix, said = (root.find_element(By.CSS_SELECTOR, name) for name in (".matrix", ".said"))
    assert len(matrix.find_elements(By.TAG_NAME, "rect")) == 100
    matrix.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert re.fullmatch(r"metagenes inhibitory and inhibitory: affinity -?[\d.]+ from the mean", said.text)


def test_pages_open_from_a_file_without_a_server(browser, site):
    browser.get((HTML / "chapters/seqfish_plus_layers.html").as_uri())
    assert browser.find_elements(By.CSS_SELECTOR, ".explorer.ready circle")


def shown_on_paper(browser, site, page, selector):
    """For each element of a page that a selector finds, whether it is seen in print."""
    opened(browser, site, page)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = browser.execute_script("return [...document.querySelectorAll(arguments[0])]"
                                   ".map(e => e.checkVisibility() && e.getClientRects().length > 0)", selector)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    return shown


def test_print_has_no_controls(browser, site):
    shown = shown_on_paper(browser, site, "chapters/seqfish_plus_layers",
                           ".explorer, .provenance, .tag_hide-input .cell_input")
    assert shown and not any(shown)


def test_solutions_are_open_in_print(browser, site):
    shown = shown_on_paper(browser, site, "chapters/fitting",
                           "details.sd-dropdown:not(.provenance) p, .tag_solution .cell_input")
    assert len(shown) >= 6 and all(shown)


ROWS = "return [...document.querySelectorAll('.ledger tbody tr')].map(row => row.checkVisibility())"


def test_ledger_shows_the_claims_of_a_chapter_and_a_verdict(browser, site):
    opened(browser, site, "ledger")
    chapter, *verdicts = (Select(one) for one in browser.find_elements(By.CSS_SELECTOR, ".ledger-filter select"))
    count = browser.find_element(By.CSS_SELECTOR, ".ledger-filter output")
    every = browser.execute_script(ROWS)
    assert len(every) > 50 and all(every) and count.text == f"{len(every)} of {len(every)} claims"
    chapter.select_by_index(1)
    of_chapter = sum(browser.execute_script(ROWS))
    assert 0 < of_chapter < len(every) and count.text == f"{of_chapter} of {len(every)} claims"
    assert len(verdicts) == 2  # under the paper's procedure and under the recommended fit
    for verdict in verdicts:
        numbers = []
        for option in [option.text for option in verdict.options][1:]:
            verdict.select_by_visible_text(option)
            numbers.append(sum(browser.execute_script(ROWS)))
        assert sum(numbers) == of_chapter
        verdict.select_by_index(0)
    browser.find_element(By.CSS_SELECTOR, ".ledger-filter select").send_keys(Keys.HOME)  # the keyboard does it too
    assert all(browser.execute_script(ROWS))


def test_ledger_is_complete_in_print_and_without_scripts(browser, site):
    opened(browser, site, "ledger")
    Select(browser.find_element(By.CSS_SELECTOR, ".ledger-filter select")).select_by_index(1)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    printed, filters = browser.execute_script(ROWS), browser.execute_script(
        "return [...document.querySelectorAll('.ledger-filter')].map(form => form.checkVisibility())")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert all(printed) and not any(filters)
    written = source(HTML / "ledger.html")
    assert len(re.findall("<tr", written)) > 50
    assert not re.search("<tr[^>]*(hidden|left-out)|ledger-filter", written)
