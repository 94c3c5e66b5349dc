"""The verdicts of a chapter in two columns: how they are stored, tabulated, compared and counted."""

import json

import pandas as pd
import pytest
import yaml
from paper import ledger, ledger_page, verdicts
from paper.ledger import Measurement


def entry(name="one", **changes):
    return {"id": name, "chapter": "c", "about": "SpiceMix", "place": "Fig. 1", "figure": "fig-a", "claim": "a | b",
            "paper": "1", "measure": "a number", "reproduced": {"at_least": 0.6, "at_most": 0.8},
            "partly": {"at_least": 0.4}} | ({"short": f"short {name}"} if changes.get("about", "SpiceMix") == "SpiceMix"
                                             else {}) | changes


@pytest.fixture
def claims(tmp_path):
    """A function that returns the ledger of some entries."""
    def load(*entries):
        path = tmp_path / "claims.yml"
        path.write_text(yaml.safe_dump(list(entries)))
        return ledger.load_ledger(path)
    return load


def evaluate(tmp_path, entries, recommended, procedure):
    return verdicts.evaluate("c", recommended, procedure, folder=tmp_path, ledger=entries)


def test_both_verdicts_follow_from_the_same_rule(tmp_path, claims):
    entries = claims(entry("a"), entry("b"))
    table = evaluate(tmp_path, entries, {"a": Measurement(0.7, [0.7, 0.5]), "b": Measurement(0.1)},
                     {"a": Measurement(0.7, [0.7, 0.1, 0.2]), "b": Measurement(0.8)})
    assert table["verdict"].to_dict() == {"a": "reproduced", "b": "not reproduced"}
    assert table["procedure verdict"].to_dict() == {"a": "partly", "b": "reproduced"}
    assert table.loc["a", "seeds"] == "1 of 2 seeds in range (0.5 to 0.7)"
    assert table.loc["a", "procedure seeds"] == "1 of 3 seeds in range (0.1 to 0.7)"
    assert table.loc["b", ["value", "procedure value"]].tolist() == ["0.1", "0.8"]


def test_results_are_written_complete_and_read_back_in_the_order_of_the_ledger(tmp_path, claims):
    entries = claims(entry("b"), entry("x", chapter="d"), entry("a"))
    found = {"a": Measurement(0.7, [0.6, float("nan")], "n"), "b": Measurement(0.1)}
    table = evaluate(tmp_path / "results", entries, found, found)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["claims_c.json"]
    assert table.loc["a", "seeds"] == "1 of 2 seeds in range (0.6)"
    verdicts.evaluate("d", {}, {}, not_evaluated="simulated", folder=tmp_path / "results", ledger=entries)
    read = verdicts.read_results(tmp_path / "results", entries)
    assert read.index.tolist() == ["b", "x", "a"] and read.loc["x", "procedure verdict"] == "not evaluated"
    pd.testing.assert_frame_equal(read.loc[["b", "a"]], table)
    stored = json.loads((tmp_path / "results/claims_c.json").read_text())
    assert stored[1]["procedure"] == {"value": 0.7, "runs": [0.6, None], "verdict": "reproduced", "comment": "n"}
    assert (stored[1]["value"], stored[1]["verdict"]) == (0.7, "reproduced")


def test_every_claim_of_the_chapter_must_be_measured_both_times_and_no_other(tmp_path, claims):
    entries, full = claims(entry("a"), entry("b")), {name: Measurement(1.0) for name in "ab"}
    for found in ({"a": Measurement(1.0)}, {name: Measurement(1.0) for name in "abc"}):
        for both in ((found, full), (full, found)):
            with pytest.raises(ValueError, match="exactly the claims a, b"):
                evaluate(tmp_path, entries, *both)
    with pytest.raises(ValueError, match="why it cannot be tested"):
        evaluate(tmp_path, entries, full, full | {"a": Measurement(None)})
    with pytest.raises(FileNotFoundError, match="execute the chapters"):
        verdicts.read_results(tmp_path, entries)


