"""Figures of a fitted AnnData object, and functions to draw custom figures.

The figures of an AnnData object (`affinity`, `cluster`, `domains`, `enrichment`, `history`, `markers`,
`metagene_genes`, `metagenes`, `spatial`, `tree`, `type_affinity`, `umap`) and of a selection (`selection`) compute
nothing: they show what :meth:`spicemix_core.SpiceMix.fit`, :mod:`spicemix_core.tl` and :func:`spicemix_core.select`
found. They return a matplotlib figure, closed, with many marks as one picture; ``figure.savefig(path)`` writes it as
PNG, SVG or PDF. Those with one panel accept ``ax`` to draw on existing axes instead, and then return these axes.
Colours of categories are those in ``uns["<column>_colors"]``, where scanpy stores them, and else those of `palette`; no
figure changes the data.

The functions `draw_affinity`, `draw_curve`, `draw_legend`, `draw_points`, `draw_residuals`, `draw_samples`,
`draw_table`, `draw_values` and `mark_fields` draw arrays and tables on given axes, and `expression_by_cluster` and
`order_rows_by_columns` prepare such tables. `use_style`, `palette`, `show` and the colours `BLUE`, `GREEN`, `GREY` and
`VERMILION` give custom figures the same style.
"""

from spicemix_core.pl.curves import cluster, history, metagene_genes, selection
from spicemix_core.pl.maps import domains, metagenes, spatial, umap
from spicemix_core.pl.matrices import affinity, enrichment, markers, type_affinity
from spicemix_core.pl.primitives import (
    draw_curve,
    draw_legend,
    draw_points,
    draw_residuals,
    draw_samples,
    draw_values,
)
from spicemix_core.pl.style import BLUE, GREEN, GREY, VERMILION, palette, use_style
from spicemix_core.pl.svg import show
from spicemix_core.pl.tables import draw_affinity, draw_table, expression_by_cluster, mark_fields, order_rows_by_columns
from spicemix_core.pl.trees import tree

__all__ = ["BLUE", "GREEN", "GREY", "VERMILION", "affinity", "cluster", "domains", "draw_affinity", "draw_curve",
           "draw_legend", "draw_points", "draw_residuals", "draw_samples", "draw_table", "draw_values", "enrichment",
           "expression_by_cluster", "history", "mark_fields", "markers", "metagene_genes", "metagenes",
           "order_rows_by_columns", "palette", "selection", "show", "spatial", "tree", "type_affinity", "umap",
           "use_style"]


def __dir__():
    return __all__
