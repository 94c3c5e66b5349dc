"""Figures of a fitted AnnData object, each one call that returns a matplotlib figure.

They draw what is there and compute nothing: results come from ``SpiceMix.fit``, :mod:`spicemix_core.tl` and
:mod:`spicemix_core.selection`. Colours are those of :func:`spicemix_core.plotting.palette`; of more than 40 categories
the rarest are drawn in grey together. Many marks become a picture inside the figure. ``figure.savefig(path)`` writes it
as PNG, SVG or PDF.
"""

from spicemix_core.pl.curves import cluster, history, metagene_genes, selection
from spicemix_core.pl.maps import metagenes, spatial, umap
from spicemix_core.pl.matrices import affinity, agreement, enrichment, markers, type_affinity

__all__ = ["affinity", "agreement", "cluster", "enrichment", "history", "markers", "metagene_genes", "metagenes",
           "selection", "spatial", "type_affinity", "umap"]
