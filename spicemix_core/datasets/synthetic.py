"""The text layout and the result files of the SpiceMix authors' own programs, and their simulated cortices."""

import anndata
import numpy as np

from spicemix_core.datasets.registry import locate, source
from spicemix_core.exchange.authors_format import (
    SpiceMixResult,
    load_spicemix_directory,
    read_spicemix_result,
    read_table,
)


def load_synthetic_cortex(samples=(0, 1, 2, 3), *, download: bool = True) -> anndata.AnnData:
    """The authors' simulated cortex: 500 cells x 100 genes per field, 8 types.

    See :func:`load_spicemix_directory` for the schema; ``uns["source"]["measured"]`` is False.
    """
    layout, folder = locate("synthetic_cortex", download)
    adata = load_spicemix_directory(folder, samples)
    adata.uns["source"] = source("synthetic_cortex", layout)
    return adata


def load_synthetic_truth(samples=(0, 1, 2, 3), *, download: bool = True) -> anndata.AnnData:
    """A second simulated cortex of the authors, with its truth.

    As :func:`load_synthetic_cortex`, plus ``varm["true_metagenes"]`` (100 x 13, columns sum to 1) and
    ``obsm["true_latent_states"]`` (n_cells x 13).
    """
    layout, folder = locate("synthetic_truth", download)
    adata = load_spicemix_directory(folder, samples)
    adata.uns["source"] = source("synthetic_truth", layout)
    metagenes = read_table(folder / "truth_M.txt", (adata.n_vars, None))
    states = [read_table(folder / f"truth_X_{sample}.txt", (None, metagenes.shape[1])) for sample in samples]
    adata.varm["true_metagenes"] = metagenes
    adata.obsm["true_latent_states"] = np.concatenate(states)
    return adata


def load_synthetic_cortex_nmf(*, download: bool = True) -> SpiceMixResult:
    """The authors' stored NMF run on fields 0-3 of their simulated cortex (K = 10, 100 iterations, seed 4)."""
    _, folder = locate("synthetic_cortex_nmf", download)
    return read_spicemix_result(folder / "NMF_nFOVs4_K10_rs4_NMF.h5")
