r"""Which genes a metagene is about, and which gene sets they belong to.

A metagene is a distribution over the genes. What sets metagene k apart from the mean metagene
:math:`\bar m_g = \frac1K \sum_l m_{gl}` is their Kullback-Leibler divergence :math:`\sum_g m_{gk} \log (m_{gk} / \bar
m_g)`; the term of a gene is its *specific weight*: high for a gene that has much of the metagene and more of it than of
the others. A gene that is high in all metagenes has none, nor has a gene that is specific but hardly there.

The genes of highest specific weight are tested against gene sets by the hypergeometric distribution over the genes
that were measured: of G measured genes, a set has m, the n of highest specific weight are drawn, and p is the
probability of at least as many of the set among them as there are. The measured genes are the background, since a panel
of chosen genes is rich in some sets from the start. Genes of one pathway vary together, which the test does not know:
read its p-values as a ranking of sets, not as the chance that a set is there for nothing.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, hypergeom

from spicemix_core.tl._adata import metagenes_of, store

MIN_SET_SIZE = 3  # measured genes; a set with fewer says nothing


def read_gmt(path) -> dict:
    """Gene sets of a GMT file: dict of name to list of genes, both in the file's order.

    Each line is a name, a description (not kept) and genes, with tabs between. Empty fields and empty lines are passed
    over, a gene that a set repeats is kept once.

    Raises
    ------
    ValueError
        If the file is not UTF-8, has no set, or a line has fewer than three fields or a name that an earlier one has.
    OSError
        If it cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}): save the gene sets as UTF-8.") from error
    sets = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, *fields = (field.strip() for field in line.split("\t"))
        genes = list(dict.fromkeys(filter(None, fields[1:])))
        if not name or not genes:
            raise ValueError(f"{path}, line {number}, is not a name, a description and at least one gene with tabs "
                             "between: a GMT file has one set per line.")
        if name in sets:
            raise ValueError(f"{path}, line {number}: there is a set {name!r} already; names must differ.")
        sets[name] = genes
    if not sets:
        raise ValueError(f"{path} has no gene set: a GMT file has one per line.")
    return sets


def specific_weight(metagenes) -> np.ndarray:
    r"""Term of each gene in the divergence of each metagene from their mean, :math:`m_{gk} \log (m_{gk} / \bar m_g)`.

    Parameters
    ----------
    metagenes : (G, K) array
        Columns sum to one.

    Returns
    -------
    (G, K) array
    """
    metagenes = np.asarray(metagenes, dtype=float)
    ratio = np.divide(metagenes, metagenes.mean(axis=1, keepdims=True), out=np.ones_like(metagenes),
                      where=metagenes > 0)
    return metagenes * np.log(ratio)


def top_genes(metagenes, genes, n_genes=20) -> pd.DataFrame:
    """The genes of highest specific weight of each metagene.

    Parameters
    ----------
    metagenes : (G, K) array
    genes : (G,) sequence of str
    n_genes : int
        From 1 to G; all if there are fewer.

    Returns
    -------
    DataFrame
        By ``metagene`` and ``rank`` (from 1): ``gene``, ``loading``, ``mean_loading`` over the metagenes and
        ``specific_weight``.
    """
    metagenes, genes = np.asarray(metagenes, dtype=float), np.asarray(genes, dtype=object)
    _check_number(n_genes)
    weights, tables = specific_weight(metagenes), []
    for k in range(metagenes.shape[1]):
        best = np.argsort(-weights[:, k], kind="stable")[:n_genes]
        tables.append(pd.DataFrame({
            "metagene": k, "rank": np.arange(1, len(best) + 1), "gene": genes[best], "loading": metagenes[best, k],
            "mean_loading": metagenes[best].mean(axis=1), "specific_weight": weights[best, k]}))
    return pd.concat(tables, ignore_index=True)


def enrich(metagenes, genes, gene_sets, *, n_genes=None) -> pd.DataFrame:
    """Test the top genes of each metagene against each gene set, as the head of this module says.

    Parameters
    ----------
    metagenes : (G, K) array
    genes : (G,) sequence of str
        Names of the measured genes, the background.
    gene_sets : dict of str to sequence of str
        Those with fewer than ``MIN_SET_SIZE`` measured genes are left out.
    n_genes : int, optional
        Top genes per metagene: 50, or a fifth of the measured genes if there are fewer than 250.

    Returns
    -------
    DataFrame
        A row per metagene and set, lowest p-value first: ``metagene``, ``gene_set``, ``set_size`` (measured genes of
        the set), ``overlap``, ``expected``, ``p_value``, ``p_adjusted`` (Benjamini-Hochberg over all rows) and
        ``genes``, those of the overlap with commas between, the highest specific weight first.

    Raises
    ------
    ValueError
        If a gene is named twice, or no set has enough measured genes.
    """
    genes = pd.Index(genes)
    if not genes.is_unique:
        raise ValueError(f"The gene {genes[genes.duplicated()][0]!r} is there twice: make gene names unique.")
    n_genes = (min(50, max(1, len(genes) // 5))) if n_genes is None else n_genes
    measured = {name: genes.isin(list(members)) for name, members in gene_sets.items()}
    known = {name: inside for name, inside in measured.items() if inside.sum() >= MIN_SET_SIZE}
    if not known:
        example = next((str(gene) for members in gene_sets.values() for gene in members), "none")
        raise ValueError(f"None of the {len(measured)} gene sets has {MIN_SET_SIZE} measured genes: the sets must name "
                         f"genes as the data do (data: {genes[0]!r}, sets: {example!r}).")
    rows = []
    for k, table in top_genes(metagenes, genes, n_genes).groupby("metagene"):
        top = genes.get_indexer(table["gene"])
        for name, inside in known.items():
            found, size = table["gene"][inside[top]], int(inside.sum())
            rows.append({"metagene": k, "gene_set": name, "set_size": size, "overlap": len(found),
                         "expected": size * len(top) / len(genes),
                         "p_value": hypergeom.sf(len(found) - 1, len(genes), size, len(top)),
                         "genes": ",".join(found)})
    result = pd.DataFrame(rows)
    result.insert(6, "p_adjusted", false_discovery_control(np.clip(result["p_value"], 0.0, 1.0)))
    return result.sort_values("p_value", kind="stable", ignore_index=True)


def _check_number(n_genes):
    if not isinstance(n_genes, (int, np.integer)) or isinstance(n_genes, bool) or n_genes < 1:
        raise ValueError(f"n_genes must be an integer of at least 1, not {n_genes!r}.")


def metagene_genes(adata, n_genes=20) -> pd.DataFrame:
    """The genes of highest specific weight of each metagene (:func:`spicemix_core.tl.overrepresentation.top_genes`)."""
    table = top_genes(metagenes_of(adata), adata.var_names, n_genes)
    store(adata, "metagene_genes", table)
    return table


def enrichment(adata, gene_sets, *, n_genes=None) -> pd.DataFrame:
    """Gene sets among the top genes of each metagene (:func:`spicemix_core.tl.overrepresentation.enrich`).

    Parameters
    ----------
    adata : AnnData
        With ``varm["metagenes"]``; its genes are the background.
    gene_sets : dict of str to sequence of str, or path of a GMT file
    n_genes : int, optional
        Top genes per metagene: 50, or a fifth of the measured genes if there are fewer than 250.
    """
    metagenes = metagenes_of(adata)
    gene_sets = gene_sets if isinstance(gene_sets, dict) else read_gmt(gene_sets)
    table = enrich(metagenes, adata.var_names, gene_sets, n_genes=n_genes)
    store(adata, "enrichment", table)
    return table
