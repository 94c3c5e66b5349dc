"""Analyses of a fitted AnnData object, each one call: results go into it in forms that ``write_h5ad`` can store.

``SpiceMix.fit`` leaves states in ``obsm["X_spicemix"]``, metagenes in ``varm["metagenes"]`` and the affinity in
``uns["spicemix"]``. Each function here writes what it finds to ``obs``, ``obsm`` or, as a table and the settings behind
it, to ``uns["spicemix"][its name]``, and returns it; the function of the same name in :mod:`spicemix_core.pl` draws it.
A new fit removes the results of the one before from ``uns``.
"""

from spicemix_core.tl.cell_type_affinity import type_affinity
from spicemix_core.tl.clustering import cluster
from spicemix_core.tl.differential_expression import markers
from spicemix_core.tl.embedding import umap, umap_embedding
from spicemix_core.tl.matching import agreement
from spicemix_core.tl.overrepresentation import enrichment, metagene_genes, read_gmt

__all__ = ["agreement", "cluster", "enrichment", "markers", "metagene_genes", "read_gmt", "type_affinity", "umap",
           "umap_embedding"]


def __dir__():
    return __all__
