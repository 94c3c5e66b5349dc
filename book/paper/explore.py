"""Interactive figures for the pages: maps of cells, and a model at several values of a setting.

Each is a piece of HTML that contains its data, at a few bytes per number. The script ``book/_static/explore.js`` draws
it, without a server and without requests. Where the script does not run, as in print, nothing is shown. Each
interactive figure therefore accompanies a picture.
"""

import base64
import html
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

LEVELS = 255  # of a colour scale
_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})  # they could end the script


class Explorer:
    """Interactive figure, which a notebook shows as HTML.

    Parameters
    ----------
    kind : {"map", "model"}
        Kind of figure that the script draws.
    title : str
        Text for screen readers.
    data : dict
        Data of the figure, which JSON can represent.
    """

    def __init__(self, kind, title, data):
        self.kind, self.title, self.data = kind, title, data

    def _repr_html_(self):
        text = json.dumps(self.data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).translate(_UNSAFE)
        return (f'<div class="explorer" data-kind="{self.kind}" role="group" aria-label="{html.escape(self.title)}">'
                f'<script type="application/json">{text}</script></div>')

    def __repr__(self):
        return f"Explorer: {self.title} (shown in the pages of the book)"


def cell_map(coordinates: ArrayLike, samples: ArrayLike, labels: Mapping[str, tuple[ArrayLike, Mapping]],
             values: Mapping[str, ArrayLike], *, names: Sequence | None = None, title: str = "Map of the cells",
             sample_word: str = "field", bands: Mapping[str, tuple[float, float]] | None = None) -> Explorer:
    """Map of cells whose colours and sample the reader chooses; pointing at a cell shows all its values.

    A second labelling can be drawn beside the first, and a click on a legend shows the cells of one label only.

    Parameters
    ----------
    coordinates : array, (N, 2)
    samples : sequence of N
        Sample of each cell; each sample is a panel with its own origin.
    labels : dict of str to (sequence of N, dict)
        Labels of the cells by name, each with its colours by label (`pl.palette`), for example
        ``{"type": (types, colors)}``.
    values : dict of str to array, (N,)
        Numbers by name, for example proportions of metagenes.
    names : sequence of N, optional
        Names of the cells.
    title : str
    sample_word : str
        Word for a sample in the controls.
    bands : dict of str to (float, float), optional
        Bands along the first coordinate by name, for example layers; their borders are drawn. For one sample only.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        If lengths differ, a number is not finite, a label has no colour, or there are bands for several samples.
    """
    n_cells = len(samples := np.asarray(samples).astype(str))
    sheets = {"coordinates": coordinates, **{name: entry[0] for name, entry in labels.items()}, **values}
    if wrong := [name for name, entries in sheets.items() if len(entries) != n_cells]:
        raise ValueError(f"The argument {wrong[0]!r} has {len(sheets[wrong[0]])} entries for {n_cells} cells: pass one "
                         "for each cell.")
    order = sorted(set(samples))
    if bands and len(order) > 1:
        raise ValueError(f"There are bands for {len(order)} samples: pass them for a map of one sample only.")
    data = {"samples": order, "sample": [order.index(name) for name in samples], "word": sample_word,
            "xy": _coded(coordinates, "coordinates"),
            "labels": [_labels(name, *entry) for name, entry in labels.items()],
            "values": [{"name": name, **_scaled(entries, name)} for name, entries in values.items()],
            "bands": [[name, *map(float, ends)] for name, ends in (bands or {}).items()],
            "names": [] if names is None else [str(name) for name in names]}
    return Explorer("map", title, data)


