"""Measured and simulated data sets as AnnData objects with positions, labels, neighbour graph and provenance."""

# ruff: noqa: F401
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spicemix_core.datasets.fallback import (
        load_or_simulate_seqfish_plus,
        load_or_simulate_starmap,
        load_or_simulate_visium_dlpfc,
        unmeasured_warning,
    )
    from spicemix_core.datasets.gene_sets import load_gene_set
    from spicemix_core.datasets.gibbs import sample_spicemix
    from spicemix_core.datasets.registry import DataNotFoundError, available
    from spicemix_core.datasets.seqfish_plus import load_seqfish_plus
    from spicemix_core.datasets.simulation import (
        CELL_TYPES,
        METAGENES,
        CortexParameters,
        draw_positions,
        simulate_cortex,
    )
    from spicemix_core.datasets.starmap import LAYER_BANDS, load_starmap
    from spicemix_core.datasets.synthetic import (
        load_synthetic_cortex,
        load_synthetic_cortex_nmf,
        load_synthetic_truth,
    )
    from spicemix_core.datasets.visium import load_visium_dlpfc
    from spicemix_core.exchange.authors_format import SpiceMixResult, load_spicemix_directory, read_spicemix_result

_MODULES = {"CELL_TYPES": "spicemix_core.datasets.simulation",
            "CortexParameters": "spicemix_core.datasets.simulation",
            "DataNotFoundError": "spicemix_core.datasets.registry",
            "LAYER_BANDS": "spicemix_core.datasets.starmap",
            "METAGENES": "spicemix_core.datasets.simulation",
            "SpiceMixResult": "spicemix_core.exchange.authors_format",
            "available": "spicemix_core.datasets.registry",
            "draw_positions": "spicemix_core.datasets.simulation",
            "load_gene_set": "spicemix_core.datasets.gene_sets",
            "load_or_simulate_seqfish_plus": "spicemix_core.datasets.fallback",
            "load_or_simulate_starmap": "spicemix_core.datasets.fallback",
            "load_or_simulate_visium_dlpfc": "spicemix_core.datasets.fallback",
            "load_seqfish_plus": "spicemix_core.datasets.seqfish_plus",
            "load_spicemix_directory": "spicemix_core.exchange.authors_format",
            "load_starmap": "spicemix_core.datasets.starmap",
            "load_synthetic_cortex": "spicemix_core.datasets.synthetic",
            "load_synthetic_cortex_nmf": "spicemix_core.datasets.synthetic",
            "load_synthetic_truth": "spicemix_core.datasets.synthetic",
            "load_visium_dlpfc": "spicemix_core.datasets.visium",
            "read_spicemix_result": "spicemix_core.exchange.authors_format",
            "sample_spicemix": "spicemix_core.datasets.gibbs",
            "simulate_cortex": "spicemix_core.datasets.simulation",
            "unmeasured_warning": "spicemix_core.datasets.fallback"}
__all__ = sorted(_MODULES)


def __dir__():
    return __all__


def __getattr__(name):
    """Import a function when it is first used: anndata, numba and SciPy take seconds to import."""
    if name not in _MODULES:
        raise AttributeError(f"Module {__name__!r} has no public name {name!r}.")
    return getattr(importlib.import_module(_MODULES[name]), name)
