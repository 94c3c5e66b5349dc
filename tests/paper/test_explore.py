"""Interactive figures: what their HTML contains, and what is refused."""

import base64
import html.parser
import json

import numpy as np
import pytest
from paper.explore import cell_map, model_path
from paper.shared.recovery import SIGNAL, match_states
from paper.simulation.penalty_path import penalty_frames

from spicemix_core import SpiceMix
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


def test_frames_follow_the_penalty_and_the_seed():
    adata = simulate_cortex(1, n_cells=120, n_genes=40, random_state=0)
    colors = dict.fromkeys((*CELL_TYPES, "no type"), "#000000")
    frames = penalty_frames(adata, [1e-4, 1.0], colors, n_metagenes=5, seeds=(0, 1))
    assert [(frame["at"], frame["run"]) for frame in frames] == [
        ("0.0001", "seed 1"), ("0.0001", "seed 2"), ("1", "seed 1"), ("1", "seed 2")]
    assert np.ptp(frames[2]["affinity"]) < 0.1 * np.ptp(frames[0]["affinity"])  # a strong penalty shrinks S
    assert frames[0]["numbers"]["the index of all seeds"] == ", ".join(
        frame["numbers"]["adjusted Rand index"] for frame in frames[:2])
    assert "X_spicemix" not in adata.obsm  # the data are unchanged
    data, figure = read(model_path(adata.obsm["spatial"], frames, setting="penalty", default="0.0001"))
    assert figure["data-kind"] == "model" and len(data["frames"]) == 4
    assert data["stops"] == ["0.0001", "1"] and data["runs"] == ["seed 1", "seed 2"] and data["default"] == "0.0001"
    np.testing.assert_allclose(np.mean(data["frames"][0]["affinity"]), 0, atol=1e-3)


def test_metagenes_of_a_frame_have_the_names_of_the_true_ones():
    adata = simulate_cortex(1, n_cells=300, n_genes=60, random_state=0)
    model = SpiceMix(12, affinity_penalty=1.0, random_state=0)
    (frame,) = penalty_frames(adata, [1.0], dict.fromkeys((*CELL_TYPES, "no type"), "#000000"), n_metagenes=12)
    assert frame["metagenes"] == [*SIGNAL, "other", "other"]
    states = np.concatenate(model.fit(adata.copy(), sample_key="sample").latent_states_)
    true = adata.obsm["true_latent_states"]
    learned = match_states(true, states).permutation
    np.testing.assert_allclose(np.diag(frame["affinity"])[:10], np.diag(model.affinity_)[learned])


@pytest.mark.parametrize(("change", "message"), [
    (lambda frames: frames[:1], "at least two values"),
    (lambda frames: frames[:3], "3 frames for 2 values and 2 runs"),
    (lambda frames: [*frames[:3], frames[3] | {"labels": ["a"]}], "1 labels for 3 cells"),
    (lambda frames: [*frames[:3], frames[3] | {"metagenes": ["m"]}], "1 names for 2 metagenes"),
    (lambda frames: [frame | {"at": frame["at"] + "0"} for frame in frames], "No frame is at the default 1"),
])
def test_inconsistent_frames_are_refused(change, message):
    frames = [{"at": at, "run": run, "labels": ["a"] * 3, "colors": {"a": "#000000"}, "affinity": np.eye(2),
               "metagenes": ["m", "n"], "numbers": {}} for at in ("1", "2") for run in ("x", "y")]
    model_path(POINTS, frames, setting="penalty", default="1")
    with pytest.raises(ValueError, match=message):
        model_path(POINTS, change(frames), setting="penalty", default="1")
