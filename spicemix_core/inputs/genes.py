"""Genes by name: which columns of some data hold the genes of a model."""

import numbers
import warnings

import numpy as np
import pandas as pd

from spicemix_core.inputs.errors import ArgumentError


def match_genes(model, names: pd.Index, min_genes: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns, among the gene names of some data, of the genes of a model, and the indices of these genes in the model.

    Warns of missing genes. Raises ValueError if less than the share ``min_genes`` of the genes is present.
    """
    if not isinstance(min_genes, numbers.Real) or not 0 < min_genes <= 1:
        raise ArgumentError(f"min_genes must be a number above 0 and at most 1, not {min_genes!r}.",
                            parameter="min_genes")
    if not hasattr(model, "feature_names_in_"):
        raise ValueError("This model has no gene names because it was fitted to arrays: use transform_arrays.")
    columns = names.get_indexer(model.feature_names_in_)
    genes = np.flatnonzero(columns >= 0)
    n, missing = len(columns), model.feature_names_in_[columns < 0]
    if len(missing):
        listed = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        problem = f"{len(missing)} of the {n} genes of the model are missing ({listed})"
        if len(genes) < min_genes * n:
            raise ArgumentError(f"{problem}, but the data must have {min_genes:.0%} of them.",
                                "Check that the data and the model use the same kind of gene names, or lower "
                                "{min_genes}.")
        mass = model.metagenes_[genes].sum(axis=0).mean()
        warnings.warn(f"{problem}. The states are estimated from the other genes, which hold {100 * mass:.0f} % of a "
                      "metagene on average.", stacklevel=3)
    return columns[genes], genes
