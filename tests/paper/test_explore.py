"""Interactive figures: what their HTML contains, and what is refused."""

import base64
import html.parser
import json

import numpy as np
import pytest
from paper.explore import cell_map, model_path
from paper.simulation.penalty_path import penalty_frames

from spicemix_core.datasets.simulation import CELL_TYPES, simulate_cortex

POINTS = np.array([[0.0, 10.0], [1234.5678, 20.0], [500.0, 30.0]])
LABELS = {"type": (["a", "b", "a"], {"a": "#111111", "b": "#222222", "c": "#333333"})}


class Script(html.parser.HTMLParser):
    """Text of the script elements, and the attributes of the figure, as a browser's parser finds them."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.figure, self.ended = [], {}, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "div":
            self.figure = dict(attributes)

    def handle_endtag(self, tag):
        self.ended += tag == "script"

    def handle_data(self, data):
        self.scripts.append(data)


def read(explorer):
    page = Script(explorer._repr_html_())
    assert page.ended == 1
    return json.loads("".join(page.scripts)), page.figure


def levels(sheet):
    return np.frombuffer(base64.b64decode(sheet["steps"]), np.uint8)


def test_a_map_carries_its_cells_in_few_digits():
    values = np.array([0.0, 0.5, 1.0])
    data, figure = read(cell_map(POINTS, ["1", "0", "1"], LABELS, {"gene": values}, names=["x", "y", "z"]))
    assert figure["data-kind"] == "map" and data["samples"] == ["0", "1"] and data["sample"] == [1, 0, 1]
    np.testing.assert_allclose(np.array(data["xy"]).T, POINTS, atol=0.5)
    (labels,) = data["labels"]
    assert labels["of"] == ["a", "b"] and labels["codes"] == [0, 1, 0]  # no cell is of c
    (gene,) = data["values"]
    decoded = gene["low"] + (gene["high"] - gene["low"]) * levels(gene) / 255
    np.testing.assert_allclose(decoded, np.minimum(values, np.quantile(values, 0.99)), atol=0.003)


def test_bands_are_drawn_for_one_sample_only():
    bands = {"upper": (0.0, 500.0), "lower": (500.0, 1300.0)}
    data, _ = read(cell_map(POINTS, ["s"] * 3, LABELS, {}, bands=bands))
    assert data["bands"] == [["upper", 0.0, 500.0], ["lower", 500.0, 1300.0]]
    assert read(cell_map(POINTS, ["s"] * 3, LABELS, {}))[0]["bands"] == []
    with pytest.raises(ValueError, match="bands for 2 samples"):
        cell_map(POINTS, ["s", "t", "s"], LABELS, {}, bands=bands)


def test_text_cannot_end_the_script_with_the_data():
    evil = '</script><script>alert("1")</script>&'
    explorer = cell_map(POINTS, ["s"] * 3, {evil: ([evil] * 3, {evil: "#000000"})}, {}, title=f'"{evil}')
    data, figure = read(explorer)
    assert data["labels"][0]["name"] == evil and figure["aria-label"] == f'"{evil}'
    assert "<script>alert" not in explorer._repr_html_()


def test_a_constant_number_has_a_scale():
    data, _ = read(cell_map(POINTS, ["s"] * 3, {}, {"gene": np.zeros(3)}))
    assert levels(data["values"][0]).tolist() == [0, 0, 0] and data["values"][0]["high"] > data["values"][0]["low"]


@pytest.mark.parametrize(("change", "message"), [
    ({"labels": {"type": (["a"], {"a": "#000000"})}}, "'type' has 1 entries for 3 cells"),
    ({"labels": {"type": (["a", "d", "a"], {"a": "#000000"})}}, "label d of type has no colour"),
    ({"values": {"gene": [1.0, np.nan, 2.0]}}, "numbers of 'gene' are not finite"),
    ({"coordinates": np.full((3, 2), np.inf)}, "numbers of 'coordinates' are not finite"),
])
def test_inconsistent_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        cell_map(**{"coordinates": POINTS, "samples": ["s"] * 3, "labels": LABELS, "values": {}} | change)


def test_frames_follow_the_penalty():
    adata = simulate_cortex(1, n_cells=120, n_genes=40, random_state=0)
    colors = dict.fromkeys((*CELL_TYPES, "no type"), "#000000")
    frames = penalty_frames(adata, [1e-4, 1.0], colors, n_metagenes=5)
    assert [frame["at"] for frame in frames] == ["1e-04", "1e+00"]
    assert np.ptp(frames[1]["affinity"]) < 0.1 * np.ptp(frames[0]["affinity"])  # a strong penalty shrinks S
    assert "X_spicemix" not in adata.obsm  # the data are unchanged
    data, figure = read(model_path(adata.obsm["spatial"], frames, setting="penalty"))
    assert figure["data-kind"] == "model" and len(data["frames"]) == 2
    np.testing.assert_allclose(np.mean(data["frames"][0]["affinity"]), 0, atol=1e-3)
    with pytest.raises(ValueError, match="at least two frames"):
        model_path(adata.obsm["spatial"], frames[:1], setting="penalty")
    with pytest.raises(ValueError, match="120 labels for 119 cells"):
        model_path(adata.obsm["spatial"][1:], frames, setting="penalty")
