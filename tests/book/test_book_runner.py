"""book/build.py on a toy book: what it executes, skips, refuses and writes."""

import csv
import hashlib
import importlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from required import missing

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
CHAPTER = """# {title}

```{{code-cell}} ipython3
:tags: [parameters]
profile = "full"
random_state = 0
```

```{{code-cell}} ipython3
---
mystnb: {{image: {{alt: a line}}}}
---
{code}
```
"""


COUNTS = b"1 2 3\n"
FACTS = {"sha256": hashlib.sha256(COUNTS).hexdigest(), "bytes": len(COUNTS)}
REGISTRY = {"cortex": {"origin": "its author", "downloads": [], "layouts": {
    layout: {"folder": "cortex", "files": {"counts.txt": FACTS}} for layout in ("compact", "original")}}}
LOADING = """from spicemix_core.datasets.toy import load_cortex
print(load_cortex())"""
LOADER = """import os
def load_cortex():
    return open(os.environ["SPICEMIX_DATA"] + "/cortex/counts.txt").read()
"""
DRAWING = """import matplotlib.pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats
set_matplotlib_formats("svg", "png")
plt.rcParams["svg.hashsalt"] = "toy"
plt.plot([1, 3, 2])
plt.show()"""


def make_book(root, **chapters):
    """A repository with a book of these chapters (name -> code) below ``root``."""
    for folder in ("book/chapters", "book/assets", "spicemix_core/datasets", "spicemix_core/runs", "data",
                   "measured/cortex"):
        (root / folder).mkdir(parents=True)
    for name in ("spicemix_core/__init__.py", "spicemix_core/datasets/__init__.py", "spicemix_core/runs/__init__.py",
                 "requirements.lock", "book/references.bib"):
        (root / name).touch()
    for name in ("spicemix_core/runs/sources.py", "spicemix_core/datasets/registry.py", "book/build.py",
                 "book/_config.yml"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(BOOK / "_tools", root / "book/_tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BOOK / "_static", root / "book/_static")
    (root / "spicemix_core/datasets/toy.py").write_text(LOADER)
    (root / "data/registry.json").write_text(json.dumps(REGISTRY))
    (root / "measured/cortex/counts.txt").write_bytes(COUNTS)
    (root / "book/intro.md").write_text("# Toy\n\n{doc}`chapters/first`\n\n{{ pdf }}\n")
    (root / "book/chapters/plain.md").write_text("# Plain\n\nNo code here.\n")
    for name, code in chapters.items():
        (root / f"book/chapters/{name}.md").write_text(CHAPTER.format(title=name.title(), code=code))
    (root / "book/reexecute.md").write_text("# Again\n\n{{ chapter_times }}\n")
    pages = [*(f"chapters/{name}" for name in (*chapters, "plain")), "reexecute"]
    listed = "\n".join(f"  - file: {name}" for name in pages)
    (root / "book/_toc.yml").write_text(f"format: jb-book\nroot: intro\nchapters:\n{listed}\n")
    return root


def command(root, *arguments):
    return dict(args=[sys.executable, root / "book/build.py", *arguments], cwd=root, text=True,
                env=os.environ | {"SPICEMIX_DATA": "measured", "MPLBACKEND": "agg"})


def build(root, *arguments):
    """Run the runner in the toy repository."""
    return subprocess.run(**command(root, *arguments), capture_output=True, timeout=600)


def notebook(root, name, run="quick"):
    return root / f"build/{run}/notebooks/{name}.ipynb"


def printed(path):
    """What the cells of an executed notebook printed, without the cells that the runner adds."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if "executed-environment" not in
             cell["metadata"].get("tags", [])]
    outputs = [out for cell in cells for out in cell.get("outputs", [])]
    return "".join("".join(out.get("text", "")) for out in outputs)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A toy book, built once in its quick profile, and the output of the runner."""
    code = f"""import os
data = os.environ["SPICEMIX_DATA"]
print(profile, random_state, os.path.isabs(data), os.listdir(data))
os.makedirs("../results", exist_ok=True)
open("../results/first_table.csv", "w").write(f"seed,half\\n{{random_state}},{{random_state / 2}}\\n")
{LOADING}
{DRAWING}"""
    root = make_book(tmp_path_factory.mktemp("toy"), first=code)
    return root, build(root, "--profile", "quick")


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """The module of a toy book's own copy of the runner, to call its functions."""
    root = make_book(tmp_path, first=LOADING)
    monkeypatch.setenv("SPICEMIX_DATA", str(root / "measured"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))  # where downloads would be
    monkeypatch.setenv("SPICEMIX_OFFLINE", "0")  # what the runner changes is put back
    monkeypatch.syspath_prepend(root / "book")

    def forget():
        for name in [name for name in sys.modules if name == "build" or name.split(".")[0] == "_tools"]:
            del sys.modules[name]

    forget()
    yield root, importlib.import_module("build")
    forget()


def digest(runner, name="first", **parameters):
    """The digest of the inputs of a chapter, computed again."""
    _, module = runner
    inputs = sys.modules["_tools.inputs"]
    inputs.registry.read_registry.cache_clear()
    return inputs.inputs_digest(name, module.read_chapters()[name], {"profile": "quick"} | parameters)


def test_chapters_are_executed_with_their_parameters_and_the_data(toy):
    root, run = toy
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert run.stdout.split()[:2] == ["first", "executed"]
    assert printed(notebook(root, "first")).startswith("quick 0 True ['cortex']\n1 2 3\n")


def test_pages_show_outputs_but_no_parameters(toy):
    page = (toy[0] / "book/_build/html/chapters/first.html").read_text()
    assert "quick 0 True" in page
    assert "random_state = " not in page
    assert "Quick profile" in page
    assert (toy[0] / "book/_build/html/chapters/plain.html").is_file()


def test_no_incomplete_file_remains(toy):
    root, _ = toy
    assert sorted(p.name for p in (root / "book/_build").iterdir()) == ["html"]
    assert not [*root.rglob("*.partial*")]


def test_a_page_states_the_origin_of_its_figure_and_has_its_files(toy):
    root, _ = toy
    page = (root / "book/_build/html/chapters/first.html").read_text()
    assert page.count("Made by <code") == 1  # once per page
    assert re.search(r'class="made[^>]*>\s*<p>.*>SVG<.*>PNG<.* s</p>', page, re.DOTALL)
    assert f"counts.txt <code class=\"docutils literal notranslate\"><span class=\"pre\">{_sha()[:8]}" in page
    assert "random_state" in page
    assert "matplotlib</p></td>" in page  # in the executed environment
    files = {path.name: path for path in (root / "book/_build/html/_downloads").rglob("*") if path.is_file()}
    assert set(files) == {"first.ipynb", "first-003.svg", "first-003.png", "first_table.csv"}
    assert printed(files["first.ipynb"]) == printed(notebook(root, "first"))
    assert files["first-003.png"].read_bytes().startswith(b"\x89PNG") and b"<svg" in files["first-003.svg"].read_bytes()
    assert files["first_table.csv"].read_text() == "seed,half\n0,0.0\n"


def _sha():
    return REGISTRY["cortex"]["layouts"]["compact"]["files"]["counts.txt"]["sha256"]


def test_the_time_of_each_chapter_is_in_a_table(toy):
    root, _ = toy
    seconds = json.loads((root / "build/quick/notebooks/first.run.json").read_text())["seconds"]
    rows = re.findall(r"<tr.*?</tr>", (root / "book/_build/html/reexecute.html").read_text(), re.DOTALL)
    words = [re.sub(r"<[^>]*>", " ", row).split() for row in rows]
    assert words[1][:2] == ["First", f"{seconds:.0f}"] and words[2] == ["together", f"{seconds:.0f}"]


def test_pages_contain_only_the_icons_that_they_use(toy):
    script = toy[0] / "book/_build/html/_static/scripts/fontawesome.js"
    assert '"magnifying-glass":[' in script.read_text()
    assert script.stat().st_size < 200_000


def test_unchanged_chapter_is_not_executed_again(toy):
    before = notebook(toy[0], "first").stat().st_mtime_ns
    run = build(toy[0], "--profile", "quick", "--chapter", "first")
    assert run.stdout.split()[:2] == ["first", "unchanged"]
    assert notebook(toy[0], "first").stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def again(toy):
    """What the runner says when it executes the chapter with another seed, and its notebook of the book before that."""
    once = notebook(toy[0], "first").read_bytes()
    return build(toy[0], "--profile", "quick", "--chapter", "first", "-p", "random_state=9").stdout, once


def test_other_parameters_have_a_folder_of_their_own(toy, again):
    (root, _), (said, once) = toy, again
    assert said.split()[:2] == ["first", "executed"]
    assert printed(notebook(root, "first", "quick,random_state=9")).startswith("quick 9")
    assert (root / "build/quick,random_state=9/downloads/first/first_table.csv").read_text().endswith("9,4.5\n")
    assert notebook(root, "first").read_bytes() == once


def test_a_chapter_that_was_executed_again_has_a_page(toy, again):
    (root, _), (said, _) = toy, again
    assert said.splitlines()[-1] == "first: build/quick,random_state=9/downloads/first/first.html"
    page = (root / "build/quick,random_state=9/downloads/first/first.html").read_text()
    assert "Executed in the quick profile with random_state = 9." in page and "quick 9 True" in page
    assert '<img alt="a line" src="data:image/svg' in page
    assert "load_cortex" in page and "profile = &quot;full&quot;" not in page  # code, without the cell of parameters
    assert "Verdicts" not in page  # the toy judges no claim


def test_the_same_run_gives_the_same_bytes(toy):
    root, _ = toy
    once = notebook(root, "first").read_bytes()
    table = root / "build/quick/results/first_table.csv"
    results = table.read_bytes()
    shutil.rmtree(root / "build/quick")
    assert build(root, "--profile", "quick", "--chapter", "first", "--jobs", "1").returncode == 0
    assert notebook(root, "first").read_bytes() == once
    assert table.read_bytes() == results


def test_profiles_do_not_mix(toy):
    root, _ = toy
    quick = notebook(root, "first").read_bytes()
    run = build(root, "--chapter", "first")
    assert run.stdout.split()[:2] == ["first", "executed"]
    assert printed(notebook(root, "first", "full")).startswith("full 0")
    assert notebook(root, "first").read_bytes() == quick


def test_digest_stays_while_nothing_changes(runner):
    assert digest(runner) == digest(runner) != digest(runner, random_state=1)


@pytest.mark.parametrize("path", ["book/chapters/first.md", "book/_tools/execution.py", "book/glossary.yml",
                                  "spicemix_core/datasets/toy.py", "data/registry.json", "data/twin.npz",
                                  "measured/cortex/counts.txt", "requirements.lock"])
def test_digest_changes_with_every_input(runner, path):
    root, _ = runner
    before = digest(runner)
    with (root / path).open("a") as file:
        file.write(" " if path.endswith(".json") else "#")
    assert digest(runner) != before


@pytest.mark.parametrize("path", ["book/chapters/plain.md", "book/_tools/pages.py", "book/_static/book.css",
                                  "book/intro.md", "spicemix_core/drawing.py", "data/README.md",
                                  "measured/other.txt"])
def test_digest_ignores_what_the_chapter_does_not_use(runner, path):
    root, _ = runner
    before = digest(runner)
    with (root / path).open("a") as file:
        file.write("#")
    assert digest(runner) == before


def test_digest_follows_imports_and_knows_a_data_set_by_name(runner):
    root, _ = runner
    (root / "spicemix_core/fit.py").write_text("def f():\n    from spicemix_core import step\n")
    (root / "spicemix_core/step.py").write_text("DATA = {'cortex': 1}\n")
    chapter = root / "book/chapters/first.md"
    chapter.write_text(CHAPTER.format(title="First", code="%matplotlib inline\nimport spicemix_core.fit as fit"))
    before = digest(runner)
    for path in ("spicemix_core/step.py", "measured/cortex/counts.txt"):
        with (root / path).open("a") as file:
            file.write("#\n")
        after = digest(runner)
        assert after != before
        before = after
    (root / "spicemix_core/step.py").write_text("# cortex\n")  # a word in a comment does not use the data
    before = digest(runner)
    (root / "measured/cortex/counts.txt").write_text("9")
    assert digest(runner) == before


@pytest.mark.parametrize(("code", "follows"), [("tables = 'benchmarks/results'", True), ("tables = 'data'", False)])
def test_digest_follows_the_benchmarks_that_a_chapter_shows_and_no_others(runner, code, follows):
    root, _ = runner
    (root / "book/chapters/first.md").write_text(CHAPTER.format(title="First", code=code))
    (root / "benchmarks/results").mkdir(parents=True)
    before = digest(runner)
    (root / "benchmarks/results/fits.md").write_text("| seconds |\n")
    assert (digest(runner) != before) == follows


def test_digest_of_a_chapter_has_its_own_claims_only(runner):
    root, _ = runner
    (root / "book/claims.yml").write_text("- {id: a, chapter: first}\n")
    before = digest(runner)
    (root / "book/claims.yml").write_text("- {id: a, chapter: first}\n- {id: b, chapter: second}\n")
    assert digest(runner) == before
    (root / "book/claims.yml").write_text("- {id: c, chapter: first}\n")
    assert digest(runner) != before


def test_added_or_removed_data_change_the_digest(runner):
    before = digest(runner)
    (runner[0] / "measured/cortex/counts.txt").unlink()
    assert digest(runner) != before


@pytest.mark.parametrize(("content", "words"), [(COUNTS[:3], "counts.txt is truncated (3 of 6 bytes)"),
                                                (b"1 2 4\n", "counts.txt is not the file that was published")])
def test_damaged_data_are_refused_before_anything_runs(runner, capsys, content, words):
    (runner[0] / "measured/cortex/counts.txt").write_bytes(content)
    assert words in refusal(runner, capsys)


def test_missing_data_are_named_at_the_start(runner):
    missing_data = sys.modules["_tools.inputs"].missing_data
    assert missing_data(["cortex"]) == ""
    (runner[0] / "measured/cortex/counts.txt").unlink()
    assert re.match(r"Not found: cortex \(\S*cortex/counts.txt\)\. ", missing_data(["cortex"]))


@pytest.fixture
def server(runner):
    """A web server on this machine that the toy's registry names; returns the folder that it serves."""
    root, _ = runner
    (root / "served").mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root / "served")) as httpd:
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        address = f"http://127.0.0.1:{httpd.server_port}/counts.txt"
        facts = REGISTRY["cortex"] | {"downloads": [{"url": address, **FACTS}]}
        (root / "data/registry.json").write_text(json.dumps({"cortex": facts, "other": facts}))
        (root / "measured/cortex/counts.txt").unlink()
        yield root / "served"
        httpd.shutdown()