@pytest.mark.parametrize(("about", "expected"), [("other methods", "cannot be tested"), ("SpiceMix", "not reproduced")])
def test_what_others_do_not_find_counts_only_where_spicemix_finds_it(tmp_path, claims, about, expected):
    entries = claims(entry("own"), entry("others", about=about, requires="own"))
    found = {"own": Measurement(0.7), "others": Measurement(0.7, comment="n")}
    without = found | {"own": Measurement(0.1)}
    table = evaluate(tmp_path, entries, found, without)  # each way to fit is judged by its own finding
    assert table.loc["others", ["verdict", "procedure verdict"]].tolist() == ["reproduced", expected]
    assert table.loc["others", "procedure comment"] == "SpiceMix itself does not find this (claim own); n"
    for value in (0.7, 0.5):
        assert ledger.judge(found | {"own": Measurement(value)}, entries)["others"][0] == "reproduced"
    for missing in (None, float("nan")):
        without["own"] = Measurement(missing, comment="none")
        assert ledger.judge(without, entries)["others"][0] == expected


IN, WIDE, OUT = 0.7, 0.5, 0.1


@pytest.mark.parametrize(("procedure", "recommended", "sentence"), [
    ((IN, [IN]), (IN, [IN]), "It holds however the model is fitted."),
    ((WIDE, []), (WIDE, []), "It holds in part, however the model is fitted."),
    ((OUT, []), (OUT, []), "It does not hold, however the model is fitted."),
    ((IN, [IN, IN]), (OUT, []), "The paper's procedure has it with most seeds, but the combination of runs loses it."),
    ((IN, [IN, OUT, OUT]), (OUT, []),
     "The run with the highest Q has it, but only 1 of 3 seeds do; the recommended fit does not have it."),
    ((IN, [OUT, OUT]), (IN, []),
     "The run with the highest Q has it, but only 0 of 2 seeds do; combining the runs makes it certain."),
    ((OUT, [IN, IN]), (OUT, []),
     "2 of 2 seeds of the paper's procedure have it, but not the run with the highest Q; the recommended fit does not "
     "have it."),
    ((WIDE, []), (IN, []), "The paper's procedure has it in part; combining the runs makes it certain."),
    ((OUT, []), (IN, []), "Only the combination of runs finds it."),
    ((OUT, []), (WIDE, []), "The paper's procedure does not have it, the recommended fit has it in part."),
    ((WIDE, []), (OUT, []), "The paper's procedure has a weaker form of it, the recommended fit does not."),
    ((IN, []), (None, []),
     "Only the paper's procedure allows a test; the recommended fit does not find what the claim is about."),
])
def test_the_sentence_on_the_difference_follows_from_the_verdicts(tmp_path, claims, procedure, recommended, sentence):
    own, other = ({"one": Measurement(*pair, comment="why")} for pair in (recommended, procedure))
    assert evaluate(tmp_path, claims(entry()), own, other).loc["one", "difference"] == sentence


def test_every_pair_of_verdicts_has_its_sentence(claims):
    claim = claims(entry()).loc["one"]
    values = {"reproduced": IN, "partly": WIDE, "not reproduced": OUT, "cannot be tested": None}
    sides = [{"value": value, "runs": [], "verdict": verdict} for verdict, value in values.items()]
    sides.append({"value": IN, "runs": [OUT], "verdict": "partly"})
    for first in sides:
        for second in sides:
            assert verdicts.describe_difference(claim, first, second).endswith(".")


def test_a_fact_about_the_data_and_simulated_data_have_no_difference(tmp_path, claims):
    entries = claims(entry("a", about="data"), entry("b"))
    found = {name: Measurement(IN) for name in "ab"}
    assert evaluate(tmp_path, entries, found, found).loc["a", "difference"] == ""
    table = verdicts.evaluate("c", {}, {}, not_evaluated="simulated", folder=tmp_path, ledger=entries)
    assert set(table["difference"]) == {""}


def cells(row):
    return [cell.strip() for cell in row.strip("|").split(" | ")]


