r"""The steps that visit every cell on a device of PyTorch, a GPU or the processor: the same mathematics in batches.

All waiting cells of one colour are updated at once. Data in single precision stay so on the device, and their products
are made in single precision (dense data: added up in double over batches of cells); all else is in double precision.
What is small, the metagenes and the Hessian of the affinity, stays on the processor. PyTorch is imported by the modules
of this name alone, and they only when a device is asked for.
"""

import warnings

import numpy as np
import scipy.sparse as sp
import torch

from spicemix_core.backends.torch_series import log_integral_and_mean
from spicemix_core.backends.torch_states import update_cells
from spicemix_core.cells import Part

ROWS = 65_536  # cells of a batch


def check_device(device):
    """Raise ValueError for a device that PyTorch does not know, this machine does not have, or without doubles."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); choose 'cpu', or None "
                         "for the compiled code without PyTorch") from error


class TorchSamples:
    """:class:`spicemix_core.samples.Samples` with the data, its products and the graph on a device."""

    def __init__(self, samples, device):
        self.device = device
        self.scaling, self.offsets = samples.scaling, samples.offsets
        self.expressions = [self._place(y) for y in samples.expressions]
        self.transposed = [self._place(sp.csr_array(y.T)) if sp.issparse(y) else None for y in samples.expressions]
        self.graph = self._place(samples.graph)
        self.colors = [(torch.as_tensor(cells, device=device), self._place(samples.graph[cells]))
                       for cells in samples.colors]

    def tensor(self, array, dtype=torch.float64):
        return torch.as_tensor(array, dtype=dtype, device=self.device)

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


def update_latent_states(gram, linear, affinity, graph, proportions, sizes, *, state_penalty, colors):
    """As :func:`spicemix_core.latent_states.update_latent_states`; graph and colours are those of `TorchSamples`."""
    gram, affinity = (torch.as_tensor(small, device=linear.device) for small in (gram, affinity))
    proportions, sizes = proportions.clone(), sizes.clone()
    n_sweeps = update_cells(colors, graph, gram, linear, affinity, float(state_penalty), proportions, sizes)
    return proportions, sizes, n_sweeps


class TorchPart(Part):
    """A :class:`spicemix_core.cells.Part` whose iterations are on a device; its initialisation is on the processor."""

    def __init__(self, samples, first_cells, device):
        check_device(device)
        super().__init__(samples, first_cells, update=update_latent_states)
        self.data = TorchSamples(samples, torch.device(device))

    def update_states(self, metagenes, affinity, noise, state_penalty):
        self.proportions, self.sizes = self.data.tensor(self.proportions), self.data.tensor(self.sizes)
        return super().update_states(metagenes, affinity, noise, state_penalty)

    def affinity_value(self, affinity):
        fields = self._neighbor_sums @ self.data.tensor(affinity)
        log_integral = log_integral_and_mean(fields, with_mean=False)[0]
        return float((self.proportions * fields).sum() + log_integral.sum())

    def affinity_sums(self, affinity, spacing):
        """Over all cells on the device; few cells, as the curvature, on the processor."""
        if spacing > 1:
            return super().affinity_sums(affinity, spacing)
        fields = self._neighbor_sums @ self.data.tensor(affinity)
        log_integral, mean = log_integral_and_mean(fields)
        excess = (self.proportions - mean).T @ self._neighbor_sums
        return float((self.proportions * fields).sum() + log_integral.sum()), excess.cpu().numpy()

    def _every(self, spacing):
        return tuple(few.cpu().numpy() for few in super()._every(spacing))

    def get_states(self):
        return tuple(torch.as_tensor(states).cpu().numpy() for states in super().get_states())
