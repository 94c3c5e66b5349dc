"""Checkpoints: the state of a fit in a file, from which a stopped fit resumes and gives the same numbers.

The HDF5 file holds the parameters and states after an iteration, the history, and a fingerprint of the data and of the
estimator's parameters. It is written whole or not at all, with checksums, and is used only by a fit with the same
fingerprint. An iteration depends on nothing else, so a resumed fit gives the numbers of an uninterrupted one, bit for
bit, on the same kind of machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.files.atomic import replacing
from spicemix_core.files.damaged import first_line, open_hdf5
from spicemix_core.files.hdf5 import hdf5_in_memory
from spicemix_core.files.lock import reserved
from spicemix_core.files.partial import clear_partials
from spicemix_core.files.removal import once_saved
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.numerics.blocks import pieces

if TYPE_CHECKING:
    from spicemix_core.samples import Samples

FORMAT, VERSION = "spicemix-checkpoint", 1
ROWS = 65_536  # of which the digest is computed at once
SECONDS = 30.0  # least time between two checkpoints
_ARRAYS = ("metagenes", "affinity", "noise", "proportions", "sizes")


@dataclass(frozen=True)
class Left:
    """Content of a checkpoint: parameters, states of all cells, and rows of the history."""

    metagenes: np.ndarray
    affinity: np.ndarray
    noise: float
    proportions: np.ndarray
    sizes: np.ndarray
    rows: list[dict[str, Any]]


class StaleCheckpointError(ArgumentError):
    """The checkpoint is intact but belongs to another fit."""


class Checkpoint:
    """The checkpoint of one fit, which no other fit can use within its ``with`` block.

    Parameters
    ----------
    path : path or None
        The file, in an existing folder. Without a path, nothing is read or written.
    parameters : dict
        Parameters of the estimator.
    samples : Samples
        Data of the fit.

    Raises
    ------
    FileNotFoundError
        The folder of the file does not exist.
    ValueError
        ``random_state`` is a Generator, whose state a resumed fit cannot restore.
    """

    def __init__(self, path: str | os.PathLike | None, parameters: Mapping[str, Any], samples: Samples):
        self.path = None if path is None else Path(path)
        self._last = time.monotonic()
        if self.path is None:
            return
        if not self.path.absolute().parent.is_dir():
            raise FileNotFoundError(f"The folder of the checkpoint {self.path} does not exist. Create it first.")
        if isinstance(parameters["random_state"], np.random.Generator):
            raise ValueError("A fit with a checkpoint cannot use a Generator as random_state. Use an integer.")
        self._fingerprint = fingerprint(parameters, samples)

    def __enter__(self) -> Self:
        self._reserved = reserved(self.path)
        self._reserved.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._reserved.__exit__(*error)

    def read(self) -> Left | None:
        """Content of the file, or None if it does not exist.

        Raises
        ------
        ValueError
            The file is not an intact checkpoint, or belongs to another fit.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with open_hdf5(self.path) as file:
                if file.attrs.get("format") != np.bytes_(FORMAT) or file.attrs["version"] != VERSION:
                    raise ValueError(f"The format is not {FORMAT} {VERSION}.")
                written_by = file.attrs["fingerprint"].decode()
                arrays = {name: file[name][...] for name in _ARRAYS}
                history = {name: file["history"][name][...] for name in json.loads(file.attrs["columns"])}
            if not all(np.isfinite(array).all() for array in arrays.values()):
                raise ValueError("It holds values that are not finite.")
            left = Left(**arrays | {"noise": arrays["noise"][0]}, rows=pd.DataFrame(history).to_dict("records"))
        except (AttributeError, IndexError, OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path} is not an intact checkpoint ({first_line(error)}). Remove it, or choose "
                             "another file.") from error
        if written_by != self._fingerprint:
            raise StaleCheckpointError(f"{self.path} is stale: it is the checkpoint of a fit with other data, other "
                                       "parameters or another version of the package.",
                                       "Remove it, or choose another file.")
        return left

    def save(self, theta, cells, rows: list[dict[str, Any]], *, now: bool = False) -> None:
        """Write the file if ``now`` is true or the last time was at least ``SECONDS`` ago.

        Parameters
        ----------
        theta
            Parameters of the model, with ``metagenes``, ``affinity`` and ``noise``.
        cells
            Cells of the fit, whose ``states`` are their proportions and sizes.
        rows : list of dict
            Rows of the history.
        now : bool, default=False
            Write in any case.
        """
        if self.path is None or not (now or time.monotonic() - self._last >= SECONDS):
            return
        arrays = theta.metagenes, theta.affinity, np.array([theta.noise]), *cells.states
        history = pd.DataFrame(rows)
        with replacing(self.path) as temporary, hdf5_in_memory(temporary) as file:
            texts = {"format": FORMAT, "fingerprint": self._fingerprint, "columns": json.dumps(list(history.columns))}
            file.attrs.update({name: np.bytes_(text) for name, text in texts.items()}, version=VERSION)
            for name, array in zip(_ARRAYS, arrays, strict=True):
                file.create_dataset(name, data=array, chunks=True, fletcher32=True)
            for name, column in history.items():
                file.create_dataset(f"history/{name}", data=column.to_numpy(), chunks=True, fletcher32=True)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file, and temporary files that a killed process has left next to it.

        Within :func:`spicemix_core.files.removal.until_saved`, they are removed at the end of its block.
        """
        if self.path is not None:
            once_saved(self._remove)

    def _remove(self):
        self.path.unlink(missing_ok=True)
        clear_partials(Path(os.path.realpath(self.path)))


def fingerprint(parameters: Mapping[str, Any], samples: Samples) -> str:
    """SHA-256 of the estimator's parameters, the version of this package, and all expression and neighbours."""
    described = json.dumps([version("spicemix-core"), parameters], default=str, sort_keys=True)
    digest = hashlib.sha256(described.encode())
    for y in (*samples.expressions, samples.graph):
        digest.update(f"{y.shape} {y.dtype}".encode())
        digest.update(_digest(y))
    return digest.hexdigest()


def _digest(matrix):
    """Of the numbers of entries of all rows, their columns and their values, or of the values of a dense array.

    It is the same for a matrix in memory and for one that is read in blocks of any size.
    """
    parts = [hashlib.sha256() for _ in range(3)]
    for _, block in pieces(matrix):
        for start in range(0, block.shape[0], ROWS):
            rows = block[start : start + ROWS]
            sparse = sp.issparse(rows)
            arrays = (np.diff(rows.indptr).astype(np.int64), rows.indices.astype(np.int64), rows.data) if sparse else (
                rows,)
            for part, array in zip(parts, arrays, strict=False):
                part.update(np.ascontiguousarray(array).data)
    return b"".join(part.digest() for part in parts)
