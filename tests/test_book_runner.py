"""book/build.py on a toy book: what it executes, skips, refuses, and leaves behind."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[1] / "book"
CHAPTER = """# {title}

```{{code-cell}} ipython3
:tags: [parameters]
profile = "full"
random_state = 0
```

```{{code-cell}} ipython3
{code}
```
"""


def make_book(root, **chapters):
    """A repository with a book of these chapters (name -> code) below ``root``."""
    for folder in ("book/chapters", "spicemix_core", "data", "measured"):
        (root / folder).mkdir(parents=True)
    (root / "spicemix_core/__init__.py").touch()
    (root / "data/registry.json").write_text("{}")
    (root / "measured/counts.txt").write_text("1 2 3")
    (root / "requirements.lock").touch()
    shutil.copy(BOOK / "build.py", root / "book")
    shutil.copy(BOOK / "_config.yml", root / "book")
    shutil.copytree(BOOK / "_static", root / "book/_static")
    (root / "book/assets").mkdir()
    (root / "book/references.bib").touch()
    (root / "book/intro.md").write_text("# Toy\n\n{doc}`chapters/first`\n")
    (root / "book/chapters/plain.md").write_text("# Plain\n\nNo code here.\n")
    for name, code in chapters.items():
        (root / f"book/chapters/{name}.md").write_text(CHAPTER.format(title=name.title(), code=code))
    listed = "\n".join(f"  - file: chapters/{name}" for name in (*chapters, "plain"))
    (root / "book/_toc.yml").write_text(f"format: jb-book\nroot: intro\nchapters:\n{listed}\n")
    return root


def command(root, *arguments):
    return dict(args=[sys.executable, root / "book/build.py", *arguments], cwd=root, text=True,
                env=os.environ | {"SPICEMIX_DATA": "measured", "MPLBACKEND": "agg"})


def build(root, *arguments):
    """Run the runner in the toy repository."""
    return subprocess.run(**command(root, *arguments), capture_output=True, timeout=120)


def notebook(root, name, profile="quick"):
    return root / f"build/{profile}/notebooks/{name}.ipynb"


def printed(path):
    """What the cells of an executed notebook printed."""
    outputs = [out for cell in json.loads(path.read_text())["cells"] for out in cell.get("outputs", [])]
    return "".join("".join(out.get("text", "")) for out in outputs)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A toy book, built once in its quick profile, and what the runner said."""
    code = """import os
data = os.environ["SPICEMIX_DATA"]
print(profile, random_state, os.path.isabs(data), os.listdir(data))"""
    root = make_book(tmp_path_factory.mktemp("toy"), first=code)
    return root, build(root, "--profile", "quick", "-p", "random_state=7")


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """The module of a toy book's own copy of the runner, to call its functions."""
    root = make_book(tmp_path, first="print(1)")
    spec = importlib.util.spec_from_file_location("toy_build", root / "book/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("SPICEMIX_DATA", str(root / "measured"))
    return root, module


def test_chapters_are_executed_with_their_parameters_and_the_data(toy):
    root, run = toy
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert run.stdout.split()[:2] == ["first", "executed"]
    assert printed(notebook(root, "first")) == "quick 7 True ['counts.txt']\n"


def test_pages_show_outputs_but_no_parameters(toy):
    page = (toy[0] / "book/_build/html/chapters/first.html").read_text()
    assert "quick 7 True" in page
    assert "random_state = " not in page
    assert "Quick profile" in page
    assert (toy[0] / "book/_build/html/chapters/plain.html").is_file()


def test_nothing_half_built_is_left(toy):
    root, _ = toy
    assert sorted(p.name for p in (root / "book/_build").iterdir()) == ["html"]
    assert not [*root.rglob("*.partial*")]


def test_unchanged_chapter_is_not_executed_again(toy):
    before = notebook(toy[0], "first").stat().st_mtime_ns
    run = build(toy[0], "--profile", "quick", "--chapter", "first", "-p", "random_state=7")
    assert run.stdout.split() == ["first", "unchanged"]
    assert notebook(toy[0], "first").stat().st_mtime_ns == before


def test_other_parameter_executes_again_and_same_parameters_give_the_same_bytes(toy):
    root, _ = toy
    once = notebook(root, "first").read_bytes()
    again = build(root, "--profile", "quick", "--chapter", "first", "-p", "random_state=8")
    assert again.stdout.split()[:2] == ["first", "executed"]
    assert printed(notebook(root, "first")).startswith("quick 8")
    build(root, "--profile", "quick", "--chapter", "first", "-p", "random_state=7", "--jobs", "1")
    assert notebook(root, "first").read_bytes() == once


def test_profiles_do_not_mix(toy):
    root, _ = toy
    quick = notebook(root, "first").read_bytes()
    run = build(root, "--chapter", "first")
    assert run.stdout.split()[:2] == ["first", "executed"]
    assert printed(notebook(root, "first", "full")).startswith("full 0")
    assert notebook(root, "first").read_bytes() == quick


@pytest.mark.parametrize("path", ["book/chapters/first.md", "book/build.py", "book/claims.yml",
                                  "spicemix_core/new.py", "data/registry.json", "measured/counts.txt",
                                  "requirements.lock"])
def test_digest_changes_with_every_input(runner, path):
    root, module = runner
    before = module.inputs_digests(["first"], {"profile": "quick"})
    assert module.inputs_digests(["first"], {"profile": "quick"}) == before
    with (root / path).open("a") as file:
        file.write("#")
    assert module.inputs_digests(["first"], {"profile": "quick"}) != before


def test_digest_of_one_chapter_ignores_the_others(runner):
    root, module = runner
    before = module.inputs_digests(["first"], {"profile": "quick"})
    (root / "book/chapters/plain.md").write_text("# Rewritten")
    assert module.inputs_digests(["first"], {"profile": "quick"}) == before
    assert module.inputs_digests(["first"], {"profile": "full"}) != before


def test_failing_chapter_fails_the_run_and_stops_no_other(tmp_path):
    root = make_book(tmp_path, first="print(1)", wrong="raise KeyError('no such gene')")
    run = build(root, "--profile", "quick")
    assert run.returncode == 1
    assert "KeyError: 'no such gene'" in run.stderr
    assert "\x1b" not in run.stderr
    assert sorted(line.split()[:2] for line in run.stdout.splitlines()) == [["first", "executed"], ["wrong", "FAILED"]]
    assert notebook(root, "first").is_file()
    assert not notebook(root, "wrong").exists()
    assert not (root / "book/_build").exists()


def test_broken_link_fails_and_keeps_the_pages_that_were_there(toy):
    root, _ = toy
    page, intro = root / "book/_build/html/intro.html", root / "book/intro.md"
    before, source = page.read_text(), intro.read_text()
    intro.write_text("# Changed\n\n[nowhere](chapters/nowhere.md)\n")
    run = build(root, "--profile", "quick", "-p", "random_state=7")
    intro.write_text(source)
    assert run.returncode == 1
    assert "nowhere" in run.stderr
    assert page.read_text() == before


def test_killed_run_keeps_finished_chapters_and_leaves_no_process(tmp_path):
    slow = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(90)"
    root = make_book(tmp_path, first="print(1)", slow=slow)
    with subprocess.Popen(**command(root, "--jobs", "2"), stdout=subprocess.PIPE) as run:
        assert run.stdout.readline().split()[:2] == ["first", "executed"]
        pid = notebook(root, "slow", "full").with_name("pid")
        while not (pid.exists() and pid.read_text()):
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=20) == 130
    assert notebook(root, "first", "full").is_file()
    assert not notebook(root, "slow", "full").exists()
    kernel = Path(f"/proc/{pid.read_text()}")
    deadline = time.monotonic() + 10
    while kernel.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not kernel.exists()


