"""A fitted model as one HDF5 file, which gives back every bit of the model and is checked when it is read.

Attributes of the file: ``format`` ("spicemix-model"), ``version``, ``parameters`` (JSON), ``history`` (names of its
columns in order, JSON), ``n_iter``, ``converged``, ``input`` (keys of the data and their preparation, JSON; only of a
model that was fitted to AnnData) and ``digest``, the SHA-256 of everything else.

Datasets: ``metagenes`` (G, K), ``affinity`` (K, K), ``noise`` (1,), ``scaling`` (n_samples,), ``latent_states/0``,
``latent_states/1``, ... (N_i, K), one per sample, and ``history/NAME``, one per column. A model with names also has
``genes``, ``samples`` and ``cells/0``, ``cells/1``, ... (UTF-8).

A reader never evaluates anything in the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from sklearn.utils.validation import check_is_fitted

from spicemix_core.files.atomic import replacing
from spicemix_core.files.damaged import first_line, open_hdf5
from spicemix_core.files.hdf5 import hdf5_in_memory
from spicemix_core.files.model_arrays import arrays_of, restore
from spicemix_core.files.model_checks import check_model

if TYPE_CHECKING:
    from spicemix_core.model import SpiceMix

FORMAT = "spicemix-model"
VERSION = 1
_REQUIRED = ("metagenes", "affinity", "noise", "scaling", "latent_states", "history")


def save_model(model: SpiceMix, path: str | os.PathLike) -> None:
    """Write a fitted model to an HDF5 file. An existing file is replaced when the new one is complete.

    Parameters
    ----------
    model : SpiceMix
        A fitted model. A ``random_state`` that is a Generator is stored as None, because the fit has changed its
        state.
    path : path
        Name of the file, usually with the suffix ``.h5``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The model is not fitted.
    ValueError
        A parameter is not a number, a string or None, or ``path`` is a folder.
    FileNotFoundError
        The folder of ``path`` does not exist.

    Notes
    -----
    All strings have a fixed length. Those of variable length would be stored in a heap of the file, and the HDF5
    library does not return from reading some corrupt heaps.

    Examples
    --------
    >>> import tempfile
    >>> from spicemix_core import SpiceMix, datasets
    >>> adata = datasets.simulate_cortex(n_cells=40, n_genes=20, random_state=0)
    >>> model = SpiceMix(3, max_iter=20, tol=1.0, random_state=0).fit(adata)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, f"{folder}/model.h5")
    ...     loaded = load_model(f"{folder}/model.h5", SpiceMix)
    >>> bool((loaded.metagenes_ == model.metagenes_).all())
    True
    """
    check_is_fitted(model, "metagenes_", msg="The model is not fitted. Call fit before save.")
    arrays, attributes = arrays_of(model), _attributes(model)
    attributes["digest"] = _digest(arrays, attributes)
    with replacing(check_target(path)) as temporary, hdf5_in_memory(temporary, libver="v110") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        for name, value in attributes.items():
            file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value  # see Notes


def load_model(path: str | os.PathLike, kind: type[SpiceMix]) -> SpiceMix:
    """Read a model that :func:`save_model` wrote.

    Parameters
    ----------
    path : path
        Name of the file.
    kind : type
        Class of the model: :class:`spicemix_core.SpiceMix` or a class derived from it.

    Returns
    -------
    SpiceMix
        A model of class ``kind`` with all parameters and attributes of the saved one.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    ValueError
        The file is not a model, is corrupt, has a newer version of the format, or has parts that disagree.

    Examples
    --------
    See :func:`save_model`.
    """
    path = Path(path)
    arrays, attributes = _read(path)
    try:
        model = kind(**_check_parameters(attributes, kind))
        restore(model, arrays, json.loads(attributes["history"]))
        model.n_iter_, model.converged_ = attributes["n_iter"], attributes["converged"]
        if "input" in attributes:
            model.input_ = json.loads(attributes["input"])
        check_model(model)
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is an incomplete model ({first_line(error)}). Save the model again.") from error
    except ValueError as error:
        raise ValueError(f"{path} is not a valid model: {first_line(error)}.") from error
    return model


def check_target(path: str | os.PathLike) -> Path:
    """Check that a file can be created at ``path``, and return it as a Path."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder. Give the name of a file.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"The folder {folder} of {path.name} does not exist. Create it first.")
    return path


# ---- writing


def _attributes(model):
    """All attributes of the file except the digest."""
    parameters = {name: _plain(value) for name, value in model.get_params().items()}
    if isinstance(parameters.get("random_state"), np.random.Generator):
        parameters["random_state"] = None
    for name, value in parameters.items():
        if not isinstance(value, (bool, int, float, str, type(None))):
            raise ValueError(f"The parameter {name}={value!r} cannot be stored. Use a number, a string or None.")
    return {"format": FORMAT, "version": VERSION, "n_iter": int(model.n_iter_), "converged": bool(model.converged_),
            "parameters": json.dumps(parameters), "history": json.dumps(list(model.history_)),
            **({"input": json.dumps(model.input_)} if hasattr(model, "input_") else {})}


# ---- reading


def _read(path):
    """All arrays and attributes of an intact model file."""
    try:
        with open_hdf5(path) as file:
            _check_format(file, path)
            attributes = {name: _plain(file.attrs[name]) for name in file.attrs}
            arrays = _read_all(file)
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"{path} is corrupt ({first_line(error)}). Save the model again.") from error
    if attributes.pop("digest", None) != _digest(arrays, attributes):
        raise ValueError(f"{path} is corrupt: its content does not match its checksum. Save the model again.")
    return arrays, attributes


def _check_format(file, path):
    if _plain(file.attrs.get("format")) != FORMAT:
        kind = "an HDF5 file of another kind"
        if {"obs", "var"} <= set(file):
            kind = "an AnnData file, and the model has a file of its own"
        elif {"parameters", "hyperparameters"} <= set(file):
            kind = "a result of the authors' program, which must be converted to a model first"
        raise ValueError(f"{path} is not a SpiceMix model: it is {kind}.")
    version = _plain(file.attrs.get("version"))
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{path} is corrupt: its version of the format is {version!r}. Save the model again.")
    if version > VERSION:
        raise ValueError(f"{path} has version {version} of the format, but this program reads versions up to {VERSION}."
                         " Update spicemix-core.")
    missing = [name for name in _REQUIRED if name not in file]
    if missing:
        raise ValueError(f"{path} is an incomplete model: it lacks {' and '.join(missing)}. Save the model again.")


def _read_all(file):
    arrays = {}

    def read(name, item):
        if isinstance(item, h5py.Dataset):
            if item.dtype.kind not in "fiubS":
                raise TypeError(f"The dataset {name} has type {item.dtype}.")
            arrays[name] = np.atleast_1d(item[()])

    file.visititems(read)
    return arrays


def _check_parameters(attributes, kind):
    parameters = json.loads(attributes["parameters"])  # json's error is a ValueError
    if not isinstance(parameters, dict):
        raise ValueError("Its parameters are not a table. Save the model again.")
    unknown = set(parameters) - set(kind().get_params())
    if unknown:
        raise ValueError(f"Its parameters {', '.join(sorted(unknown))} are unknown. Update spicemix-core.")
    return parameters


# ---- both


def _digest(arrays, attributes):
    """SHA-256 of all arrays and of all attributes except the digest."""
    described = {name: attributes[name] for name in sorted(attributes) if name != "digest"}
    digest = hashlib.sha256(json.dumps(described, default=str).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _plain(value):
    """A number of NumPy as one of Python, and bytes as a string."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value