def test_data_that_no_folder_has_are_downloaded_before_the_chapters_run(runner, server, capsys, monkeypatch):
    root, module = runner
    (server / "counts.txt").write_bytes(COUNTS)
    monkeypatch.setattr(module, "execute_changed", lambda *_: 1)  # chapters are not part of this test
    assert module.main([]) == 1
    assert re.match(r"cortex: downloading 0\.0 MB from 127\.0\.0\.1:\d+/counts\.txt\n$", capsys.readouterr().out)
    (found,) = sys.modules["_tools.inputs"].data_files("cortex")
    assert found.read_bytes() == COUNTS and found.is_relative_to(root / "cache")
    assert os.environ["SPICEMIX_OFFLINE"] == "1"  # chapters need not try again


def test_a_failed_download_is_reported_and_the_next_data_set_is_tried(runner, server, capsys):
    sys.modules["_tools.fetching"].fetch_data(["cortex", "other"])
    said = capsys.readouterr().out
    assert said.count("counts.txt gave 404 File not found") == 2 and said.count(": downloading") == 2
    assert sys.modules["_tools.inputs"].missing_data(["cortex"]).startswith("Not found: cortex")


def test_without_a_connection_one_address_is_tried_only(runner, server, capsys):
    registry = json.loads((runner[0] / "data/registry.json").read_text())
    for facts in registry.values():
        facts["downloads"][0]["url"] = "http://127.0.0.1:9/counts.txt"
    (runner[0] / "data/registry.json").write_text(json.dumps(registry))
    sys.modules["_tools.fetching"].fetch_data(["cortex", "other"])
    said = capsys.readouterr().out
    assert "counts.txt gave ConnectionError" in said and said.count(": downloading") == 1


