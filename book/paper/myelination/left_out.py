r"""States of the cells without some of the genes: what a model says of a cell if it may not see what is to be tested.

A gene that is regressed on states which were fitted to the same gene can look related to them for that reason alone.
With the parameters fixed, the genes' rows of M and columns of Y are dropped and the states solved anew: the energy of
:mod:`spicemix_core.latent_states` (book ``eq-states``) with :math:`\sum_{g \in \mathrm{kept}}` in place of the sum over
all genes. M itself was fitted with the genes; a fit without them removes that too.
"""

import numpy as np
import pandas as pd

from paper.myelination.cells import two_metagenes
from paper.myelination.trajectory import correct, regress
from spicemix_core.inputs.anndata import expression_frame, read_samples
from spicemix_core.numerics.progress import progress
from spicemix_core.runs.held_out import states_without


def regress_left_out(model, adata, opposition, genes, *, sample_key=None,
                     graph_key="spatial_connectivities") -> pd.DataFrame:
    """Regress each gene on the trajectory of two metagenes among cells whose states were solved without that gene.

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
