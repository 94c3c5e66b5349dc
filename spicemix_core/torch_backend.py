r"""The steps that visit every cell on a device of PyTorch, a GPU or the processor: the same mathematics in batches.

All waiting cells of one colour are updated at once. Data in single precision stay so on the device, and their products
are made in single precision (dense data: added up in double over batches of cells); all else is in double precision.
What is small, the metagenes and the Hessian of the affinity, stays on the processor. PyTorch is imported by the modules
of this name alone, and they only when a device is asked for.
"""

import warnings
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch

from spicemix_core import affinity as affinity_module
from spicemix_core.affinity import SUBSET
from spicemix_core.torch_series import log_integral_and_mean
from spicemix_core.torch_states import update_cells

ROWS = 65_536  # cells of a batch


def check_device(device):
    """Raise ValueError for a device that PyTorch does not know or this machine does not have."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); choose 'cpu', or None "
                         "for the compiled code without PyTorch") from error


def place(samples, state, device):
    """``samples`` as :class:`TorchSamples`, and ``state`` with its arrays of all cells on the device."""
    on_device = TorchSamples(samples, torch.device(device))
    cells = {name: on_device.tensor(getattr(state, name)) for name in ("proportions", "sizes")}
    return on_device, replace(state, **cells)


class TorchSamples:
    """:class:`spicemix_core.samples.Samples` with the data, its products and the graph on a device."""

    def __init__(self, samples, device):
        self.device = device
        self.scaling, self.split_rows = samples.scaling, samples.split
        self.n_directed_edges, self.n_entries = samples.n_directed_edges, samples.n_entries
        self.sum_of_squares = samples.sum_of_squares
        self.offsets = samples.offsets
        self.expressions = [self._place(y) for y in samples.expressions]
        self.transposed = [self._place(sp.csr_array(y.T)) if sp.issparse(y) else None for y in samples.expressions]
        self.graph = self._place(samples.graph)
        self.colors = [(torch.as_tensor(cells, device=device), self._place(samples.graph[cells]))
                       for cells in samples.colors]

    def tensor(self, array, dtype=torch.float64):
        return torch.as_tensor(np.asarray(array), dtype=dtype, device=self.device)

    def _place(self, y):
        if not sp.issparse(y):
            return torch.as_tensor(y, device=self.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            parts = (torch.as_tensor(part, device=self.device) for part in (y.indptr.astype(np.int64),
                                                                           y.indices.astype(np.int64), y.data))
            return torch.sparse_csr_tensor(*parts, size=y.shape, check_invariants=True)

    def times_metagenes(self, metagenes):
        """Scaled Y M of all cells, a tensor (N, K)."""
        parts = []
        for y, c in zip(self.expressions, self.scaling, strict=True):
            columns = self.tensor(c * metagenes, y.dtype)
            parts.append((y @ columns).double())
        return torch.cat(parts)

    def times_states(self, states):
        """Scaled Y'X summed over samples, an array (G, K). Single-precision data are summed within batches only."""
        total = 0.0
        for i, (y, c) in enumerate(zip(self.expressions, self.scaling, strict=True)):
            rows = states[self.offsets[i] : self.offsets[i + 1]].to(y.dtype)
            if self.transposed[i] is not None:
                total = total + c * (self.transposed[i] @ rows).double()
            else:
                for a in range(0, len(y), ROWS):
                    total = total + c * (y[a : a + ROWS].T @ rows[a : a + ROWS]).double()
        return total.cpu().numpy()

    def gram(self, states):
        """X'X, an array (K, K)."""
        return (states.T @ states).cpu().numpy()

    def neighbor_sums(self, proportions):
        return self.graph @ proportions

    def pair_sums(self, proportions, neighbor_sums):
        """:math:`\\sum_i z_i \\nu_i^\\top`, an array (K, K)."""
        return (proportions.T @ neighbor_sums).cpu().numpy()

    def split(self, rows):
        return self.split_rows(rows.cpu().numpy())


def update_latent_states(gram, linear, affinity, graph, proportions, sizes, *, state_penalty, colors):
    """As :func:`spicemix_core.latent_states.update_latent_states`; graph and colours are those of `TorchSamples`."""
    gram, affinity = (torch.as_tensor(small, device=linear.device) for small in (gram, affinity))
    proportions, sizes = proportions.clone(), sizes.clone()
    n_sweeps = update_cells(colors, graph, gram, linear, affinity, float(state_penalty), proportions, sizes)
    return proportions, sizes, n_sweeps


def affinity_objective(affinity, proportions, neighbor_sums, n_directed_edges, penalty):
    """As :func:`spicemix_core.affinity.affinity_objective`."""
    fields = neighbor_sums @ torch.as_tensor(affinity, device=neighbor_sums.device)
    log_integral = log_integral_and_mean(fields, with_mean=False)[0]
    value = ((proportions * fields).sum() + log_integral.sum()) / n_directed_edges
    return float(value) + 0.5 * penalty * (affinity**2).sum()


def update_affinity(affinity, proportions, neighbor_sums, n_directed_edges, *, penalty, tol=1e-12):
    """As :func:`spicemix_core.affinity.update_affinity`; the warm-up and the Hessian, of few cells, are made there."""
    spacing = max(1, len(proportions) // SUBSET)
    few = (t[::spacing].cpu().numpy() for t in (proportions, neighbor_sums))
    subset = (*few, n_directed_edges / spacing, penalty)
    if spacing > 1:
        affinity = affinity_module.update_affinity(affinity, *subset[:3], penalty=penalty, tol=1e-6)

    def value_and_gradient(S):
        fields = neighbor_sums @ torch.as_tensor(S, device=neighbor_sums.device)
        log_integral, mean = log_integral_and_mean(fields)
        value = ((proportions * fields).sum() + log_integral.sum()) / n_directed_edges
        excess = (proportions - mean).T @ neighbor_sums / n_directed_edges
        return affinity_module.add_penalty(float(value), excess.cpu().numpy(), S, penalty)

    return affinity_module.newton(affinity, value_and_gradient, subset, tol=tol)