def test_a_download_that_is_not_the_published_file_stops_the_build(runner, server, capsys):
    (server / "counts.txt").write_bytes(b"1 2 4\n")
    assert "no longer serves the file that was published" in refusal(runner, capsys)


def test_results_of_a_twin_never_replace_measured_ones(runner, monkeypatch, capsys):
    root, module = runner
    (root / "data/registry.json").write_text(json.dumps({"cortex": {**REGISTRY["cortex"], "measured": True}}))
    folders = []
    monkeypatch.setattr(module, "execute_changed", lambda names, chapters, run, *_: folders.append(run.name) or 0)
    monkeypatch.setattr(module, "build_pages", lambda *arguments: folders.append(arguments[4]) or 0)
    assert module.main([]) == 0
    (root / "measured/cortex/counts.txt").unlink()
    assert module.main(["-p", "random_state=3"]) == 0
    assert folders == ["full", False, "full,random_state=3,twin", True]
    assert "Not found: cortex" in capsys.readouterr().out
    assert module.twin_note(True).startswith(" (twin: ") and "twin" in module.description("full", {}, True)


def test_pages_of_a_twin_do_not_replace_those_of_measured_data(runner):
    root, _ = runner
    pages = sys.modules["_tools.pages"]
    final = root / "book/_build/html"
    assert pages.destination(True) == pages.destination(False) == final
    for made_from, name in (("twin", "html"), ("measured", "html-twin")):
        (final / "_static").mkdir(parents=True, exist_ok=True)
        (final / "_static" / pages.MADE_FROM).write_text(made_from)
        assert pages.destination(True).name == name and pages.destination(False) == final


