r"""States of the cells without the gene that is tested.

A gene that is regressed on states can look related to them only because they were fitted to it. Here the parameters
stay fixed, the gene's row of M and column of Y are left out, and the states are solved again: they minimise the energy
of :mod:`spicemix_core.latent_states` (book ``eq-states``) with :math:`\sum_{g \in \mathrm{kept}}` in place of the sum
over all genes. M itself was fitted with the gene; only a fit without the gene removes that influence too.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from paper.myelination.cells import Opposition, two_metagenes
from paper.myelination.trajectory import correct, regress
from spicemix_core import SpiceMix
from spicemix_core.inputs import expression_frame
from spicemix_core.inputs.anndata import read_samples
from spicemix_core.numerics.progress import progress
from spicemix_core.runs.held_out import states_without


def regress_left_out(model: SpiceMix, adata: AnnData, opposition: Opposition, genes: Sequence[str], *,
                     sample_key: str | None = None, graph_key: str = "spatial_connectivities") -> pd.DataFrame:
    """Regress each gene on the trajectory of two metagenes, with states that were solved without this gene.

    Parameters
    ----------
    model : SpiceMix
        Fitted to ``adata.X``.
    adata : AnnData
    opposition : paper.myelination.cells.Opposition
        Cells and metagenes.
    genes : list of str
    sample_key, graph_key
        As :meth:`spicemix_core.SpiceMix.fit`.

    Returns
    -------
    DataFrame
        As :func:`paper.myelination.trajectory.regress`.
    """
    expressions, graphs, rows = read_samples(adata, sample_key, graph_key if model.spatial else None, None)
    order, tables = np.argsort(np.concatenate(rows)), []
    for gene in progress(genes, "genes left out"):
        states = states_without(model, expressions, graphs, [adata.var_names.get_loc(gene)])
        alone = two_metagenes(np.concatenate(states)[order], opposition.cells, opposition.metagenes)
        values = expression_frame(adata[opposition.cells], [gene])
        tables.append(regress(values, alone.trajectory))
    return correct(pd.concat(tables))