def refusal(runner, capsys, *arguments):
    """What the runner says when it refuses these arguments, before it has written anything."""
    root, module = runner
    with pytest.raises(SystemExit) as stop:
        module.main([*arguments])
    assert stop.value.code == 2
    assert not (root / "build").exists()
    return capsys.readouterr().err


def test_requests_that_make_no_sense_are_refused(runner, capsys):
    for arguments, words in [(["-p", "seed=3"], "Chapter first has no parameter seed"),
                             (["-p", "profile=quick"], "KEY=VALUE"),
                             (["-p", "random_state"], "KEY=VALUE"),
                             (["--chapter", "plain"], "no chapter plain with code; there are first"),
                             (["--jobs", "0"], "must be at least 1")]:
        assert words in refusal(runner, capsys, *arguments)


@pytest.mark.parametrize(("breaks", "words"), [
    (lambda root: (root / "book/chapters/first.md").write_text("```{code-cell} ipython3\nprofile = 'full'\n```\n"),
     "Chapter first must set profile and random_state in a cell tagged parameters"),
    (lambda root: (root / "book/chapters/first.md").unlink(), "there is no book/chapters/first.md"),
    (lambda root: shutil.rmtree(root / "measured"), "which is not a folder")])
def test_broken_books_are_refused_before_anything_runs(runner, capsys, breaks, words):
    breaks(runner[0])
    assert words in refusal(runner, capsys)
