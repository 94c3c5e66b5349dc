"""Analyses of a fit.

The first group of functions takes an AnnData object that :meth:`spicemix_core.SpiceMix.fit` has fitted. Its states are
in ``obsm["X_spicemix"]``, its metagenes in ``varm["metagenes"]`` and its affinity in ``uns["spicemix"]``. Each function
returns its result and writes it to ``obs``, to ``obsm`` or, as a table with its settings, to
``uns["spicemix"][<name of the function>]``, in forms that ``write_h5ad`` can store. The function of the same name in
:mod:`spicemix_core.pl` draws it. A new fit removes the results of the previous fit from ``uns``. :func:`residuals` and
:func:`read_gmt` write nothing.

The second group works on arrays: clusterings, comparisons of labels and metagenes, tests.
"""

from spicemix_core.tl.clustering import DEFAULT_NORMALIZATION, Clustering, cluster, cluster_states
from spicemix_core.tl.contacts import affinity_permutation_test, cell_type_affinity, metagene_affinity, type_affinity
from spicemix_core.tl.embedding import umap, umap_embedding
from spicemix_core.tl.fit_residuals import residuals
from spicemix_core.tl.matching import MetageneMatch, adjusted_rand_index, contingency, match_labels, match_metagenes
from spicemix_core.tl.normalization import normalize_states
from spicemix_core.tl.overrepresentation import enrichment, metagene_genes, read_gmt
from spicemix_core.tl.rank_tests import differential_expression, markers
from spicemix_core.tl.regions import Domains, domains
from spicemix_core.tl.sample_groups import conditions
from spicemix_core.tl.separation import ClusteringWarning
from spicemix_core.tl.trees import cut_tree

__all__ = ["DEFAULT_NORMALIZATION", "Clustering", "ClusteringWarning", "Domains", "MetageneMatch",
           "adjusted_rand_index", "affinity_permutation_test", "cell_type_affinity", "cluster", "cluster_states",
           "conditions", "contingency", "cut_tree", "differential_expression", "domains", "enrichment", "markers",
           "match_labels", "match_metagenes", "metagene_affinity", "metagene_genes", "normalize_states", "read_gmt",
           "residuals", "type_affinity", "umap", "umap_embedding"]


def __dir__():
    return __all__
