r"""Cells on a PyTorch device, a GPU or the processor: the same mathematics in batches.

All waiting cells of one colour are updated at once. Single-precision data stay in single precision on the device, and
so do their products (those of dense data are added in double precision over batches of cells); everything else is in
double precision. Small problems, the metagenes and the Hessian of the affinity, stay on the processor. Only the modules
``torch_*`` import PyTorch, and they are imported only if a device is requested.
"""

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from spicemix_core.backends.torch_series import log_integral_and_mean
from spicemix_core.backends.torch_states import update_cells
from spicemix_core.cells import StateSums
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.local_cells import LocalCells
from spicemix_core.samples import Samples

ROWS = 65_536  # cells of a batch


def check_device(device: str) -> None:
    """Raise ValueError if PyTorch does not know the device, or it is missing or has no double precision."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ArgumentError(f"device {device!r} cannot be used here ({str(error).splitlines()[0].rstrip('.')}).",
                            "Choose 'cpu', or leave {device} out for the compiled code without PyTorch.",
                            "device") from error


class TorchSamples:
    """The data, the products and the graph of :class:`spicemix_core.samples.Samples` on a device."""

    def __init__(self, samples: Samples, device: torch.device) -> None:
        self.device = device
        self.scaling, self.offsets = samples.scaling, samples.offsets
        self.expressions = [self._place(y) for y in samples.expressions]
        self.transposed = [self._place(sp.csr_array(y.T)) if sp.issparse(y) else None for y in samples.expressions]
        self.graph = self._place(samples.graph)
        self.colors = [(torch.as_tensor(cells, device=device), self._place(samples.graph[cells]))
                       for cells in samples.colors]

    def tensor(self, array: np.ndarray, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """The array on the device."""
        return torch.as_tensor(array, dtype=dtype, device=self.device)

    def _place(self, y):
        if not sp.issparse(y):
            return torch.as_tensor(y, device=self.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            parts = (torch.as_tensor(part, device=self.device) for part in (y.indptr.astype(np.int64),
                                                                           y.indices.astype(np.int64), y.data))
            return torch.sparse_csr_tensor(*parts, size=y.shape, check_invariants=True)

    def times_metagenes(self, metagenes: np.ndarray) -> torch.Tensor:
        """Scaled Y M of all cells, shape (N, K)."""
        parts = []
        for y, c in zip(self.expressions, self.scaling, strict=True):
            columns = self.tensor(c * metagenes, y.dtype)
            parts.append((y @ columns).double())
        return torch.cat(parts)

    def times_states(self, states: torch.Tensor) -> np.ndarray:
        """Scaled Y'X summed over samples, shape (G, K); single precision is used within batches only."""
        total: Any = 0.0
        for i, (y, c) in enumerate(zip(self.expressions, self.scaling, strict=True)):
            rows = states[self.offsets[i] : self.offsets[i + 1]].to(y.dtype)
            if self.transposed[i] is not None:
                total = total + c * (self.transposed[i] @ rows).double()
            else:
                for a in range(0, len(y), ROWS):
                    total = total + c * (y[a : a + ROWS].T @ rows[a : a + ROWS]).double()
        return total.cpu().numpy()

    def gram(self, states: torch.Tensor) -> np.ndarray:
        """X'X, shape (K, K)."""
        return (states.T @ states).cpu().numpy()

    def neighbor_sums(self, proportions: torch.Tensor) -> torch.Tensor:
        r""":math:`\nu_i = \sum_{j \in N(i)} z_j`, shape (N, K)."""
        return self.graph @ proportions

    def pair_sums(self, proportions: torch.Tensor, neighbor_sums: torch.Tensor) -> np.ndarray:
        r""":math:`\sum_i z_i \nu_i^\top`, shape (K, K)."""
        return (proportions.T @ neighbor_sums).cpu().numpy()


def update_latent_states(gram: np.ndarray, linear: torch.Tensor, affinity: np.ndarray, graph: torch.Tensor,
                         proportions: torch.Tensor, sizes: torch.Tensor, *, state_penalty: float,
                         colors: list) -> tuple[torch.Tensor, torch.Tensor, int]:
    """:func:`spicemix_core.latent_states.update_latent_states`, with graph and colours of :class:`TorchSamples`."""
    gram, affinity = (torch.as_tensor(small, device=linear.device) for small in (gram, affinity))
    proportions, sizes = proportions.clone(), sizes.clone()
    n_sweeps = update_cells(colors, graph, gram, linear, affinity, float(state_penalty), proportions, sizes)
    return proportions, sizes, n_sweeps


class TorchCells(LocalCells):
    """Cells whose iterations run on a device; their initialisation runs on the processor.

    Parameters
    ----------
    samples, first_cells, states
        As for :class:`spicemix_core.local_cells.LocalCells`.
    device : str

    Raises
    ------
    ValueError
        If the device cannot be used.
    """

    def __init__(self, samples: Samples, first_cells: list[int] | None = None, *, states: tuple | None = None,
                 device: str) -> None:
        check_device(device)
        super().__init__(samples, first_cells, states=states, update=update_latent_states)
        self.data = TorchSamples(samples, torch.device(device))

    @property
    def states(self) -> tuple[np.ndarray, np.ndarray]:
        """Proportions (N, K) and sizes (N,), as arrays."""
        return tuple(torch.as_tensor(states).cpu().numpy() for states in (self.proportions, self.sizes))

    def update_states(self, metagenes: np.ndarray, affinity: np.ndarray, noise: float,
                      state_penalty: float) -> StateSums:
        """See :meth:`spicemix_core.cells.Cells.update_states`."""
        self.proportions, self.sizes = self.data.tensor(self.proportions), self.data.tensor(self.sizes)
        return super().update_states(metagenes, affinity, noise, state_penalty)

    def affinity_sums(self, affinity: np.ndarray, order: int, spacing: int = 1) -> tuple:
        """See :meth:`spicemix_core.cells.Cells.affinity_sums`; few cells, and order 2, are left to the processor."""
        if spacing > 1 or order == 2:
            return super().affinity_sums(affinity, order, spacing)
        fields = self._neighbor_sums @ self.data.tensor(affinity)
        log_integral, mean = log_integral_and_mean(fields, with_mean=order == 1)
        value = float((self.proportions * fields).sum() + log_integral.sum())
        return (value,) if order == 0 else (
            value, ((self.proportions - mean).T @ self._neighbor_sums).cpu().numpy())

    def _every(self, spacing):
        return tuple(few.cpu().numpy() for few in super()._every(spacing))
