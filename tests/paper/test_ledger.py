"""The ledger of claims, and verdicts by its ranges."""

import json

import pandas as pd
import pytest
import yaml
from paper import ledger, ledger_page
from paper.ledger import Measurement


def entry(name="one", **changes):
    return {"id": name, "chapter": "c", "about": "SpiceMix", "place": "Fig. 1", "figure": "fig-a", "claim": "a | b",
            "paper": "1", "measure": "a number", "reproduced": {"at_least": 0.6, "at_most": 0.8},
            "partly": {"at_least": 0.4}} | changes


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
    ({"about": "NMF"}, "about 'NMF'"),
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
    (Measurement(0.39, [0.7, 0.7]), "not reproduced"),
    (Measurement(None, comment="why"), "cannot be tested"),
    (Measurement(float("nan"), comment="why"), "cannot be tested"),
])
def test_the_verdict_is_arithmetic_on_the_ranges(measurement, expected):
    assert ledger.verdict(entry(), measurement) == expected


def test_results_are_written_complete_and_read_back_in_the_order_of_the_ledger(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("b"), entry("x", chapter="d"), entry("a")))
    table = ledger.evaluate("c", {"a": Measurement(0.7, [0.6, float("nan")], "n"), "b": Measurement(0.1)},
                            folder=tmp_path / "results", ledger=entries)
    assert table["verdict"].to_dict() == {"b": "not reproduced", "a": "reproduced"}
    assert table.loc["a", "single runs"] == "runs: 0.6; 1 of 2 in range"
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["claims_c.json"]
    ledger.evaluate("d", {}, not_evaluated="simulated", folder=tmp_path / "results", ledger=entries)
    read = ledger.read_results(tmp_path / "results", entries)
    assert read.index.tolist() == ["b", "x", "a"] and read.loc["x", "verdict"] == "not evaluated"
    pd.testing.assert_frame_equal(read.loc[["b", "a"]], table)
    stored = json.loads((tmp_path / "results/claims_d.json").read_text())
    assert stored[0]["value"] is None and stored[0]["comment"] == "simulated"


def test_every_claim_of_the_chapter_must_be_measured_and_no_other(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("a"), entry("b")))
    for found in ({"a": Measurement(1.0)}, {name: Measurement(1.0) for name in "abc"}):
        with pytest.raises(ValueError, match="exactly the claims a, b"):
            ledger.evaluate("c", found, folder=tmp_path, ledger=entries)
    with pytest.raises(ValueError, match="why it cannot be tested"):
        ledger.evaluate("c", {"a": Measurement(None), "b": Measurement(1.0)}, folder=tmp_path, ledger=entries)
    with pytest.raises(FileNotFoundError, match="execute the chapters"):
        ledger.read_results(tmp_path, entries)


def test_the_markdown_table_has_a_row_for_each_claim_and_keeps_its_columns(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("x"), entry("y")))
    table = ledger.evaluate("c", {"x": Measurement(0.7, [0.6, 0.9], "few"), "y": Measurement(0.1)}, folder=tmp_path,
                            ledger=entries)
    header, rule, *rows = ledger.to_markdown(table).splitlines()
    assert header.count("|") == rule.count("|") == 5
    measured = "a number<br>reproduced: 0.6 to 0.8; partly: at least 0.4"
    assert rows == [
        f"| a \\| b `x` | {measured} | 0.7<br>runs: 0.6 to 0.9; 1 of 2 in range | **reproduced**<br>few |",
        f"| a \\| b `y` | {measured} | 0.1 | **not reproduced** |"]


@pytest.mark.parametrize(("bounds", "words"), [({"at_least": 11, "at_most": 11}, "11"), ({"at_most": 0}, "at most 0"),
                                               ({"at_most": -0.7}, "at most -0.7"), ({"at_least": 15}, "at least 15")])
def test_a_range_is_described_in_words(bounds, words):
    assert ledger.describe_range(entry(reproduced=bounds)) == f"reproduced: {words}; partly: at least 0.4"


@pytest.mark.parametrize(("about", "expected"), [("other methods", "cannot be tested"), ("SpiceMix", "not reproduced")])
def test_what_others_do_not_find_counts_only_where_spicemix_finds_it(tmp_path, about, expected):
    entries = ledger.load_ledger(write(tmp_path, entry("own"), entry("others", about=about, requires="own")))
    for value, judged in ((0.7, "reproduced"), (0.5, "reproduced"), (0.1, expected)):
        found = {"own": Measurement(value), "others": Measurement(0.7, comment="n")}
        table = ledger.evaluate("c", found, folder=tmp_path, ledger=entries)
        assert table.loc["others", "verdict"] == judged
    assert table.loc["others", "comment"] == "SpiceMix itself does not find this (claim own); n"
    assert table.loc["others", "measured"] == "0.7"
    for missing in (None, float("nan")):
        found["own"] = Measurement(missing, comment="none")
        assert ledger.judge(found, entries)["others"][0] == expected


