"""The ledger of claims, and verdicts by its ranges."""

import pytest
import yaml
from paper import ledger
from paper.ledger import Measurement


def entry(name="one", **changes):
    return {"id": name, "chapter": "c", "about": "SpiceMix", "place": "Fig. 1", "figure": "fig-a", "claim": "a | b",
            "paper": "1", "measure": "a number", "reproduced": {"at_least": 0.6, "at_most": 0.8},
            "partly": {"at_least": 0.4}} | ({"short": f"short {name}"} if changes.get("about", "SpiceMix") == "SpiceMix"
                                             else {}) | changes


def write(tmp_path, *entries):
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump(list(entries)))
    return path


def test_the_books_ledger_is_valid_and_covers_its_chapters():
    entries = ledger.load_ledger()
    assert set(entries["chapter"]) >= {"simulation", "seqfish_plus", "starmap"}
    prefix = {"simulation": "sim-", "seqfish_plus": "seqfish-", "starmap": "starmap-"}
    assert all(name.startswith(prefix[chapter]) for name, chapter in entries["chapter"].items() if chapter in prefix)


@pytest.mark.parametrize(("changes", "message"), [
    ({"paper": True}, "quotation marks"),
    ({"reproduced": {"more_than": 1}}, "at_least"),
    ({"partly": {}}, "partly"),
    ({"extra": "x"}, "field extra"),
    ({"about": "NMF", "short": "x"}, "about 'NMF'"),
    ({"about": "data", "short": "x"}, "field short"),
    ({"requires": "two"}, "requires two"),
    ({"requires": "one"}, "requires one"),
])
def test_a_wrong_entry_is_refused_by_name(tmp_path, changes, message):
    with pytest.raises(ValueError, match=r"[Cc]laim one") as error:
        ledger.load_ledger(write(tmp_path, entry(**changes)))
    assert message in str(error.value)


def test_an_id_given_twice_and_a_missing_field_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one twice"):
        ledger.load_ledger(write(tmp_path, entry(), entry()))
    incomplete = entry()
    del incomplete["measure"]
    with pytest.raises(ValueError, match="field measure"):
        ledger.load_ledger(write(tmp_path, incomplete))


@pytest.mark.parametrize(("measurement", "expected"), [
    (Measurement(0.6), "reproduced"),
    (Measurement(0.8, [0.7, 0.9]), "reproduced"),
    (Measurement(0.7, [0.7, 0.9, 0.95]), "partly"),  # only one run of three
    (Measurement(0.7, [float("nan"), float("nan"), 0.7]), "partly"),
    (Measurement(0.9), "partly"),
    (Measurement(0.5, [0.7, 0.7]), "partly"),
    (Measurement(0.39, [0.7, 0.3, 0.3]), "not reproduced"),
    (Measurement(0.39, [0.7, 0.3]), "partly"),  # half of the seeds have what the value does not show
    (Measurement(None, [0.7], comment="why"), "partly"),
    (Measurement(None, [0.3], comment="why"), "cannot be tested"),
    (Measurement(None, comment="why"), "cannot be tested"),
    (Measurement(float("nan"), comment="why"), "cannot be tested"),
])
def test_the_verdict_is_arithmetic_on_the_ranges(measurement, expected):
    assert ledger.verdict(entry(), measurement) == expected


@pytest.mark.parametrize(("bounds", "words"), [({"at_least": 11, "at_most": 11}, "11"), ({"at_most": 0}, "at most 0"),
                                               ({"at_most": -0.7}, "at most -0.7"), ({"at_least": 15}, "at least 15")])
def test_a_range_is_described_in_words(bounds, words):
    assert ledger.describe_range(entry(reproduced=bounds)) == f"reproduced: {words}; partly: at least 0.4"


def test_claims_that_other_methods_do_not_find_something_require_that_spicemix_does():
    entries = ledger.load_ledger()
    absent = entries["claim"].str.contains("not find|not distinguish|Only SpiceMix|fails to distinguish")
    compared = {"starmap-new-types"}  # its conditions ask both of SpiceMix and of NMF
    assert (entries.loc[absent & ~entries.index.isin(compared), "requires"] != "").all()
    assert entries.loc["seqfish-nmf-oligo-2", "requires"] == "seqfish-oligo-2"


def test_every_claim_of_the_book_names_a_figure_of_its_chapter():
    entries = ledger.load_ledger()
    for chapter, figures in entries["figure"].groupby(entries["chapter"]):
        text = (ledger.ledger_path().parent / f"chapters/{chapter}.md").read_text()
        assert not [name for name in figures if f"    name: {name}\n" not in text]


def test_a_figure_of_the_ledger_must_be_text(tmp_path):
    with pytest.raises(ValueError, match="figure of claim one"):
        ledger.load_ledger(write(tmp_path, entry(figure=3)))
