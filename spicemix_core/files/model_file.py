"""A fitted model as one HDF5 file: written whole or not at all, read back bit for bit, and checked on the way in.

The file has the attributes ``format`` ("spicemix-model"), ``version``, ``parameters`` (JSON), ``history`` (its columns
in order, JSON), ``n_iter``, ``converged`` and ``digest``; the datasets ``metagenes`` (G, K), ``affinity`` (K, K),
``noise`` (1,) and ``scaling`` (n_samples,); the group ``latent_states`` with one (N_i, K) dataset per sample, "0", "1",
...; the group ``history`` with one dataset per column; and, of a model that knows its names, ``genes``, ``samples`` and
the group ``cells`` (UTF-8). Nothing in it has to be evaluated by a reader. ``digest`` is the SHA-256 of all else, so
that a damaged file is noticed.
"""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from spicemix_core.files.atomic import replacing
from spicemix_core.files.damaged import first_line, open_hdf5

FORMAT = "spicemix-model"
VERSION = 1
_REQUIRED = ("metagenes", "affinity", "noise", "scaling", "latent_states", "history")


def save_model(model, path):
    """Write a fitted model to an HDF5 file; a file of that name is replaced once the new one is complete.

    Parameters
    ----------
    model : fitted SpiceMix
        A ``random_state`` that is a Generator is stored as None: the fit has moved it on, and its state after the fit
        would not give the same fit again.
    path : path
        By custom ends in ``.h5``.

    Raises
    ------
    ValueError
        The model is not fitted (scikit-learn's NotFittedError), a parameter is no number, text or None, or ``path`` is
        a folder.
    FileNotFoundError
        The folder of ``path`` does not exist.

    Notes
    -----
    All texts have a fixed length: those of varying length lie in a heap of the file, and the HDF5 library can read a
    damaged heap for ever.
    """
    check_is_fitted(model, "metagenes_", msg="This SpiceMix model is not fitted: call fit before save.")
    content = _content(model)
    attributes = {"format": FORMAT, "version": VERSION, "n_iter": int(model.n_iter_),
                  "converged": bool(model.converged_), "parameters": json.dumps(_parameters(model)),
                  "history": json.dumps(list(model.history_))}
    with replacing(check_target(path)) as temporary, h5py.File(temporary, "w", libver="v110") as file:
        for name, array in content.items():
            file.create_dataset(name, data=array)
        for name, value in (attributes | {"digest": _digest(content, attributes)}).items():
            file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value  # see Notes


def load_model(path, kind):
    """Read a model that :func:`save_model` wrote.

    Parameters
    ----------
    path : path
    kind : class
        :class:`spicemix_core.SpiceMix`, or a class derived from it.

    Returns
    -------
    kind
        With all parameters and attributes of the model that was saved.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no such file, a damaged one, one of a newer version, or one whose parts do not fit each other.
    """
    path = Path(path)
    try:
        with open_hdf5(path) as file:
            _check_format(file, path)
            attributes = {name: _plain(file.attrs[name]) for name in file.attrs}
            content = _read_all(file)
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"{path} is no SpiceMix model or is damaged ({first_line(error)}): save it again.") from error
    if attributes.pop("digest", None) != _digest(content, attributes):
        raise ValueError(f"{path} is damaged (its content does not match its digest): save it again.")
    try:
        model = kind(**_check_parameters(attributes, kind))
        return _restore(model, content, attributes)
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is an incomplete SpiceMix model ({first_line(error)}): save it again.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_model(model):
    """Refuse a model (ValueError) whose shapes do not fit each other or which holds numbers that no model can have."""
    K = model.n_metagenes
    if not isinstance(K, int) or model.metagenes_.ndim != 2 or model.metagenes_.shape[1] != K:
        raise ValueError(f"metagenes have shape {model.metagenes_.shape} for n_metagenes={K!r}.")
    if model.affinity_.shape != (K, K):
        raise ValueError(f"the affinity has shape {model.affinity_.shape}, expected ({K}, {K}).")
    n_samples = len(model.latent_states_)
    if n_samples == 0 or model.scaling_.shape != (n_samples,):
        raise ValueError(f"there are states of {n_samples} samples and scalings of shape {model.scaling_.shape}.")
    wrong = [x.shape for x in model.latent_states_ if x.ndim != 2 or x.shape[1] != K or not len(x)]
    if wrong:
        raise ValueError(f"latent states have shape {wrong[0]}, expected (cells, {K}).")
    numbers = {"metagenes": model.metagenes_, "affinity": model.affinity_, "noise": np.array([model.noise_]),
               "scaling": model.scaling_} | {f"latent_states/{i}": x for i, x in enumerate(model.latent_states_)}
    for name, array in numbers.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} holds something else than finite numbers.")
        if name != "affinity" and (array < 0).any():
            raise ValueError(f"{name} holds negative numbers.")
    if model.noise_ == 0 or not model.scaling_.all():
        raise ValueError("noise and scaling must be positive.")
    if hasattr(model, "feature_names_in_"):
        named = [len(model.feature_names_in_), len(model.sample_names_), *map(len, model.cell_names_)]
        counted = [len(model.metagenes_), n_samples, *map(len, model.latent_states_)]
        if named != counted:
            raise ValueError(f"there are {named} names of genes, samples and cells per sample for {counted}.")


