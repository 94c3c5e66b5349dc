"""The labelled data of the book as the rival methods get them, and the labels by which they are judged.

Types are the published or true classes of single cells, domains the layers. The data of `labelled_panel.py` are not
drawn again: the simulated cortices are those of its four scenarios, the first draw of each.
"""

from dataclasses import dataclass, field

import numpy as np
from labelled_panel import panel
from methods import hand_over
from scipy import sparse

from spicemix_core import datasets

PENALTY = 1e-4  # the default
VISIUM_PENALTY = 1e-6  # the authors' for these sections
# The section of STARmap has seven regions: the four layers with labels, and layer 1, white matter and hippocampus.
STARMAP_REGIONS = 7


@dataclass(frozen=True)
class Rivalry:
    """One data set.

    Attributes
    ----------
    name, column : str
        Its name, and the column of the table that it belongs to: that of its scenario, if it is simulated.
    load : function without arguments
        Returns the AnnData.
    n_metagenes, penalty : int, float
        Of SpiceMix, NMF and Popari.
    truth : dict of str to str
        Column of ``obs`` with the labels of each target.
    n_groups : dict of str to int
        Number of groups of a target if it is not the number of labels.
    """

    name: str
    column: str
    load: object
    n_metagenes: int
    truth: dict
    penalty: float = PENALTY
    n_groups: dict = field(default_factory=dict)


def rivalries():
    """All data sets by name, small ones first."""
    found = [Rivalry(data.name, data.name.rpartition("-")[0], data.load, data.n_metagenes,
                     {"types": "cell_type", "domains": "layer"})
             for data in panel() if data.kind == "cortex" and not data.held_out]
    for data in panel()[:4]:
        starmap = data.name == "starmap"
        found.append(Rivalry(data.name, data.name, data.load, data.n_metagenes,
                             {"types": "cell_type"} | ({"domains": "layer"} if starmap else {}),
                             n_groups={"domains": STARMAP_REGIONS} if starmap else {}))
    found.append(Rivalry("visium_dlpfc", "visium_dlpfc", datasets.load_visium_dlpfc, 10, {"domains": "layer"},
                         VISIUM_PENALTY))
    return {data.name: data for data in found}


def labels_of(data, adata):
    """Labels of each target, missing ones as ``None``."""
    return {target: adata.obs[column].astype(object).where(adata.obs[column].notna(), None).to_numpy()
            for target, column in data.truth.items()}


def numbers_of_groups(data, truth):
    """Number of groups of each target, from its labels unless the data set says otherwise."""
    return {target: data.n_groups.get(target, len(set(labels) - {None})) for target, labels in truth.items()}


def give(data, path):
    """Write the data file of a data set: everything but its labels."""
    adata = data.load()
    facts = {"n_groups": numbers_of_groups(data, labels_of(data, adata)), "n_metagenes": data.n_metagenes,
             "penalty": data.penalty, "lattice": data.name == "visium_dlpfc"}
    counts = adata.layers.get("counts")
    hand_over.write_data(path, expression=dense(adata.X), counts=None if counts is None else dense(counts),
                         positions=adata.obsm["spatial"], samples=adata.obs["sample"].astype(str),
                         graph=sparse.csr_matrix(adata.obsp["spatial_connectivities"]), facts=facts)


def dense(values):
    return values.toarray() if sparse.issparse(values) else np.asarray(values)
