"""Figures of a fitted AnnData object, each one call that returns a matplotlib figure.

They draw what is there and compute nothing: results come from ``SpiceMix.fit``, :mod:`spicemix_core.tl` and
:func:`spicemix_core.select`. Colours are those of :func:`spicemix_core.pl.palette`; of more than 40 categories
the rarest are drawn in grey together. Many marks become a picture inside the figure. ``figure.savefig(path)`` writes it
as PNG, SVG or PDF.
"""

from spicemix_core.pl.curves import cluster, history, metagene_genes, selection
from spicemix_core.pl.maps import metagenes, spatial, umap
from spicemix_core.pl.matrices import affinity, agreement, enrichment, markers, type_affinity
from spicemix_core.pl.primitives import (
    GREY,
    cell_outlines,
    draw_affinity,
    draw_curve,
    draw_legend,
    draw_points,
    draw_residuals,
    draw_samples,
    draw_table,
    draw_values,
    expression_by_cluster,
    mark_cells,
    order_rows_by_columns,
)
from spicemix_core.pl.style import N_COLORS, palette, use_style
from spicemix_core.pl.svg import rasterize_marks, show, shrink_pictures, svg_of

__all__ = ["GREY", "N_COLORS", "affinity", "agreement", "cell_outlines", "cluster", "draw_affinity", "draw_curve",
           "draw_legend", "draw_points", "draw_residuals", "draw_samples", "draw_table", "draw_values", "enrichment",
           "expression_by_cluster", "history", "mark_cells", "markers", "metagene_genes", "metagenes",
           "order_rows_by_columns", "palette", "rasterize_marks", "selection", "show", "shrink_pictures", "spatial",
           "svg_of", "type_affinity", "umap", "use_style"]


def __dir__():
    return __all__