def check_target(path):
    """``path`` as a Path, if a file can be written there."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file.")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.absolute().parent} to write {path.name} to: create it.")
    return path


def _content(model):
    """All arrays of a fitted model by the name of their dataset."""
    content = {"metagenes": model.metagenes_, "affinity": model.affinity_, "noise": [model.noise_],
               "scaling": model.scaling_}
    content |= {f"latent_states/{i}": x for i, x in enumerate(model.latent_states_)}
    history = model.history_.reset_index()
    content |= {f"history/{name}": history[name].to_numpy() for name in history}
    if hasattr(model, "feature_names_in_"):
        content |= {"genes": _encode(model.feature_names_in_), "samples": _encode(model.sample_names_)}
        content |= {f"cells/{i}": _encode(names) for i, names in enumerate(model.cell_names_)}
    return {name: np.ascontiguousarray(array) for name, array in content.items()}


def _restore(model, content, attributes):
    model.metagenes_, model.affinity_, model.scaling_ = (content[k] for k in ("metagenes", "affinity", "scaling"))
    model.noise_ = float(content["noise"][0])
    model.latent_states_ = _numbered(content, "latent_states")
    model.history_ = _history(content, json.loads(attributes["history"]))
    model.n_iter_, model.converged_ = attributes["n_iter"], attributes["converged"]
    if "genes" in content:
        model.feature_names_in_ = _decode(content["genes"])
        model.sample_names_ = _decode(content["samples"]).tolist()
        model.cell_names_ = [_decode(names) for names in _numbered(content, "cells")]
    check_model(model)
    return model


def _history(content, columns):
    iterations = pd.Index(content["history/iteration"], name="iteration")
    n = len(iterations)
    if np.array_equal(iterations, np.arange(1, n + 1)):
        iterations = pd.RangeIndex(1, n + 1, name="iteration")
    history = {name: content[f"history/{name}"] for name in columns}
    if any(column.shape != (n,) for column in history.values()):
        raise ValueError("the columns of the history differ in length.")
    return pd.DataFrame(history, index=iterations)


def _numbered(content, group):
    n = sum(name.startswith(f"{group}/") for name in content)
    return [content[f"{group}/{i}"] for i in range(n)]


def _parameters(model):
    parameters = {name: _plain(value) for name, value in model.get_params().items()}
    if isinstance(parameters.get("random_state"), np.random.Generator):
        parameters["random_state"] = None
    for name, value in parameters.items():
        if not isinstance(value, (bool, int, float, str, type(None))):
            raise ValueError(f"The parameter {name}={value!r} cannot be stored: it must be a number, a text or None.")
    return parameters


def _check_parameters(attributes, kind):
    parameters = json.loads(attributes["parameters"])  # json's error is a ValueError
    unknown = set(parameters) - set(kind().get_params()) if isinstance(parameters, dict) else {"(no table)"}
    if unknown:
        raise ValueError(f"unknown parameters {', '.join(sorted(unknown))}; update spicemix_core.")
    return parameters


def _check_format(file, path):
    if _plain(file.attrs.get("format")) != FORMAT:
        other = ""
        if {"obs", "var"} <= set(file):
            other = "; it is an AnnData file, whose model was not saved with it"
        elif {"parameters", "hyperparameters"} <= set(file):
            other = "; it is a result of the authors' program, which spicemix_core.convert_result reads"
        raise ValueError(f"{path} is an HDF5 file but no SpiceMix model{other}.")
    version = _plain(file.attrs.get("version"))
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{path} has the version {version!r}, which no version of spicemix_core has written.")
    if version > VERSION:
        raise ValueError(f"{path} has version {version} of the format, but this program reads up to {VERSION}: update "
                         "spicemix_core.")
    missing = [name for name in _REQUIRED if name not in file]
    if missing:
        raise ValueError(f"{path} is an incomplete SpiceMix model, it has no {' and no '.join(missing)}.")


def _read_all(file):
    content = {}

    def read(name, item):
        if isinstance(item, h5py.Dataset):
            if item.dtype.kind not in "fiubS":
                raise TypeError(f"the dataset {name} is of type {item.dtype}")
            content[name] = np.atleast_1d(item[()])

    file.visititems(read)
    return content


def _digest(content, attributes):
    told = {name: attributes[name] for name in sorted(attributes) if name != "digest"}
    digest = hashlib.sha256(json.dumps(told, default=str).encode())
    for name in sorted(content):
        array = content[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _plain(value):
    """A number of numpy as Python's own, and bytes as text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value


def _encode(names):
    encoded = np.array([str(name).encode() for name in names], dtype=bytes)
    if any(b"\0" in str(name).encode() for name in names):
        raise ValueError("A name holds the character NUL, which cannot be stored.")
    return encoded


def _decode(names):
    return np.array([name.decode() for name in names.tolist()], dtype=object)