def judge(root, run, **verdicts):
    """Store verdicts of the chapter ``first`` as if it had judged these claims."""
    (run / "results").mkdir(parents=True)
    records = [{"id": name, "claim": f"claim <{name}>", "verdict": verdict} for name, verdict in verdicts.items()]
    (run / "results/claims_first.json").write_text(json.dumps(records))


def test_verdicts_are_compared_with_those_of_the_book(runner):
    root, _ = runner
    tool, labels = sys.modules["_tools.rerun_page"], sys.modules["_tools.labels"].Labels(titles={"first": "First"})
    judge(root, root / "build/full", a="partly", b="reproduced")
    tool.publish_verdicts(root / "build/full")
    assert json.loads((root / "book/verdicts.json").read_text()) == {"a": "partly", "b": "reproduced"}
    runs = {seed: root / f"build/seed{seed}" for seed in (1, 2)}
    judge(root, runs[1], a="partly", b="partly", c="reproduced")
    judge(root, runs[2], a="partly", b="reproduced", c="reproduced")
    page = tool.write_seeds_page(runs, "first", labels, "Executed.", root / "build/seeds").read_text()
    assert "<th>seed 1</th><th>seed 2</th>" in page and "claim &lt;a&gt;" in page
    rows = [re.sub("<[^>]*>", "|", row) for row in re.findall(r"<tr.*?</tr>", page)]
    assert "|partly||partly||partly|" in rows[1] and "|reproduced||partly||reproduced|" in rows[2]
    assert "|not stored||reproduced||reproduced|" in rows[3] and "|1 of 2||2 of 2|" in rows[4]
    assert page.count("<tr class=changed>") == 1


