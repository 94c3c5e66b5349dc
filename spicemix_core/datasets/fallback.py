"""Simulated stand-ins with the schema of the measured data, for readers who do not have the files.

``adata.uns["source"]["measured"]`` says which of the two was returned; chapters print a banner where it is False.
"""

import anndata
import pandas as pd

from spicemix_core.datasets.registry import DataNotFoundError
from spicemix_core.datasets.seqfish_plus import load_seqfish_plus
from spicemix_core.datasets.starmap import load_starmap
from spicemix_core.simulation import simulate_cortex

COARSE_TYPES = {"eL1": "Excitatory neuron", "eL2": "Excitatory neuron", "eL3": "Excitatory neuron",
                "eL4": "Excitatory neuron", "Inh-1": "Interneuron", "Inh-2": "Interneuron",
                "Glial-1": "Glia", "Glial-2": "Glia"}


def load_or_simulate_seqfish_plus(*, download: bool = True, random_state=0) -> anndata.AnnData:
    """:func:`load_seqfish_plus`, or a simulated cortex of 5 x 105 cells x 200 genes with the same label columns.

    A file that is there but wrong still raises: only missing data are replaced.
    """
    try:
        return load_seqfish_plus(download=download)
    except DataNotFoundError as missing:
        return _stand_in("seqfish_plus", missing, n_samples=5, n_cells=105, random_state=random_state)


def load_or_simulate_starmap(*, download: bool = True, random_state=0) -> anndata.AnnData:
    """:func:`load_starmap`, or a simulated cortex of 930 cells x 200 genes with the same label columns."""
    try:
        return load_starmap(download=download)
    except DataNotFoundError as missing:
        return _stand_in("starmap", missing, n_samples=1, n_cells=930, random_state=random_state)


def _stand_in(name: str, missing: DataNotFoundError, **size) -> anndata.AnnData:
    adata = simulate_cortex(n_genes=200, **size)
    types = adata.obs["cell_type"].cat
    adata.obs["cluster"] = pd.Categorical((types.codes + 1).astype(str))
    adata.obs["coarse_type"] = adata.obs["cell_type"].map(COARSE_TYPES).astype("category")
    adata.obs["region"] = pd.Categorical(["simulated"] * adata.n_obs)
    adata.uns["source"] |= {"stands_for": name, "reason": str(missing)}
    return adata
