"""What the home page and the ledger show of the results: tables of claims, counts of verdicts, cards of chapters."""

import sys
from pathlib import Path

from _tools import BOOK, ROOT

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
# For each result chapter, its title and what its card names: a claim, and its content in a few words.
CARDS = {
    "simulation": ("The simulated cortex", {
        "sim-spicemix-best": "SpiceMix is the best of all methods in every setting",
        "sim-layer-metagene": "it recovers the metagenes of the layers",
        "sim-nmf-half": "NMF agrees less than half as well with the truth",
        "sim-nmf-ari": "NMF is as weak as the paper reports"}),
    "seqfish_plus": ("seqFISH+ in the mouse cortex", {
        "seqfish-layers": "types of excitatory neurons that follow the layers",
        "seqfish-el5b-el6": "eL5b separated from eL6",
        "seqfish-types": "the paper's number of types",
        "seqfish-oligo-2": "a second type of oligodendrocyte",
        "seqfish-vip-sst": "VIP separated from SST"}),
    "starmap": ("STARmap in the mouse cortex", {
        "starmap-layers": "types of excitatory neurons that follow the layers",
        "starmap-reassigned": "the cells reassigned between eL2/3 and eL4",
        "starmap-new-types": "subtypes that NMF does not find",
        "starmap-el6-pair": "two metagenes that separate two eL6 types"}),
    "myelination": ("Myelination of oligodendrocytes", {
        "myelin-continuum": "a continuum of oligodendrocytes",
        "myelin-opposed": "two strikingly opposed metagenes",
        "myelin-genes": "myelin genes that change along the continuum",
        "myelin-only-spicemix": "a trajectory that only SpiceMix reveals"}),
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
    tables = [ledger_page.ledger_table(verdicts, entries[entries["about"] == about]) for about in ledger.ABOUT]
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
        tables, ("under the paper's own procedure", "for the fit that we recommend today"), strict=True)]
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
    """A card for each result chapter: for each way to fit, its verdicts on SpiceMix and on some of its claims."""
    found = []
    for chapter, (title, phrases) in CARDS.items():
        if chapter in counts:
            parts = [f":::{{grid-item-card}} {title}\n:link: chapters/{chapter}\n:link-type: doc"]
            for way, table in counts[chapter].items():
                numbers = table.loc["SpiceMix"]
                parts += [f"[{way[0].upper()}{way[1:]}: {counted('SpiceMix', numbers)}.]{{.counts}}", bar(numbers),
                          sentence(verdicts[way], phrases, numbers.index)]
            found.append("\n\n".join([*parts, ":::"]))
    return "\n\n".join(["::::{grid} 1 1 2 2\n:gutter: 3", *found, "::::"])


def sentence(verdicts, phrases, order) -> str:
    """One sentence that names each of these claims after its verdict (a Series), in this order of the verdicts."""
    groups = {}
    for name, phrase in phrases.items():
        if name in verdicts.index:
            groups.setdefault(verdicts[name], []).append(phrase)
    if not groups:
        return "Not measured yet."
    if set(groups) == {"not evaluated"}:
        return "Not evaluated: the data were not found, and the chapter shows simulated tissue."
    text = "; ".join(f"**{verdict}**: {joined(groups[verdict])}" for verdict in order if verdict in groups)
    return f"{text[:2]}{text[2].upper()}{text[3:]}."


def joined(phrases) -> str:
    """Phrases as one enumeration."""
    return ", ".join(phrases[:-1]) + " and " * (len(phrases) > 1) + phrases[-1]
