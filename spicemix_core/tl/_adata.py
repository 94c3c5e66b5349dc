"""What the functions of this room share: which genes a model knows, and where tables are written."""

import numpy as np


def known_genes(metagenes):
    """Which genes the model knows, (G,): the metagenes of other genes of transformed data are NaN."""
    return np.isfinite(metagenes).all(axis=1)


def store(adata, name, table, **settings):
    adata.uns.setdefault("spicemix", {})[name] = {"table": table, **settings}