def model_path(coordinates: ArrayLike, frames: Sequence[dict], *, setting: str, default: str | None = None,
               title: str = "The model under a changing setting") -> Explorer:
    """One sample at several values of a setting: clusters in space, the affinity and numbers, with a slider.

    Parameters
    ----------
    coordinates : array, (N, 2)
    frames : list of dict
        One for each value of the setting, in order: ``"at"``, the value as text; ``"labels"`` and ``"colors"``, the
        clusters and their colours by label; ``"affinity"``, the matrix S; ``"metagenes"``, the names of its rows;
        ``"numbers"``, texts by name. If a value has several runs, each is a frame with its name as ``"run"``.
    setting : str
        Name of the setting that the slider changes.
    default : str, optional
        The default of the setting, where the slider starts and which it names as such.
    title : str

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        If there are fewer than two values, a frame has another number of cells or lacks a name of a metagene, values
        differ in their runs, or no frame has the default.
    """
    values, runs = (list(dict.fromkeys(frame.get(key, "") for frame in frames)) for key in ("at", "run"))
    if len(values) < 2:
        raise ValueError(f"A slider needs at least two values of the setting, not {len(values)}: pass frames of more.")
    if len(frames) != len(values) * len(runs):
        raise ValueError(f"There are {len(frames)} frames for {len(values)} values and {len(runs)} runs: pass one for "
                         "each value and run.")
    if default is not None and default not in values:
        raise ValueError(f"No frame is at the default {default}: pass one, or leave the default out.")
    drawn = []
    for frame in frames:
        if len(frame["labels"]) != len(coordinates):
            raise ValueError(f"The frame at {frame['at']} has {len(frame['labels'])} labels for {len(coordinates)} "
                             "cells: pass one for each cell.")
        centred = np.asarray(frame["affinity"]) - np.mean(frame["affinity"])
        if len(frame["metagenes"]) != len(centred):
            raise ValueError(f"The frame at {frame['at']} has {len(frame['metagenes'])} names for {len(centred)} "
                             "metagenes: pass one for each metagene.")
        drawn.append({"at": frame["at"], "run": frame.get("run", ""), "metagenes": list(frame["metagenes"]),
                      **_labels(frame["at"], frame["labels"], frame["colors"]),
                      "affinity": np.round(centred, 3).tolist(), "numbers": frame["numbers"]})
    return Explorer("model", title, {"xy": _coded(coordinates, "coordinates"), "setting": setting, "frames": drawn,
                                     "stops": values, "runs": runs, "default": default or ""})


def _labels(name, entries, colors):
    entries = np.asarray(entries).astype(str)
    colors = {str(label): color for label, color in colors.items()}
    if missing := sorted(set(entries) - set(colors)):
        raise ValueError(f"The label {missing[0]} of {name} has no colour: pass one for each label.")
    used = [label for label in colors if label in set(entries)]
    return {"name": name, "of": used, "colors": [colors[label] for label in used],
            "codes": [used.index(label) for label in entries]}


def _scaled(entries, name):
    """Numbers as levels between their smallest value and their 99th percentile; higher numbers have the last level.

    The levels are bytes in base64, half of the size of numbers in JSON.
    """
    entries = _finite(entries, name)
    low, high = float(entries.min()), float(np.quantile(entries, 0.99))
    high = high if high > low else float(entries.max()) if entries.max() > low else low + 1.0
    steps = np.clip(np.rint((entries - low) / (high - low) * LEVELS), 0, LEVELS).astype(np.uint8)
    return {"low": float(f"{low:.3g}"), "high": float(f"{high:.3g}"),
            "steps": base64.b64encode(steps.tobytes()).decode()}


def _coded(coordinates, name):
    """Coordinates to four digits of the larger extent, as two lists."""
    coordinates = _finite(coordinates, name)
    extent = float(np.ptp(coordinates, axis=0).max()) or 1.0
    digits = int(3 - np.floor(np.log10(extent)))
    return [[round(float(x), digits) for x in column] for column in coordinates.T]


def _finite(entries, name):
    entries = np.asarray(entries, dtype=float)
    if not np.isfinite(entries).all():
        raise ValueError(f"Some numbers of {name!r} are not finite: leave these cells out.")
    return entries
