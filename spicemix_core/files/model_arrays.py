"""A fitted model as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from spicemix_core.model import SpiceMix


def arrays_of(model: SpiceMix) -> dict[str, np.ndarray]:
    """All arrays of a fitted model, by the name of their dataset."""
    arrays = {"metagenes": model.metagenes_, "affinity": model.affinity_, "noise": [model.noise_],
              "scaling": model.scaling_}
    arrays |= {f"latent_states/{i}": x for i, x in enumerate(model.latent_states_)}
    history = model.history_.reset_index()
    arrays |= {f"history/{name}": history[name].to_numpy() for name in history}
    if hasattr(model, "feature_names_in_"):
        arrays |= {"genes": _encode(model.feature_names_in_), "samples": _encode(model.sample_names_)}
        arrays |= {f"cells/{i}": _encode(names) for i, names in enumerate(model.cell_names_)}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def restore(model: SpiceMix, arrays: Mapping[str, np.ndarray], columns: Sequence[str]) -> None:
    """Set the results of a fit.

    Parameters
    ----------
    model : SpiceMix
        A model that is not fitted.
    arrays : dict of arrays
        As :func:`arrays_of` returns them.
    columns : sequence of str
        Names of the columns of the history, in order.

    Raises
    ------
    KeyError
        An array is missing.
    ValueError
        The columns of the history differ in length.
    """
    model.metagenes_, model.affinity_, model.scaling_ = (arrays[k] for k in ("metagenes", "affinity", "scaling"))
    model.noise_ = float(arrays["noise"][0])
    model.latent_states_ = _numbered(arrays, "latent_states")
    model.history_ = _history(arrays, columns)
    if "genes" in arrays:
        model.feature_names_in_ = _decode(arrays["genes"])
        model.sample_names_ = _decode(arrays["samples"]).tolist()
        model.cell_names_ = [_decode(names) for names in _numbered(arrays, "cells")]


def _history(arrays, columns):
    iterations = pd.Index(arrays["history/iteration"], name="iteration")
    n = len(iterations)
    if np.array_equal(iterations, np.arange(1, n + 1)):
        iterations = pd.RangeIndex(1, n + 1, name="iteration")
    history = {name: arrays[f"history/{name}"] for name in columns}
    if any(column.shape != (n,) for column in history.values()):
        raise ValueError("The columns of its history differ in length.")
    return pd.DataFrame(history, index=iterations)


def _numbered(arrays, group):
    n = sum(name.startswith(f"{group}/") for name in arrays)
    return [arrays[f"{group}/{i}"] for i in range(n)]


def _encode(names):
    encoded = [str(name).encode() for name in names]
    if any(b"\0" in name for name in encoded):
        raise ValueError("A name contains the character NUL, which cannot be stored. Rename it.")
    return np.array(encoded, dtype=bytes)


def _decode(names):
    return np.array([name.decode() for name in names.tolist()], dtype=object)
