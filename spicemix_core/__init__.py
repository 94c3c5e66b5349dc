"""SpiceMix: spatially informed metagenes from single-cell spatial transcriptomics."""

from spicemix_core.model import SpiceMix

__version__ = "0.1.0"
__all__ = ["SpiceMix"]
