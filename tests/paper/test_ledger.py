"""The ledger of claims, and verdicts by its ranges."""

import json

import pandas as pd
import pytest
import yaml
from paper import ledger
from paper.ledger import Measurement


def entry(name="one", **changes):
    return {"id": name, "chapter": "c", "place": "Fig. 1", "figure": "fig-a", "claim": "a | b", "paper": "1",
            "measure": "a number", "reproduced": {"at_least": 0.6, "at_most": 0.8},
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
    assert table.loc["a", "single runs"] == "0.6 to 0.6; in range: 1 of 2"
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
    assert rows == ["| a \\| b `x` | 1 | 0.7<br>(0.6 to 0.9; in range: 1 of 2) | **reproduced**<br>few |",
                    "| a \\| b `y` | 1 | 0.1 | **not reproduced** |"]


def test_the_ledger_table_has_every_claim_with_its_figure_chapter_and_verdict(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("x"), entry("y", figure="fig-b"), entry("z", chapter="d")))
    ledger.evaluate("c", {"x": Measurement(0.7, [0.6, 0.9]), "y": Measurement(0.1)}, folder=tmp_path, ledger=entries)
    verdicts = ledger.read_results(tmp_path, entries)
    rows = ledger.ledger_table(verdicts, entries).splitlines()[2:]
    assert rows == [
        "| a \\| b<br>`x`, paper: Fig. 1<br>here: {numref}`fig-a` in {doc}`/chapters/c` | 1 | "
        "0.7<br>0.6 to 0.9; in range: 1 of 2 | [reproduced]{.verdict .reproduced} |",
        "| a \\| b<br>`y`, paper: Fig. 1<br>here: {numref}`fig-b` in {doc}`/chapters/c` | 1 | 0.1 | "
        "[not reproduced]{.verdict .not-reproduced} |",
        "| a \\| b<br>`z`, paper: Fig. 1<br>here: {numref}`fig-a` in {doc}`/chapters/d` | 1 |  | "
        "[not measured]{.verdict .not-measured} |"]
    assert ledger.count_verdicts(verdicts, entries).to_dict() == {"reproduced": 1, "not reproduced": 1,
                                                                 "not measured": 1}


def test_the_ledger_table_says_why_a_claim_cannot_be_tested(tmp_path):
    entries = ledger.load_ledger(write(tmp_path, entry("x")))
    ledger.evaluate("c", {"x": Measurement(None, [], "no such cells")}, folder=tmp_path, ledger=entries)
    row = ledger.ledger_table(ledger.read_results(tmp_path, entries), entries).splitlines()[2]
    assert "| no such cells | [cannot be tested]" in row


def test_every_claim_of_the_book_names_a_figure_of_its_chapter():
    entries = ledger.load_ledger()
    for chapter, figures in entries["figure"].groupby(entries["chapter"]):
        text = (ledger.ledger_path().parent / f"chapters/{chapter}.md").read_text()
        assert not [name for name in figures if f"    name: {name}\n" not in text]


def test_a_figure_of_the_ledger_must_be_text(tmp_path):
    with pytest.raises(ValueError, match="figure of claim one"):
        ledger.load_ledger(write(tmp_path, entry(figure=3)))
