"""The whole book as one PDF: a single page, printed by Chromium."""

import base64
import shutil
import sys
from pathlib import Path

import yaml

from _tools import BOOK, ROOT
from _tools.pages import build

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--host-resolver-rules=MAP * ~NOTFOUND")
PATIENCE = 1800  # seconds for one page that is a whole book, on a busy machine
READY = """const done = arguments[0];
const setting = window.MathJax?.startup?.promise;
Promise.all([setting, ...[...document.images].map(i => i.decode().catch(() => 0))]).then(() => done(), done);"""


def build_print(run: Path) -> Path | None:
    """Print ``build/RUN/book`` to ``book/_build/spicemix.pdf``; None after printing what is missing."""
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if not all(programs):
        print("The book cannot be printed: install chromium and chromedriver.", file=sys.stderr)
        return None
    html = build(run / "book", run / "print", "singlehtml")
    if html is None:
        return None
    root = yaml.safe_load((BOOK / "_toc.yml").read_text())["root"]
    partial, final = BOOK / "_build/spicemix.pdf.partial", BOOK / "_build/spicemix.pdf"
    final.parent.mkdir(exist_ok=True)
    partial.write_bytes(printed((html / f"{root}.html").as_uri(), programs))
    partial.replace(final)
    print(f"print: {final.relative_to(ROOT)}")
    return final


def printed(address: str, programs: tuple[str, str]) -> bytes:
    """A page as the PDF that the browser prints once its maths and its pictures are loaded."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in FLAGS:
        options.add_argument(flag)
    with webdriver.Chrome(options=options, service=Service(programs[1])) as browser:
        browser.set_script_timeout(PATIENCE)
        browser.command_executor.client_config.timeout = PATIENCE  # of 120 s by default
        browser.get(address)
        browser.execute_async_script(READY)
        sheet = {"printBackground": True, "paperWidth": 8.27, "paperHeight": 11.69, "generateDocumentOutline": True,
                 "displayHeaderFooter": False, "preferCSSPageSize": True}
        return base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", sheet)["data"])