def test_the_chapters_table_has_both_verdicts_and_keeps_its_columns(tmp_path, claims):
    entries = claims(entry("x"), entry("y"))
    table = evaluate(tmp_path, entries, {"x": Measurement(0.7, [0.6, 0.9], "few"), "y": Measurement(0.1)},
                     {"x": Measurement(0.7), "y": Measurement(0.1)})
    header, rule, *rows = ledger_page.chapter_table(table).splitlines()
    assert header.count("|") == rule.count("|") == 5
    measured = "a number<br>reproduced: 0.6 to 0.8; partly: at least 0.4"
    assert rows == [
        f"| a \\| b `x`<br>*It holds however the model is fitted.* | {measured} | **reproduced**<br>0.7 | "
        "**reproduced**<br>0.7<br>1 of 2 seeds in range (0.6 to 0.9)<br>few |",
        f"| a \\| b `y`<br>*It does not hold, however the model is fitted.* | {measured} | **not reproduced**<br>0.1 | "
        "**not reproduced**<br>0.1 |"]


def test_the_ledger_table_has_every_claim_with_its_figure_chapter_and_verdicts(tmp_path, claims):
    entries = claims(entry("x", reading="because"), entry("y", figure="fig-b", about="data", claim="b"),
                     entry("z", chapter="d"))
    fact = Measurement(0.1, comment="why not")
    evaluate(tmp_path, entries, {"x": Measurement(0.7, [0.6, 0.9]), "y": fact}, {"x": Measurement(0.1), "y": fact})
    read = verdicts.read_results(tmp_path, entries)
    heads, _, x, y, z = map(cells, ledger_page.ledger_table(read, entries).splitlines())
    assert heads == ["claim", "what is measured", "paper's procedure", "recommended fit", "what the difference means"]
    assert x[0] == ("[claim]{.label} a \\| b<br>[paper: Fig. 1 (1)<br>here: {numref}`fig-a` in {doc}`/chapters/c`<br>"
                    "`x`]{.source}")
    assert x[1:] == ["[what is measured]{.label} a number<br>reproduced: 0.6 to 0.8<br>partly: at least 0.4<br>"
                     "[reading: because]{.source}",
                     "[paper's procedure]{.label} [not reproduced]{.verdict .not-reproduced}<br>0.1",
                     "[recommended fit]{.label} [reproduced]{.verdict .reproduced}<br>0.7<br>"
                     "1 of 2 seeds in range (0.6 to 0.9)",
                     "[what the difference means]{.label} Only the combination of runs finds it."]
    assert "{numref}`fig-b`" in y[0] and y[3] == "" and y[4].endswith("No fit is involved.")
    assert y[2] == "[verdict]{.label} [not reproduced]{.verdict .not-reproduced}<br>0.1<br>why not"
    assert "/chapters/d" in z[0] and z[2].endswith("[not measured]{.verdict .not-measured}") and z[4] == ""
    counts = {way: ledger_page.count_verdicts(read, entries, way) for way in ledger_page.WAYS}
    none = dict.fromkeys(ledger_page.VERDICTS, 0)
    assert counts[verdicts.RECOMMENDED].loc["SpiceMix"].to_dict() == none | {"reproduced": 1, "not measured": 1}
    assert counts[verdicts.PROCEDURE].loc["SpiceMix"].to_dict() == none | {"not reproduced": 1, "not measured": 1}
    assert all(each.loc["data", "not reproduced"] == 1 for each in counts.values())


def test_the_summary_names_each_claim_about_spicemix_once_by_its_verdicts(tmp_path, claims):
    entries = claims(*map(entry, "abcdef"), entry("g", about="data"))
    recommended = dict(zip("abcdefg", map(Measurement, (IN, OUT, IN, OUT, WIDE, OUT, IN)), strict=True))
    procedure = recommended | {"b": Measurement(IN, [IN]), "c": Measurement(WIDE), "d": Measurement(IN, [IN, OUT, OUT]),
                               "e": Measurement(OUT)}
    table = evaluate(tmp_path, entries, recommended, procedure)
    lines = ledger_page.summary(table, entries).splitlines()
    assert [line.split("): ")[-1] for line in lines] == [
        "short a.", "short b.", "short c.", "short d (1 of 3 seeds).", "short e.", "short f."]
    assert lines[0] == "- **Holds, however the model is fitted** (1): short a."
    entries.loc["a", "figure"] = "fig-of-another-page"
    assert ledger_page.summary(table, entries, ["fig-of-another-page"]) == lines[0]
    nothing = verdicts.evaluate("c", {}, {}, not_evaluated="simulated", folder=tmp_path, ledger=entries)
    assert "simulated tissue" in ledger_page.summary(nothing, entries)
