"""What every reader checks of the data that it has read."""

from collections.abc import Iterator
from typing import Any

import anndata
import numpy as np
from scipy import sparse

from spicemix_core.inputs.anndata import check_names, check_values
from spicemix_core.inputs.checks import check_sparse


def check_contents(adata: anndata.AnnData) -> None:
    """Refuse data without cells or genes, names that are not unique, expression that does not consist of numbers, and
    sparse matrices whose indices do not fit their shape.

    Unsigned indices, which SciPy does not compute with, become signed ones in place.

    Raises
    ------
    ValueError
        One or two sentences that name the place.
    """
    check_names(adata)
    for place, matrix in _matrices(adata):
        if sparse.issparse(matrix):
            for name in ("indptr", "indices"):
                if getattr(matrix, name).dtype.kind == "u":
                    setattr(matrix, name, getattr(matrix, name).astype(np.int64))
            check_sparse(matrix, place)
    for place, matrix in (("X", adata.X), *((f"layers[{name!r}]", layer) for name, layer in adata.layers.items())):
        if matrix is not None:
            check_values(matrix, place)


def _matrices(adata) -> Iterator[tuple[str, Any]]:
    """All matrices of the data with their places."""
    yield "X", adata.X
    if adata.raw is not None:
        yield "raw.X", adata.raw.X
    for place in ("layers", "obsm", "varm", "obsp", "varp"):
        for name, matrix in getattr(adata, place).items():
            yield f"{place}[{name!r}]", matrix
