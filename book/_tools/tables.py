"""Tables of the pages: one header row, heads in words, numbers with the digits that mean something, genes in italics.

A chapter shows a pandas table as it is; the page shows the same table in this form. Files keep all digits.
"""

import re
from functools import cache

from _tools import ROOT

HEADS = {"ari": "adjusted Rand index", "n_metagenes": "metagenes", "n_clusters": "clusters", "n_iter": "iterations",
         "affinity_penalty": "penalty", "affinity_iterations": "iterations of the affinity", "normalization":
         "normalisation", "spicemix_confidence": "confidence", "p_adjusted": "adjusted p", "pvalue": "p",
         "p_value": "p", "std": "standard deviation"}
SEEDS = re.compile(r"seed|random.?state", re.IGNORECASE)
P_VALUE = re.compile(r"(^|\b)(p|q|p.?values?|adjusted p|p adjusted)$", re.IGNORECASE)
NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?|-?\d+e[+-]?\d+", re.IGNORECASE)
WORDS = {"True": "yes", "False": "no", "NaN": "–", "None": "–", "<NA>": "–", "nan": "–"}
LONG_SEED = 10 ** 8
SYMBOL = re.compile(r"\bσ([xy])\b")  # as a program prints it


def tidy(table: str) -> str:
    """A pandas table in HTML in the form of the book; other HTML is returned unchanged."""
    if 'class="dataframe"' not in table:
        return table
    from bs4 import BeautifulSoup

    page = BeautifulSoup(table, "html.parser")
    for one in page.find_all("table", class_="dataframe"):
        _merge_header(one)
        _leave_out_seeds(one)
        heads = [in_words(head) for head in _heads(one)]
        whole = [all(float(text).is_integer() for text in column if NUMBER.fullmatch(text))
                 for column in _columns(one, len(heads))]
        for row in one.find_all("tr"):
            for place, cell in enumerate(row.find_all(["td", "th"], recursive=False)):
                if cell.string is not None:
                    is_head = row.parent.name == "thead"
                    column = place - len(row.find_all(True, recursive=False))
                    head, integers = (heads[column], whole[column]) if heads and not is_head else ("", True)
                    _rewrite(page, cell, cell.string.strip(), head, integers, is_head)
    return str(page)


def with_subscripts(text: str) -> str:
    """HTML or Markdown in which σx and σy have their subscripts."""
    return SYMBOL.sub(r"σ<sub>\1</sub>", text)


def in_words(head: str) -> str:
    """A head of a column as a reader would say it."""
    return HEADS.get(head, head.replace("_", " "))


def number(text: str, head: str = "", whole: bool = True) -> str:
    """A number in text as the page shows it, with two significant digits, or as a whole number in a column of those."""
    value = float(text)
    if P_VALUE.search(head) and 0 <= value < 0.001:
        return "< 0.001"
    size = abs(value)
    if size >= 10 or (whole and value.is_integer()):
        shown = f"{value:,.0f}"
    elif size == 0:
        shown = "0"
    elif size < 0.001:
        mantissa, _, power = f"{value:.1e}".partition("e")
        shown = f"{mantissa} × 10^{int(power)}"
    else:
        shown = f"{value:.{1 if size >= 1 else 2 if size >= 0.1 else 3 if size >= 0.01 else 4}f}"
    return shown.replace("-", "−")


def _merge_header(table) -> None:
    """Move the names of the index into the empty cells of the header row above them."""
    rows = table.thead.find_all("tr") if table.thead else []
    if len(rows) < 2:
        return
    above, below = (row.find_all("th") for row in rows[-2:])
    if len(above) == len(below) and all(not a.text.strip() or not b.text.strip() for a, b in zip(above, below,
                                                                                               strict=True)):
        for a, b in zip(above, below, strict=True):
            if not a.text.strip():
                a.string = b.text.strip()
        rows[-1].decompose()


def _leave_out_seeds(table) -> None:
    """Remove columns of seeds that are long random numbers; they mean nothing to a reader, and files have them."""
    heads = _heads(table)
    for place in reversed([place for place, head in enumerate(heads) if SEEDS.search(head)]):
        rows = table.tbody.find_all("tr")
        cells = [row.find_all(["td", "th"], recursive=False)[place - len(heads)] for row in rows]
        if cells and all(cell.text.strip().isdigit() for cell in cells) and any(
                int(cell.text) >= LONG_SEED for cell in cells):
            for cell in [*cells, table.thead.find_all("tr")[-1].find_all("th")[place]]:
                cell.decompose()


def _heads(table) -> list[str]:
    """Texts of the last header row, one for each column."""
    rows = table.thead.find_all("tr") if table.thead else []
    return [cell.text.strip() for cell in rows[-1].find_all("th")] if rows else []


def _columns(table, number_of_heads: int) -> list[list[str]]:
    """Texts of the cells below the header, by column; rows can lack their first cells."""
    rows = [[cell.text.strip() for cell in row.find_all(["td", "th"], recursive=False)]
            for row in (table.tbody.find_all("tr") if table.tbody else [])]
    return [[row[place] for row in rows if len(row) >= -place] for place in range(-number_of_heads, 0)]


def _rewrite(page, cell, text: str, head: str, whole: bool, is_head: bool) -> None:
    if _all_genes(text):
        cell.clear()
        cell.append(page.new_tag("i"))
        cell.i.string = text
    elif text in WORDS and not is_head:
        cell.string = WORDS[text]
    elif NUMBER.fullmatch(text):
        shown, _, power = number(text, head, whole).partition("^")
        cell.string = shown
        if power:
            cell.append(page.new_tag("sup"))
            cell.sup.string = power
    elif is_head:
        cell.string = in_words(text)


def _all_genes(text: str) -> bool:
    words = [word.strip() for word in text.split(",")]
    return bool(text) and all(word in gene_names() for word in words)


@cache
def gene_names() -> frozenset[str]:
    """Names of the genes of STARmap and of the modelled genes of seqFISH+, which the repository lists."""
    import numpy as np

    names, twin = ROOT / "data/starmap_genes.txt", ROOT / "data/twin_seqfish_plus.npz"
    listed = names.read_text(encoding="utf-8").split() if names.is_file() else []
    return frozenset(listed) | (frozenset(map(str, np.load(twin)["genes"])) if twin.is_file() else frozenset())
