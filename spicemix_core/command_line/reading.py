"""Data as `spicemix fit`, `transform` and `select` read them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def read_prepared(data: Path, *, graph: str, non_spatial: bool = False, **options) -> "AnnData":
    """Read data and prepare them for a fit; ``options`` are those of :func:`spicemix_core.prepare`."""
    from spicemix_core.exchange.readers import read_data
    from spicemix_core.inputs.prepare import prepare

    return prepare(read_data(data), graph=None if non_spatial else graph, **options)
