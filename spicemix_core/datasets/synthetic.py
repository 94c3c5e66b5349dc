"""The simulated cortices of the SpiceMix authors, and a result of their own program on one of them."""

from collections.abc import Iterable, Sequence

import anndata
import numpy as np

from spicemix_core.datasets.registry import locate, source
from spicemix_core.exchange.authors_format import (
    SpiceMixResult,
    load_spicemix_directory,
    read_spicemix_result,
    read_table,
)


def load_synthetic_cortex(samples: Iterable[str | int] = (0, 1, 2, 3), *, download: bool = True) -> anndata.AnnData:
    """The authors' simulated cortex: 500 cells x 100 genes per field, eight cell types.

    Parameters
    ----------
    samples : iterable of int
        Fields, in the order of the result.
    download : bool
        Whether the files may be downloaded if no folder holds them.

    Returns
    -------
    AnnData
        The fields of :func:`load_spicemix_directory`, and ``uns["source"]``.

    Raises
    ------
    DataNotFoundError
        If the files are in none of the folders and cannot be downloaded.
    ValueError
        If a file is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> if datasets.available("synthetic_cortex"):
    ...     adata = datasets.load_synthetic_cortex(samples=[0])
    ...     assert adata.shape == (500, 100)
    """
    layout, folder = locate("synthetic_cortex", download)
    adata = load_spicemix_directory(folder, samples)
    adata.uns["source"] = source("synthetic_cortex", layout)
    return adata


def load_synthetic_truth(samples: Sequence[str | int] = (0, 1, 2, 3), *, download: bool = True) -> anndata.AnnData:
    """A second simulated cortex of the authors, with its true metagenes and latent states.

    Parameters
    ----------
    samples : sequence of int
        Fields, in the order of the result.
    download : bool
        Whether the files may be downloaded if no folder holds them.

    Returns
    -------
    AnnData
        The fields of :func:`load_synthetic_cortex`, ``varm["true_metagenes"]`` (100 x 13, columns sum to 1) and
        ``obsm["true_latent_states"]`` (n_cells x 13).

    Raises
    ------
    DataNotFoundError
        If the files are in none of the folders and cannot be downloaded.
    ValueError
        If a file is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> if datasets.available("synthetic_truth"):
    ...     adata = datasets.load_synthetic_truth(samples=[0])
    ...     assert adata.varm["true_metagenes"].shape == (100, 13)
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
    """The authors' NMF result on fields 0-3 of their simulated cortex (K = 10, 100 iterations, seed 4).

    Parameters
    ----------
    download : bool
        Whether the file may be downloaded if no folder holds it.

    Returns
    -------
    SpiceMixResult

    Raises
    ------
    DataNotFoundError
        If the file is in none of the folders and cannot be downloaded.
    ValueError
        If the file is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> if datasets.available("synthetic_cortex_nmf"):
    ...     result = datasets.load_synthetic_cortex_nmf()
    ...     assert result.n_metagenes == 10
    """
    _, folder = locate("synthetic_cortex_nmf", download)
    return read_spicemix_result(folder / "NMF_nFOVs4_K10_rs4_NMF.h5")
