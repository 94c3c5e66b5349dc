"""Measured data or, without their files, synthetic twins.

``adata.uns["source"]["measured"]`` says which of the two was returned; chapters print a warning if it is False.
"""

import anndata

from spicemix_core.datasets.registry import DataNotFoundError, entry, registry_path
from spicemix_core.datasets.seqfish_plus import load_seqfish_plus
from spicemix_core.datasets.starmap import layers_by_depth, load_starmap
from spicemix_core.datasets.twin import load_twin, sample_twin
from spicemix_core.datasets.visium import load_layered_twin, load_visium_dlpfc, sample_layered_twin

TWINS = {"seqfish_plus": "twin_seqfish_plus.npz", "starmap": "twin_starmap.npz"}
LAYERED_TWIN = "twin_visium_dlpfc.npz"


def load_or_simulate_seqfish_plus(*, genes: str = "modelled", download: bool = True, random_state: int = 0,
                                  ) -> anndata.AnnData:
    """seqFISH+ (:func:`load_seqfish_plus`) or, if its files are not found, its synthetic twin of the same shape.

    Parameters
    ----------
    genes : {"modelled", "all"}
        See :func:`load_seqfish_plus`. ``"all"`` genes of the twin are the modelled genes and the markers that the book
        shows.
    download : bool
        Whether the files may be downloaded if no folder holds them.
    random_state : int
        Seed of the twin.

    Returns
    -------
    AnnData
        ``uns["source"]["measured"]`` is False for the twin. It has the columns of ``obs`` of the original and its own
        truth in ``obs["true_type"]``, ``obsm["true_latent_states"]`` and ``varm["true_metagenes"]``.

    Raises
    ------
    ValueError
        If a file of the original is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> adata = datasets.load_or_simulate_seqfish_plus(download=False)
    >>> adata.shape
    (523, 2470)
    """
    try:
        return load_seqfish_plus(genes=genes, download=download)
    except DataNotFoundError as missing:
        return _twin("seqfish_plus", missing, genes, random_state)


def load_or_simulate_starmap(*, download: bool = True, random_state: int = 0) -> anndata.AnnData:
    """STARmap (:func:`load_starmap`) or, if its files are not found, its synthetic twin of the same shape.

    Parameters
    ----------
    download : bool
        Whether the files may be downloaded if no folder holds them.
    random_state : int
        Seed of the twin.

    Returns
    -------
    AnnData
        See :func:`load_or_simulate_seqfish_plus`.

    Raises
    ------
    ValueError
        If a file of the original is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> adata = datasets.load_or_simulate_starmap(download=False)
    >>> adata.shape
    (930, 1020)
    """
    try:
        return load_starmap(download=download)
    except DataNotFoundError as missing:
        adata = _twin("starmap", missing, "modelled", random_state)
        adata.obs["layer"] = layers_by_depth(adata.obsm["spatial"][:, 0])
        return adata


def load_or_simulate_visium_dlpfc(*, download: bool = True, random_state: int = 0) -> anndata.AnnData:
    """Two Visium sections (:func:`load_visium_dlpfc`) or, if their files are not found, their synthetic twin.

    Parameters
    ----------
    download : bool
        Whether the files may be downloaded if no folder holds them.
    random_state : int
        Seed of the twin.

    Returns
    -------
    AnnData
        ``uns["source"]["measured"]`` is False for the twin: spots of a lattice with as many spots of each layer, whose
        counts are drawn around the mean profile of the layer. It has the columns of ``obs`` of the original.

    Raises
    ------
    ValueError
        If a file of the original is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> adata = datasets.load_or_simulate_visium_dlpfc(download=False)
    >>> adata.n_vars
    1125
    """
    try:
        return load_visium_dlpfc(download=download)
    except DataNotFoundError as missing:
        adata = sample_layered_twin(load_layered_twin(registry_path().with_name(LAYERED_TWIN)), random_state)
        adata.uns["source"] = _source_of_twin("visium_dlpfc", missing, adata)
        return adata


def unmeasured_warning() -> str:
    """Warning, in MyST markdown, that a page on a twin prints first.

    Returns
    -------
    str

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> datasets.unmeasured_warning().splitlines()[0]
    ':::{warning}'
    """
    return (":::{warning}\n**These are not measurements.** The data files were not found, so this page was made from a "
            "*synthetic twin*: as many cells, with the same genes, drawn from a model that was once fitted to the "
            "data. The text was written for the measurements and may not fit the twin. Nothing here is evidence about "
            "the brain, and no claim of the paper is evaluated. But the twin's truth is known; a table below says how "
            "much of it is found.\n:::")


def _twin(name: str, missing: DataNotFoundError, genes: str, random_state) -> anndata.AnnData:
    adata = sample_twin(load_twin(registry_path().with_name(TWINS[name])), genes=genes, random_state=random_state)
    adata.uns["source"] = _source_of_twin(name, missing, adata)
    return adata


def _source_of_twin(name, missing, adata) -> dict:
    original = entry(name)
    return {
        "name": f"{name}_twin", "measured": False,
        "title": f"Synthetic twin ({adata.n_obs} cells x {adata.n_vars:,} genes) of {original['title']}",
        "citation": original["citation"], "stands_for": name, "reason": str(missing),
        "licence": f"Fitted parameters without a measurement; of the data behind them: {original['licence']}"}
