"""What the home page and the ledger show of the results: tables of claims, counts of verdicts, cards of chapters."""

import sys
from pathlib import Path

from _tools import BOOK, ROOT
from _tools.tables import with_subscripts

NOTES = {
    "quick": "These verdicts are from the *quick* profile: with so few seeds they can differ from the full book's.",
    "full": "",
}
UNMEASURED = ("Claims about data sets whose files were not found are *not evaluated*: their chapters ran on simulated "
              "tissue.")
CARD = "card.png"
CARD_TEXT = "Metagenes and cell types from\nspatial transcriptomics: the method,\nthe paper's claims, your own data"
NAMES = ("headline", "tally", "cards", "ledger_spicemix", "ledger_others", "ledger_data")
GROUPS = {"SpiceMix": ("claim about SpiceMix", "claims about SpiceMix"),
          "other methods": ("claim about other methods", "claims about other methods"),
          "data": ("fact about the data", "facts about the data")}
# For each result chapter, its title and what its card names: claims about SpiceMix, the first that fit as examples.
CARDS = {
    "simulation": ("Simulated cortex", {
        "sim-spicemix-best": "SpiceMix as the best method in every setting",
        "sim-diffuse-metagene": "the metagenes of scattered types",
        "sim-umap": "types that are better separated than in the expression",
        "sim-layers-delineated": "the excitatory neurons of each layer",
        "sim-nmf-half": "NMF that is less than half as good"}),
    "seqfish_plus": ("seqFISH+", {
        "seqfish-layers": "excitatory types that follow the layers",
        "seqfish-el5b-el6": "eL5b separated from eL6",
        "seqfish-oligo-2": "a second type of oligodendrocyte",
        "seqfish-vip-sst": "VIP separated from SST"}),
    "starmap": ("STARmap", {
        "starmap-layers": "excitatory types that follow the layers",
        "starmap-el4-metagene": "a metagene of eL4",
        "starmap-new-types": "subtypes that NMF does not find",
        "starmap-el6-pair": "two metagenes that separate two eL6 types"}),
    "myelination": ("Myelination", {
        "myelin-continuum": "a continuum of oligodendrocytes",
        "myelin-genes": "genes of myelin that change along it",
        "myelin-only-spicemix": "a trajectory that only SpiceMix reveals",
        "myelin-opposed": "two opposed metagenes"}),
}


def substitutions(results: Path, profile: str) -> dict[str, str]:
    """Markdown for ``{{ headline }}``, ``{{ tally }}``, ``{{ cards }}`` and the three tables of the ledger.

    They show the claims judged so far. All are empty for a book without a ledger or without results.
    """
    if not (BOOK / "claims.yml").exists() or not list(results.glob("claims_*.json")):
        return dict.fromkeys(NAMES, "")
    use_this_checkout()
    from paper import ledger, ledger_page  # here, because it takes seconds
    from paper.verdicts import read_results

    entries = ledger.load_ledger(BOOK / "claims.yml")
    verdicts, ways = read_results(results, entries), ledger_page.WAYS
    counts = {title: ledger_page.count_verdicts(verdicts, entries, way) for way, title in ways.items()}
    notes = [NOTES[profile], UNMEASURED if any(each["not evaluated"].any() for each in counts.values()) else ""]
    tables = [with_subscripts(ledger_page.ledger_table(verdicts, entries[entries["about"] == about]))
              for about in ledger.ABOUT]
    judged = {chapter: {title: ledger_page.count_verdicts(verdicts, own, way) for way, title in ways.items()}
              for chapter, own in entries.groupby("chapter")}
    found = {title: verdicts[f"{way}verdict"] for way, title in ways.items()}
    return dict(zip(NAMES, (headline(counts), "\n\n".join(filter(None, (tally(counts), *notes))),
                            cards(found, judged), *tables), strict=True))


def draw_scheme(folder: Path) -> None:
    """Draw the scheme of the model, wide and narrow, and the card for previews, for a book that has their code."""
    if not (BOOK / "paper/scheme.py").exists():
        return
    use_this_checkout()
    import matplotlib.pyplot as plt
    from paper import scheme

    plt.switch_backend("agg")
    data = scheme.simulate_scheme()
    card = scheme.draw_card(data, "SpiceMix,\nstep by step", CARD_TEXT)
    card.savefig(folder / CARD, dpi=100, facecolor="white")
    plt.close(card)
    for name, narrow in (("scheme", False), ("scheme_narrow", True)):
        (folder / f"{name}.svg").write_text(scheme.scheme_svg(data, narrow=narrow), encoding="utf-8")