def test_claims_that_other_methods_do_not_find_something_require_that_spicemix_does():
    entries = ledger.load_ledger()
    absent = entries["claim"].str.contains("not find|not distinguish|Only SpiceMix|fails to distinguish")
    compared = {"starmap-new-types"}  # its conditions ask both of SpiceMix and of NMF
    assert (entries.loc[absent & ~entries.index.isin(compared), "requires"] != "").all()
    assert entries.loc["seqfish-nmf-oligo-2", "requires"] == "seqfish-oligo-2"


def cells(row):
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def test_the_ledger_table_has_every_claim_with_its_figure_chapter_and_verdict(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("x"), entry("y", figure="fig-b", about="data", claim="b"),
                                       entry("z", chapter="d")))
    ledger.evaluate("c", {"x": Measurement(0.7, [0.6, 0.9]), "y": Measurement(0.1, comment="why not")},
                    folder=tmp_path, ledger=entries)
    verdicts = ledger.read_results(tmp_path, entries)
    heads, _, x, y, z = map(cells, ledger_page.ledger_table(verdicts, entries).splitlines())
    assert heads == ["claim", "what is measured", "range", "our fit", "verdict", "why"]
    assert x[0] == ("[claim]{.label} a \\| b<br>[paper: Fig. 1 (1)<br>here: {numref}`fig-a` in {doc}`/chapters/c`<br>"
                    "`x`]{.source}")
    assert x[1:] == ["[what is measured]{.label} a number",
                     "[range]{.label} reproduced: 0.6 to 0.8<br>partly: at least 0.4",
                     "[our fit]{.label} 0.7<br>runs: 0.6 to 0.9; 1 of 2 in range",
                     "[verdict]{.label} [reproduced]{.verdict .reproduced}", ""]
    assert "{numref}`fig-b`" in y[0] and y[4].endswith("[not reproduced]{.verdict .not-reproduced}")
    assert y[5] == "[why]{.label} why not"
    assert "/chapters/d" in z[0] and z[3] == "" and z[4].endswith("[not measured]{.verdict .not-measured}")
    counts = ledger_page.count_verdicts(verdicts, entries)
    assert counts.loc["SpiceMix"].to_dict() == dict.fromkeys(ledger_page.VERDICTS, 0) | {"reproduced": 1,
                                                                                         "not measured": 1}
    assert counts.loc["data", "not reproduced"] == 1 and counts.loc["other methods"].sum() == 0


def test_the_papers_procedure_has_a_column_where_a_chapter_followed_it(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("x"), entry("y")))
    ledger.evaluate("c", {"x": Measurement(0.7), "y": Measurement(0.1)}, folder=tmp_path, ledger=entries)
    path = tmp_path / "claims_c.json"
    records = json.loads(path.read_text())
    path.write_text(json.dumps([records[0] | {"procedure": 0.25}, records[1]]))
    heads, _, x, y = map(cells, ledger_page.ledger_table(ledger.read_results(tmp_path, entries), entries).splitlines())
    column = heads.index("paper's procedure")
    assert x[column] == "[paper's procedure]{.label} 0.25" and y[column] == ""


def test_the_ledger_table_states_why_a_claim_cannot_be_tested(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("x")))
    ledger.evaluate("c", {"x": Measurement(None, [], "no such cells")}, folder=tmp_path, ledger=entries)
    row = ledger_page.ledger_table(ledger.read_results(tmp_path, entries), entries).splitlines()[2]
    assert "[cannot be tested]" in row and cells(row)[-1] == "[why]{.label} no such cells"


def test_every_claim_of_the_book_names_a_figure_of_its_chapter():
    entries = ledger.load_ledger()
    for chapter, figures in entries["figure"].groupby(entries["chapter"]):
        text = (ledger.ledger_path().parent / f"chapters/{chapter}.md").read_text()
        assert not [name for name in figures if f"    name: {name}\n" not in text]


def test_a_figure_of_the_ledger_must_be_text(tmp_path):
    with pytest.raises(ValueError, match="figure of claim one"):
        ledger.load_ledger(write(tmp_path, entry(figure=3)))
