"""The table of equations: the same in docstrings and method chapter, and in agreement with the code and a fit."""

import importlib
import re
import sys
import warnings
from pathlib import Path

import pytest

import spicemix_core
from spicemix_core import SpiceMix, datasets, steps, tl

METHOD = (Path(__file__).resolve().parents[2] / "book" / "chapters" / "method.md").read_text(encoding="utf-8")
ROW = r"(?m)^(\d[\d-]*|-)  +([\dA.]+(?:, \d+)*|-)  +(eq-[\w-]+|-)  +(\S+\.py:\S+)$"
ROWS = re.findall(ROW, steps.__doc__)
LABELS = [label for *_, label, _ in ROWS if label != "-"]
CODE = [code for *_, code in ROWS]


def function_of(code):
    """The function that ``folder/file.py:name`` names."""
    path, names = code.split(":")
    found = importlib.import_module("spicemix_core." + path.removesuffix(".py").replace("/", "."))
    for name in names.split("."):
        found = getattr(found, name)
    return found


def test_the_package_and_the_method_chapter_have_the_same_table():
    assert re.findall(ROW, spicemix_core.__doc__) == ROWS
    chapter = re.findall(r"(?m)^\| (\S+) \| (.+) \| (\S+) \| `(.+)` \|$", METHOD)
    assert [(line, paper, re.sub(r"\{eq\}`(.+)`", r"\1", label), code) for line, paper, label, code in chapter] == ROWS


def test_each_numbered_equation_of_the_method_chapter_is_in_the_table():
    assert set(re.findall(r"(?m)^\$\$ \((eq-[\w-]+)\)", METHOD)) == set(LABELS)


def test_each_line_of_the_algorithm_is_in_the_table():
    lines = set()
    for line, *_ in ROWS:
        first, _, last = line.partition("-")
        lines |= set(range(int(first), int(last or first) + 1)) if first else set()
    assert lines == set(range(1, 13))


@pytest.mark.parametrize("code", sorted(set(CODE)))
def test_each_function_of_the_table_exists(code):
    assert callable(function_of(code))


@pytest.fixture(scope="module")
def called():
    """Code objects of all Python functions that a fit and two analyses after it call."""
    adata, found = datasets.simulate_cortex(n_cells=80, random_state=0, sigma_y=0.0), set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = sys.getprofile()
        sys.setprofile(lambda frame, event, argument: found.add(frame.f_code) if event == "call" else None)
        try:
            SpiceMix(3, random_state=0, max_iter=2).fit(adata)
            tl.type_affinity(adata, groupby="cell_type", n_permutations=2)
            tl.cluster(adata)
        finally:
            sys.setprofile(before)
    return found


@pytest.mark.parametrize("code", sorted(set(CODE)))
def test_a_fit_calls_each_function_of_the_table(called, code):
    assert function_of(code).__code__ in called