def use_this_checkout() -> None:
    """Import the package of this checkout, even if another version is installed."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def headline(counts) -> str:
    """How many claims about SpiceMix hold for each way to fit, in one sentence; "" if none was evaluated."""
    tables = [table.loc["SpiceMix"] for table in counts.values()]
    judged = [numbers.drop(["not evaluated", "not measured"]).sum() for numbers in tables]
    if not all(judged):
        return ""
    hold = [f"{numbers['reproduced']} hold {by}" for numbers, by in zip(
        tables, ("under the paper's procedure", "for the recommended fit"), strict=True)]
    return f"Of {max(judged)} claims about SpiceMix, {joined(hold)}."


def tally(counts) -> str:
    """The numbers of verdicts as a bar for SpiceMix and as sentences, for each way to fit.

    ``counts`` has a table for each, with a row for each of `GROUPS`. Facts about the data need no fit and count once.
    """
    parts, facts = [], ""
    for title, table in counts.items():
        fitted = [f"{counted(about, numbers)}." for about, numbers in table.drop(index="data").iterrows()
                  if numbers.sum()]
        parts += [f"**{title[0].upper()}{title[1:]}**", bar(table.loc["SpiceMix"]), " ".join(fitted)]
        facts = f"{counted('data', table.loc['data'])}." if table.loc["data"].sum() else ""
    return "\n\n".join(filter(None, (*parts, facts)))


def counted(about, numbers) -> str:
    """The counts of the verdicts in words, without counts of zero."""
    total = int(numbers.sum())
    parts = ", ".join(f"{number} {verdict}" for verdict, number in numbers.items() if number)
    return f"{total} {GROUPS[about][total > 1]}: {parts}"


def bar(numbers) -> str:
    """The numbers of verdicts as a bar; a text says the same."""
    parts = "".join(f'<span class="{verdict.replace(" ", "-")}" style="flex: {number}">{number}</span>'
                    for verdict, number in numbers.items() if number)
    return f'<div class="tally" aria-hidden="true">{parts}</div>'


def cards(verdicts, counts) -> str:
    """A card for each result chapter: how many claims about SpiceMix hold for each way to fit, and examples."""
    found = []
    for chapter, (title, phrases) in CARDS.items():
        if chapter in counts:
            first, second = (table.loc["SpiceMix"] for table in counts[chapter].values())
            found.append(f":::{{grid-item-card}} {title}\n:link: chapters/{chapter}\n:link-type: doc\n\n"
                         f"{bar(first)}\n\n{sentence(first, second, *verdicts.values(), phrases)}\n\n:::")
    return "\n\n".join(["::::{grid} 1 2 2 4\n:gutter: 2\n:class-container: results", *found, "::::"])


def sentence(first, second, verdicts, others, phrases) -> str:
    """How many claims hold under the paper's procedure and for the recommended fit, with an example of each kind.

    Parameters
    ----------
    first, second : Series
        Number of claims by verdict, for each way to fit.
    verdicts, others : Series
        Verdict by name of a claim, for each way to fit.
    phrases : dict
        What some claims say, by their names.

    Returns
    -------
    str
        One sentence.
    """
    if not (judged := first.drop(["not evaluated", "not measured"]).sum()):
        return "Not measured yet." if first["not measured"] else (
            "Not evaluated: the data were not found, and the chapter shows simulated tissue.")
    both = {phrase: {verdicts[name], others[name]} for name, phrase in phrases.items() if name in verdicts.index}
    holds = next((f"*{phrase}*" for phrase, found in both.items() if found == {"reproduced"}), "")
    fails = next((f"not *{phrase}*" for phrase, found in both.items()
                  if "not reproduced" in found and "reproduced" not in found), "")
    examples = ", but ".join(filter(None, (holds, fails)))
    return (f"**{first['reproduced']} of {judged}** claims hold (recommended fit: **{second['reproduced']}**)"
            f"{examples and f', among them {examples}'}.")


def joined(phrases) -> str:
    """Phrases as one enumeration."""
    return ", ".join(phrases[:-1]) + " and " * (len(phrases) > 1) + phrases[-1]
