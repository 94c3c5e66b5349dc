"""Tables of the pages: what a reader sees of a pandas table."""

import html
import importlib
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(BOOK)
    for name in [name for name in sys.modules if name.split(".")[0] == "_tools"]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("_tools.tables")


def rows(tool, table):
    """Texts of the cells of a tidied table, row by row."""
    found = re.findall(r"<tr.*?</tr>", tool.tidy(table._repr_html_()), re.DOTALL)
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in found]
    return [[html.unescape(re.sub("<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


@pytest.mark.parametrize(("text", "head", "shown"), [
    ("142695.0", "Q", "142,695"), ("81.0", "iterations", "81"), ("0.9263", "ari", "0.93"), ("0.0514", "", "0.051"),
    ("3.14159", "", "3.1"), ("12.34", "", "12"), ("-0.5", "", "−0.50"), ("9.5e-07", "p", "< 0.001"),
    ("9.5e-07", "error", "9.5 × 10^-7"), ("0.0", "p", "< 0.001"), ("0.04", "adjusted p", "0.040")])
def test_numbers_have_the_digits_that_mean_something(tool, text, head, shown):
    assert tool.number(text, head).replace("−", "-" if "^" in shown else "−") == shown


def test_the_name_of_the_index_is_in_the_only_header_row(tool):
    table = pd.DataFrame({"n_metagenes": [12.0], "found": [True]}, index=pd.Index(["NMF"], name="method"))
    assert rows(tool, table) == [["method", "metagenes", "found"], ["NMF", "12", "yes"]]


def test_a_header_of_two_levels_keeps_both(tool):
    table = pd.DataFrame([[1.5, 2.5]], columns=pd.MultiIndex.from_product([["ari"], ["mean", "std"]]))
    table.index.name = "method"
    heads = rows(tool, table)[:2]
    assert "adjusted Rand index" in heads[0] and "mean" in heads[1]


def test_random_seeds_are_left_out_and_short_ones_stay(tool):
    table = pd.DataFrame({"seed": [2357136044, 2546248239], "Q": [1.25, 3.0]})
    assert rows(tool, table) == [["", "Q"], ["0", "1.2"], ["1", "3.0"]]
    assert rows(tool, table.assign(seed=[0, 1]))[0] == ["", "seed", "Q"]


def test_genes_are_in_italics_and_types_are_not(tool):
    table = pd.DataFrame({"genes": ["Cnp, Mag, Mog", "Oligo"]})
    page = tool.tidy(table._repr_html_())
    assert "<i>Cnp, Mag, Mog</i>" in page and "<i>Oligo</i>" not in page


def test_p_values_are_known_by_their_head(tool):
    table = pd.DataFrame({"p_adjusted": [2e-9], "slope": [2e-9]})
    assert rows(tool, table)[1] == ["0", "< 0.001", "2.0 × 10-9".replace("-", "−")]


def test_a_column_is_whole_or_not_as_a_whole(tool):
    table = pd.DataFrame({"clusters": [12.0, 8.0], "mean": [1.0, 1.25]})
    assert rows(tool, table)[1:] == [["0", "12", "1.0"], ["1", "8", "1.2"]]


def test_other_html_is_unchanged(tool):
    other = "<div><table><tr><td>1.0</td></tr></table></div>"
    assert tool.tidy(other) == other


def test_the_two_standard_deviations_have_subscripts_and_other_words_do_not(tool):
    assert tool.with_subscripts("σx = 3, σy = 2; σxy, xσy") == (
        "σ<sub>x</sub> = 3, σ<sub>y</sub> = 2; σxy, xσy")
