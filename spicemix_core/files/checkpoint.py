"""The state of a fit in a file, so that a fit that was killed goes on from there and ends at the same numbers.

An HDF5 file holds the parameters and the states after an iteration, the rows of the history, and a digest of the data
and of the estimator's parameters. It is written whole or not at all, with checksums, and taken only for the same data
and parameters. An iteration depends on nothing else, so the numbers are those of an undisturbed fit, bit for bit, on
the same kind of machine.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.files.atomic import replacing
from spicemix_core.files.damaged import open_hdf5
from spicemix_core.version import __version__

FORMAT, VERSION = "spicemix-checkpoint", 1


SECONDS = 30.0  # between two checkpoints
_ARRAYS = ("metagenes", "affinity", "noise", "proportions", "sizes")


@dataclass(frozen=True)
class Left:
    """What a checkpoint holds: the parameters, the states of all cells, and the rows of the history."""

    metagenes: np.ndarray
    affinity: np.ndarray
    noise: float
    proportions: np.ndarray
    sizes: np.ndarray
    rows: list


class Checkpoint:
    """The checkpoint of one fit; nothing is kept if ``path`` is ``None``.

    Parameters
    ----------
    path : path or None
        The file need not exist, its folder must.
    parameters : dict
        Of the estimator.
    samples : spicemix_core.samples.Samples

    Raises
    ------
    ValueError
        The folder is missing, or ``random_state`` is a generator, whose state a fit that goes on could not restore.
    """

    def __init__(self, path, parameters, samples):
        self.path, self._last = None if path is None else Path(path), time.monotonic()
        if path is None:
            return
        if not self.path.parent.is_dir():
            raise ValueError(f"the folder of the checkpoint {self.path} does not exist; make it first")
        if isinstance(parameters["random_state"], np.random.Generator):
            raise ValueError("a fit with a checkpoint needs a whole number as random_state, not a generator")
        self._digest = fingerprint(parameters, samples)

    def read(self):
        """What is in the file, or ``None`` if there is none.

        Raises
        ------
        ValueError
            The file is not a whole checkpoint, or one of another fit.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with open_hdf5(self.path) as file:
                if file.attrs.get("format") != np.bytes_(FORMAT) or file.attrs["version"] != VERSION:
                    raise ValueError(f"not of the format {FORMAT} {VERSION}")
                digest = file.attrs["fingerprint"].decode()
                arrays = {name: file[name][...] for name in _ARRAYS}
                rows = pd.DataFrame({name: file["history"][name][...] for name in json.loads(file.attrs["columns"])})
        except (AttributeError, OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path} is not a whole checkpoint ({error}); remove it, or name another file"
                             ) from error
        if digest != self._digest:
            raise ValueError(f"{self.path} is the checkpoint of a fit of other data, with other parameters or by "
                             "another version; remove it, or name another file")
        return Left(**arrays | {"noise": arrays["noise"][0]}, rows=rows.to_dict("records"))

    def save(self, theta, cells, rows, *, now=False):
        """Write the file if ``now`` or if the last time is ``SECONDS`` ago."""
        if self.path is None or not (now or time.monotonic() - self._last >= SECONDS):
            return
        arrays = theta.metagenes, theta.affinity, np.array([theta.noise]), *cells.states
        table = pd.DataFrame(rows)
        with replacing(self.path) as temporary, h5py.File(temporary, "w") as file:
            texts = {"format": FORMAT, "fingerprint": self._digest, "columns": json.dumps(list(table.columns))}
            file.attrs.update({name: np.bytes_(text) for name, text in texts.items()}, version=VERSION)
            for name, array in zip(_ARRAYS, arrays, strict=True):
                file.create_dataset(name, data=array, chunks=True, fletcher32=True)
            for name, column in table.items():
                file.create_dataset(f"history/{name}", data=column.to_numpy(), chunks=True, fletcher32=True)
        self._last = time.monotonic()

    def remove(self):
        """Remove the file, and what a killed process may have left half-written beside it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            for partial in self.path.parent.iterdir():
                if partial.name.startswith(f"{self.path.name}.") and partial.suffix == ".partial":
                    partial.unlink()


def fingerprint(parameters, samples):
    """sha256 of the estimator's parameters, the version of this package, and all expression and neighbours."""
    digest = hashlib.sha256(json.dumps([__version__, parameters], default=str, sort_keys=True).encode())
    for y in (*samples.expressions, samples.graph):
        digest.update(f"{y.shape} {y.dtype}".encode())
        for array in ((y.indptr, y.indices, y.data) if sp.issparse(y) else (y,)):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