def test_a_chapter_is_executed_once_for_each_seed(runner, monkeypatch, capsys):
    root, module = runner
    (root / "book/claims.yml").write_text("- {id: a, chapter: first}\n")

    def execute(names, chapters, run, parameters, *_):
        judge(root, run, a="partly" if parameters["random_state"] else "reproduced")
        return 0

    monkeypatch.setattr(module, "execute_changed", execute)
    monkeypatch.setattr(module, "export", lambda *_: None)
    monkeypatch.setattr(module, "write_page", lambda run, *_: run / "page.html")
    assert module.main(["--chapter", "first", "--seeds", "0,4"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "first: build/full,seeds=0,4/first_seeds.html"
    page = (root / "build/full,seeds=0,4/first_seeds.html").read_text()
    assert "<td>not stored</td><td>reproduced</td><td>partly</td>" in page and "Seeds: 0, 4." in page


def test_a_chapter_can_fill_several_pages(runner):
    chapters = sys.modules["_tools.chapters"]
    new_markdown = sys.modules["_tools.provenance"].nbformat.v4.new_markdown_cell
    cells = [new_markdown(text, metadata={"page": page} if page else {}) for text, page in (
        ("# First", ""), ("## A", ""), ("## Second", "second"), ("### B", ""), ("c", "first"), ("d", "second"))]
    found = chapters.parts("first", cells)
    sys.modules["_tools.provenance"].give_title(found["second"], "second")
    assert {page: [cell.source for cell in own] for page, own in found.items()} == {
        "first": ["# First", "## A", "c"], "second": ["# Second", "## B", "d"]}
    titled = [new_markdown("## B", metadata={"page": "third", "title": "Third"})]
    sys.modules["_tools.provenance"].give_title(titled, "third")
    assert [cell.source for cell in titled] == ["# Third", "## B"]
    text = CHAPTER.format(title="First", code="print(1)").replace(
        "# First", '# First\n\n+++ {"page": "second"}\n\n## Second\n\n+++ {"page": "first"}\n\nEnd')
    (runner[0] / "book/chapters/first.md").write_text(text)
    notebooks = chapters.read_chapters()
    assert list(chapters.parts("first", notebooks["first"].cells)) == ["first", "second"]
    assert sys.modules["_tools.labels"].read_labels(notebooks).titles["second"] == "Second"


def test_claims_of_a_chapter_become_a_table(runner):
    provenance = sys.modules["_tools.provenance"]
    record = {"id": "a", "chapter": "first", "claim": "x, y", "paper": "1", "value": 0.1 + 0.2, "runs": [None, 0.5],
              "verdict": "partly", "comment": "",
              "procedure": {"value": 2, "runs": [], "verdict": "reproduced", "comment": "c"}}
    rows = list(csv.DictReader(provenance.claims_table([record]).splitlines()))
    assert rows == [{
        "id": "a", "claim": "x, y", "paper": "1",
        "procedure_value": "2", "procedure_runs": "", "procedure_verdict": "reproduced", "procedure_comment": "c",
        "recommended_value": repr(0.1 + 0.2), "recommended_runs": "nan 0.5", "recommended_verdict": "partly",
        "recommended_comment": ""}]


@pytest.mark.parametrize(("verdict", "warned"), [("reproduced", False), ("not evaluated", True)])
def test_home_page_counts_the_verdicts_and_names_chapters_without_measurements(runner, monkeypatch, verdict, warned):
    root, _ = runner
    claim = {"id": "a", "chapter": "seqfish_plus", "about": "SpiceMix", "place": "Fig. 1", "figure": "fig-a",
             "claim": "x", "short": "x", "paper": "1", "measure": "n", "reproduced": {"at_least": 1},
             "partly": {"at_least": 0}}
    (root / "book/claims.yml").write_text(json.dumps([claim]))
    home, results = sys.modules["_tools.home"], root / "results"
    monkeypatch.setattr(home, "ROOT", ROOT)  # the toy has no package to judge with
    results.mkdir()
    assert set(home.substitutions(results, "full").values()) == {""}
    found = {"value": 2.0, "runs": [], "verdict": verdict, "comment": ""}
    record = {"id": "a", "chapter": "seqfish_plus", "claim": "x", "paper": "1", **found,
              "procedure": found | {"verdict": "partly"}}
    (results / "claims_seqfish_plus.json").write_text(json.dumps([record]))
    said = home.substitutions(results, "full")
    assert f"1 claim about SpiceMix: 1 {verdict}." in said["tally"] and "paper: Fig. 1 (1)" in said["ledger_spicemix"]
    assert said["tally"].index("1 partly") < said["tally"].index(f"1 {verdict}")  # the paper's procedure comes first
    assert ("*not evaluated*" in said["tally"]) == warned
    assert ":link: chapters/seqfish_plus" in said["cards"] and "chapters/starmap" not in said["cards"]


def test_pieces_of_a_stream_are_joined(runner):
    execution = sys.modules["_tools.execution"]
    pieces = [execution.nbformat.v4.new_output("stream", name=name, text=text)
              for name, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d"))]
    assert [output["text"] for output in execution.joined(pieces)] == ["ab", "c", "d"]


def test_a_failing_chapter_does_not_stop_the_others_and_leaves_no_results_of_an_earlier_execution(tmp_path):
    code = """import os
os.makedirs("../results", exist_ok=True)
open("../results/wrong_{0}.csv", "w").write("{0}")
open("../results/claims_wrong.json", "w").write("[]")
{1}"""
    root = make_book(tmp_path, first="print(1)", wrong=code.format("one", ""),
                     never="raise KeyError('no such gene')")
    chapter, tables = root / "book/chapters/wrong.md", root / "build/quick/results"
    sound = chapter.read_text()
    assert build(root, "--profile", "quick", "--chapter", "wrong").returncode == 0
    chapter.write_text(CHAPTER.format(title="Wrong", code=code.format("two", "raise ValueError")))
    run = build(root, "--profile", "quick")
    assert run.returncode == 1
    assert "KeyError: 'no such gene'" in run.stderr and "\x1b" not in run.stderr
    assert sorted(line.split()[:2] for line in run.stdout.splitlines()) == [
        ["first", "executed"], ["never", "FAILED"], ["wrong", "FAILED"]]
    assert notebook(root, "first").is_file() and not notebook(root, "never").exists()
    assert not (root / "book/_build").exists() and not (tables / "wrong_one.csv").exists()
    chapter.write_text(sound)
    again = build(root, "--profile", "quick", "--chapter", "wrong")
    assert again.stdout.split()[:2] == ["wrong", "executed"]
    assert sorted(path.name for path in tables.iterdir()) == ["claims_wrong.json", "wrong_one.csv"]
    assert sorted(path.name for path in (root / "build/quick/downloads/wrong").glob("*.csv")) == [
        "claims_wrong.csv", "wrong_one.csv"]


def test_a_broken_link_fails_and_keeps_the_existing_pages(toy):
    root, _ = toy
    page, intro = root / "book/_build/html/intro.html", root / "book/intro.md"
    before, source = page.read_text(), intro.read_text()
    intro.write_text("# Changed\n\n[nowhere](chapters/nowhere.md)\n")
    run = build(root, "--profile", "quick")
    intro.write_text(source)
    assert run.returncode == 1
    assert "nowhere" in run.stderr
    assert page.read_text() == before


# On its first execution this chapter writes to a pipe and then waits until its process ends, which closes the
# pipe.
STAYING = """import os, threading
if not os.path.exists("begun"):
    open("begun", "w").close()
    pipe = open(os.environ["PIPE"], "w")
    print("here", file=pipe, flush=True)
    threading.Event().wait()"""
IGNORING = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a shell starts a job in the background


def read_line(pipe, limit=300.0):
    """The next line from a pipe, "" once all that could write to it has ended."""
    assert select.select([pipe], [], [], limit)[0], f"nothing came in {limit:.0f} seconds"
    return pipe.readline()


@pytest.mark.parametrize(("how", "status", "start"), [
    (signal.SIGINT, 130, []), (signal.SIGINT, 130, IGNORING), (signal.SIGKILL, -signal.SIGKILL, [])],
    ids=["interrupted", "interrupted in the background", "killed"])
def test_stopped_run_leaves_no_process_and_the_next_one_resumes(tmp_path, monkeypatch, how, status, start):
    root, fifo = make_book(tmp_path, first="print(1)", slow=STAYING), tmp_path / "fifo"
    os.mkfifo(fifo)
    monkeypatch.setenv("PIPE", str(fifo))
    options = command(root, "--jobs", "2")
    options["args"] = [*start, *options["args"]]
    with (subprocess.Popen(**options, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run,
          open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as pipe):
        assert run.stdout.readline().split()[:2] == ["first", "executed"]
        assert read_line(pipe) == "here\n"
        run.send_signal(how)
        assert run.wait(timeout=300) == status
        assert read_line(pipe) == ""  # the chapter's process has ended too
    assert notebook(root, "first", "full").is_file()
    assert not notebook(root, "slow", "full").exists()
    assert not (root / "book/_build").exists()
    if how == signal.SIGINT and not start:  # to resume is the same after both interruptions
        return
    again = build(root, "--chapter", "first", "--chapter", "slow")
    assert again.returncode == 0, again.stderr
    said = [line.split()[:2] for line in again.stdout.splitlines()]
    assert said[:2] == [["first", "unchanged"], ["slow", "executed"]]
    assert not [*root.rglob("*.partial*")]


IMPORTING = """import os, threading
with open(os.environ["PIPE"], "w") as pipe:
    print("importing", file=pipe, flush=True)
    threading.Event().wait()"""


@pytest.mark.parametrize("start", [[], IGNORING], ids=["in the foreground", "in the background"])
def test_a_run_can_be_interrupted_while_it_imports_packages(tmp_path, monkeypatch, start):
    root, fifo, slow = make_book(tmp_path, first="print(1)"), tmp_path / "fifo", tmp_path / "slow"
    os.mkfifo(fifo)
    slow.mkdir()
    (slow / "jupytext.py").write_text(IMPORTING)
    monkeypatch.setenv("PIPE", str(fifo))
    options = command(root)
    options["args"], options["env"]["PYTHONPATH"] = [*start, *options["args"]], str(slow)
    with (subprocess.Popen(**options, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run,
          open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as pipe):
        assert read_line(pipe) == "importing\n"
        run.send_signal(signal.SIGINT)
        try:
            assert run.communicate(timeout=300) == ("", "interrupted: nothing was executed\n")
        finally:
            run.kill()
    assert run.returncode == 130 and not (root / "build").exists()


def test_a_chapter_that_hangs_is_stopped_with_a_sentence(tmp_path):
    root = make_book(tmp_path, first="import threading\nthreading.Event().wait()")
    run = build(root, "--limit", "0.01")
    assert run.returncode == 1 and run.stdout.split()[:2] == ["first", "FAILED"]
    assert "A cell took longer than 0.0166667 minutes, so first was stopped. Raise --limit if it needs" in run.stderr
    assert "Traceback" not in run.stderr and not notebook(root, "first", "full").exists()


def test_a_folder_with_a_remaining_process_of_another_run_is_not_touched(runner, monkeypatch, capsys):
    root, module = runner
    tool = sys.modules["_tools.alone"]
    monkeypatch.setattr(module, "execute_changed", lambda *_: 0)
    monkeypatch.setattr(module, "build_pages", lambda *_: 0)
    monkeypatch.setattr(module, "alone", lambda folder: tool.alone(folder, patience=0))
    with tool.alone(root / "build/quick"):
        left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
        assert module.main(["--profile", "full"]) == 0
    with pytest.raises(SystemExit) as stop:
        module.main(["--profile", "quick"])
    assert stop.value.code == 2 and "uses build/quick: wait" in capsys.readouterr().err
    left.communicate()
    assert module.main(["--profile", "quick"]) == 0


def test_a_full_disk_leaves_the_existing_pages_unchanged(runner, monkeypatch):
    root, _ = runner
    pages = sys.modules["_tools.pages"]
    built, final = root / "pages", root / "html"
    for folder, text in ((built, "new"), (final, "old")):
        folder.mkdir()
        (folder / "index.html").write_text(text)

    def full(source, target):
        Path(target).mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(pages.shutil, "move", full)
        pages.publish(built, final)
    assert (final / "index.html").read_text() == "old"
    assert sorted(path.name for path in root.glob("html*")) == ["html"]
    pages.publish(built, final)
    assert (final / "index.html").read_text() == "new"
    assert sorted(path.name for path in root.glob("html*")) == ["html"]


def test_a_disk_error_is_reported_in_one_sentence(runner, monkeypatch, capsys):
    _, module = runner

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "execute_changed", lambda *_: 0)
    monkeypatch.setattr(module, "build_pages", full)
    assert module.main([]) == 1
    assert capsys.readouterr().err == "The pages were not rebuilt: [Errno 28] No space left on device\n"


def refusal(runner, capsys, *arguments):
    """The message with which the runner refuses these arguments, before it has written anything."""
    root, module = runner
    with pytest.raises(SystemExit) as stop:
        module.main([*arguments])
    assert stop.value.code == 2
    assert not (root / "build").exists()
    return capsys.readouterr().err


def test_invalid_requests_are_refused(runner, capsys):
    for arguments, words in [(["-p", "seed=3"], "Chapter first has no parameter seed"),
                             (["-p", "profile=quick"], "KEY=VALUE"),
                             (["-p", "random_state"], "KEY=VALUE"),
                             (["-p", "random_state=x"], "of chapter first must be a whole number, but 'x' was given"),
                             (["-p", "random_state=-1"], "must be at least 0"),
                             (["-p", "random_state=1.5"], "must be a whole number"),
                             (["--seeds", "0,1"], "name them with --chapter"),
                             (["--chapter", "first", "--seeds", "0,x"], "not a list of whole numbers"),
                             (["--chapter", "first", "--seeds", "1,1"], "a seed twice"),
                             (["--chapter", "first", "--seeds", "0,1"], "Chapter first judges no claims"),
                             (["--chapter", "first", "--seeds", "0", "-p", "random_state=1"], "leave this parameter"),
                             (["--store-verdicts", "--profile", "quick"], "the full book"),
                             (["--chapter", "plain"], "no chapter plain with code; there are first"),
                             (["--jobs", "0"], "must be at least 1"),
                             (["--limit", "0"], "must be a positive number of minutes")]:
        assert words in refusal(runner, capsys, *arguments)


@pytest.mark.parametrize(("breaks", "words"), [
    (lambda root: (root / "book/chapters/first.md").write_text("```{code-cell} ipython3\nprofile = 'full'\n```\n"),
     "Chapter first must set profile and random_state in a cell tagged parameters"),
    (lambda root: (root / "book/chapters/first.md").unlink(), "there is no book/chapters/first.md"),
    (lambda root: (root / "book/chapters/first.md").write_text(CHAPTER.format(title="First", code="1").replace(
        "# First", "# First\n\n+++ {\"page\": \"second\"}\n\n# Second")) and (root / "book/_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n  - file: chapters/first\n  - file: chapters/third\n"),
     "there is no book/chapters/third.md"),
    (lambda root: shutil.rmtree(root / "measured"), "which is not a folder")])
def test_broken_books_are_refused_before_anything_runs(runner, capsys, breaks, words):
    breaks(runner[0])
    assert words in refusal(runner, capsys)


def test_the_book_is_printed_to_one_file_with_an_outline_of_its_pages(toy):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        missing("chromium and chromedriver are not installed")
    root, _ = toy
    run = build(root, "--profile", "quick", "--print")
    assert run.returncode == 0, run.stderr
    printed_book = root / "book/_build/spicemix.pdf"
    content = printed_book.read_bytes()
    printed_book.unlink()
    assert not [*root.rglob("*.partial*")]
    offered = list((root / "book/_build/html/_downloads").rglob("spicemix.pdf"))
    assert [path.read_bytes() == content for path in offered] == [True]
    assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    assert all(f"/Title ({title})".encode() in content for title in ("Toy", "First", "Plain", "Again"))


def test_printing_without_a_browser_names_what_to_install(runner, monkeypatch, capsys):
    root, module = runner
    monkeypatch.setattr(sys.modules["_tools.printing"].shutil, "which", lambda _: None)
    assert module.build_print(root / "build/quick") is None
    assert "install chromium and chromedriver" in capsys.readouterr().err
    assert not (root / "book/_build").exists()
