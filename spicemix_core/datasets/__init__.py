"""Measured and simulated data, each as an AnnData with counts, positions, labels, graph and provenance."""

from spicemix_core.datasets.fallback import load_or_simulate_seqfish_plus, load_or_simulate_starmap, unmeasured_warning
from spicemix_core.datasets.gene_sets import load_gene_set
from spicemix_core.datasets.registry import DataNotFoundError, available
from spicemix_core.datasets.seqfish_plus import load_seqfish_plus
from spicemix_core.datasets.simulation import (
    CELL_TYPES,
    METAGENES,
    CortexParameters,
    draw_positions,
    sample_spicemix,
    simulate_cortex,
)
from spicemix_core.datasets.starmap import LAYER_BANDS, load_starmap
from spicemix_core.datasets.synthetic import load_synthetic_cortex, load_synthetic_cortex_nmf, load_synthetic_truth
from spicemix_core.exchange.authors_format import SpiceMixResult, load_spicemix_directory, read_spicemix_result

__all__ = [
    "CELL_TYPES",
    "LAYER_BANDS",
    "METAGENES",
    "CortexParameters",
    "DataNotFoundError",
    "SpiceMixResult",
    "available",
    "draw_positions",
    "load_gene_set",
    "load_or_simulate_seqfish_plus",
    "load_or_simulate_starmap",
    "load_seqfish_plus",
    "load_spicemix_directory",
    "load_starmap",
    "load_synthetic_cortex",
    "load_synthetic_cortex_nmf",
    "load_synthetic_truth",
    "read_spicemix_result",
    "sample_spicemix",
    "simulate_cortex",
    "unmeasured_warning",
]


def __dir__():
    return __all__
