"""What the functions of this room read from and write to an AnnData object, with the sentences of what is missing."""


import numpy as np


def store(adata, name, table, **settings):
    adata.uns.setdefault("spicemix", {})[name] = {"table": table, **settings}


def states_of(adata):
    if "X_spicemix" not in adata.obsm:
        raise KeyError("obsm has no 'X_spicemix': fit SpiceMix to the data, or transform them, first")
    return np.asarray(adata.obsm["X_spicemix"])


def metagenes_of(adata):
    if "metagenes" not in adata.varm:
        raise KeyError("varm has no 'metagenes': fit SpiceMix to the data first")
    return np.asarray(adata.varm["metagenes"])


def labels_of(adata, key):
    if key not in adata.obs:
        raise KeyError(f"obs has no column {key!r}; it has {', '.join(map(repr, adata.obs)) or 'none'}")
    labels = adata.obs[key]
    if labels.isna().any():
        raise ValueError(f"obs[{key!r}] is missing for {labels.isna().sum()} cells, the first is "
                         f"{adata.obs_names[labels.isna()][0]!r}: leave such cells out")
    return labels
