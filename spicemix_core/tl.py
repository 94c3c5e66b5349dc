"""Analyses of a fitted AnnData object, each one call: results go into it in forms that ``write_h5ad`` can store.

``SpiceMix.fit`` leaves states in ``obsm["X_spicemix"]``, metagenes in ``varm["metagenes"]`` and the affinity in
``uns["spicemix"]``. Each function here writes what it finds to ``obs``, ``obsm`` or, as a table and the settings behind
it, to ``uns["spicemix"][its name]``, and returns it; the function of the same name in :mod:`spicemix_core.pl` draws it.
A new fit removes the results of the one before from ``uns``.
"""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from spicemix_core.agreement import adjusted_rand_index, contingency
from spicemix_core.annotation import MIN_CELLS
from spicemix_core.cell_type_affinity import affinity_permutation_test, cell_type_affinity
from spicemix_core.clustering import Clustering, cluster_states, label_categories
from spicemix_core.differential_expression import each_against_rest
from spicemix_core.enrichment import enrich, read_gmt, top_genes

__all__ = ["agreement", "cluster", "enrichment", "markers", "metagene_genes", "read_gmt", "type_affinity", "umap"]


def cluster(adata, *, n_clusters=None, n_clusters_range=(5, 40), normalization="zscore_proportions",
            key_added="spicemix_cluster") -> Clustering:
    """Cell types: Ward's tree of the normalised states, cut at the highest Calinski-Harabasz index.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix"]``.
    n_clusters : int, optional
        Chosen by the index over ``n_clusters_range`` if not given.
    n_clusters_range : (int, int)
        Numbers that leave a cluster fewer than 5 cells on average are not considered: the index favours them where
        cells are few.
    normalization : str
        As :func:`spicemix_core.clustering.normalize_states`; the default is that of
        :func:`spicemix_core.consensus.fit_consensus`, the authors use ``"zscore"``.
    key_added : str
        Column of ``obs`` for the labels, categories "0" (the largest), "1", ...

    Returns
    -------
    Clustering
        ``uns["spicemix"]["cluster"]`` gains the Calinski-Harabasz curve.

    Raises
    ------
    KeyError
        Without states.
    ValueError
        As :func:`spicemix_core.clustering.cluster_states`.
    """
    smallest, largest = n_clusters_range
    largest = min(largest, max(smallest, adata.n_obs // MIN_CELLS))
    found = cluster_states(_states(adata), n_clusters=n_clusters, normalization=normalization,
                           n_clusters_range=(smallest, largest))
    adata.obs[key_added] = label_categories(found.labels)
    _store(adata, "cluster", found.calinski_harabasz.reset_index(), key=key_added, normalization=normalization,
           n_clusters=found.n_clusters)
    return found


def markers(adata, groupby="spicemix_cluster", *, n_genes=100, layer=None) -> pd.DataFrame:
    """Genes of each group of cells: Mann-Whitney tests against all other cells, false discovery rate over the genes.

    The clusters were found in the same expression that is tested here, so the p-values are too small (the groups
    differ by construction); use ``auc`` and ``difference`` to rank genes.

    Parameters
    ----------
    adata : AnnData
        Log-normalised expression in ``X`` or ``layers[layer]``.
    groupby : str
        Column of ``obs``.
    n_genes : int
        Genes of highest area under the ROC curve that are kept of each group.
    layer : str, optional

    Returns
    -------
    DataFrame
        As :func:`spicemix_core.differential_expression.each_against_rest`.

    Raises
    ------
    KeyError, ValueError
        An unknown column or layer, cells without a group, or a single group.
    """
    labels = _labels(adata, groupby)
    if not isinstance(n_genes, (int, np.integer)) or n_genes < 1:
        raise ValueError(f"n_genes must be an integer of at least 1, not {n_genes!r}.")
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layers has no {layer!r}; it has {', '.join(map(repr, adata.layers)) or 'nothing'}")
    if labels.nunique() < 2:
        raise ValueError(f"obs[{groupby!r}] has a single group: there is nothing to compare it with.")
    table = each_against_rest(adata.X if layer is None else adata.layers[layer], adata.var_names, labels.array)
    table = table.groupby("group", sort=False).head(n_genes).reset_index(drop=True)
    _store(adata, "markers", table, groupby=groupby)
    return table


def metagene_genes(adata, n_genes=20) -> pd.DataFrame:
    """The genes of highest specific weight of each metagene (:func:`spicemix_core.enrichment.top_genes`)."""
    table = top_genes(_metagenes(adata), adata.var_names, n_genes)
    _store(adata, "metagene_genes", table)
    return table


def enrichment(adata, gene_sets, *, n_genes=None) -> pd.DataFrame:
    """Gene sets among the top genes of each metagene (:func:`spicemix_core.enrichment.enrich`).

    Parameters
    ----------
    adata : AnnData
        With ``varm["metagenes"]``; its genes are the background.
    gene_sets : dict of str to sequence of str, or path of a GMT file
    n_genes : int, optional
        Top genes per metagene: 50, or a fifth of the measured genes if there are fewer than 250.
    """
    metagenes = _metagenes(adata)
    gene_sets = gene_sets if isinstance(gene_sets, dict) else read_gmt(gene_sets)
    table = enrich(metagenes, adata.var_names, gene_sets, n_genes=n_genes)
    _store(adata, "enrichment", table)
    return table


def type_affinity(adata, groupby="spicemix_cluster", sample_key=None, n_permutations=1000, random_state=None, *,
                  graph_key="spatial_connectivities") -> pd.DataFrame:
    """Which groups of cells are neighbours more often than their contacts make likely; **positive = attraction**.

    Parameters
    ----------
    adata : AnnData
        With the neighbour graph ``obsp[graph_key]``.
    groupby : str
        Column of ``obs``.
    sample_key : str, optional
        Column of ``obs``; labels are permuted within each sample.
    n_permutations : int
    random_state : int, numpy Generator or None
    graph_key : str

    Returns
    -------
    DataFrame
        A row per pair of groups, a group with itself included: ``first``, ``second``, ``affinity``
        (:func:`spicemix_core.cell_type_affinity.cell_type_affinity`), ``p_value`` (two-sided, by permutation) and
        ``p_adjusted`` (Benjamini-Hochberg over the pairs).

    Raises
    ------
    KeyError, ValueError
        An unknown column or graph, cells without a group, or a graph that is none of these cells.
    """
    labels = _labels(adata, groupby).to_numpy(dtype=str)
    samples = None if sample_key is None else _labels(adata, sample_key).to_numpy(dtype=str)
    if graph_key not in adata.obsp:
        raise KeyError(f"obsp has no neighbour graph {graph_key!r}; build one with spicemix_core.graphs")
    graph = adata.obsp[graph_key]
    affinity = cell_type_affinity(graph, labels, samples)
    p_values = affinity_permutation_test(graph, labels, samples, n_permutations=n_permutations,
                                         random_state=random_state).to_numpy()
    rows, columns = np.triu_indices(len(affinity))
    table = pd.DataFrame({"first": affinity.index[rows], "second": affinity.index[columns],
                          "affinity": affinity.to_numpy()[rows, columns], "p_value": p_values[rows, columns],
                          "p_adjusted": false_discovery_control(p_values[rows, columns])})
    _store(adata, "type_affinity", table, groupby=groupby, n_permutations=int(n_permutations))
    return table


def umap(adata, random_state=0) -> np.ndarray:
    """UMAP of the states with the paper's settings, (N, 2), into ``obsm["X_spicemix_umap"]``.

    As :func:`spicemix_core.plotting.umap_embedding`; distances between far groups mean nothing.
    """
    from spicemix_core.plotting import umap_embedding  # takes seconds, with all that draws

    states = _states(adata)
    if adata.n_obs < 12:
        raise ValueError(f"UMAP joins each cell to 10 neighbours, and there are {adata.n_obs} cells: plot the states.")
    adata.obsm["X_spicemix_umap"] = umap_embedding(states, random_state=random_state).astype(float)
    return adata.obsm["X_spicemix_umap"]


def agreement(adata, first, second) -> float:
    """Adjusted Rand index of two columns of ``obs``: 1 if they group the cells alike, about 0 if they are unrelated.

    ``uns["spicemix"]["agreement"]`` gains it, with a table of the cells by ``first`` and ``second``.
    """
    a, b = (_labels(adata, key).to_numpy(dtype=str) for key in (first, second))
    index = adjusted_rand_index(a, b)
    counts = contingency(a, b)
    rows, columns = np.indices(counts.shape).reshape(2, -1)
    table = pd.DataFrame({"first": counts.index[rows], "second": counts.columns[columns],
                          "cells": counts.to_numpy().ravel()})
    _store(adata, "agreement", table, first=first, second=second, adjusted_rand_index=index)
    return index


def _store(adata, name, table, **settings):
    adata.uns.setdefault("spicemix", {})[name] = {"table": table, **settings}


def _states(adata):
    if "X_spicemix" not in adata.obsm:
        raise KeyError("obsm has no 'X_spicemix': fit SpiceMix to the data, or transform them, first")
    return np.asarray(adata.obsm["X_spicemix"])


def _metagenes(adata):
    if "metagenes" not in adata.varm:
        raise KeyError("varm has no 'metagenes': fit SpiceMix to the data first")
    return np.asarray(adata.varm["metagenes"])


def _labels(adata, key):
    if key not in adata.obs:
        raise KeyError(f"obs has no column {key!r}; it has {', '.join(map(repr, adata.obs)) or 'none'}")
    labels = adata.obs[key]
    if labels.isna().any():
        raise ValueError(f"obs[{key!r}] is missing for {labels.isna().sum()} cells, the first is "
                         f"{adata.obs_names[labels.isna()][0]!r}: leave such cells out")
    return labels
