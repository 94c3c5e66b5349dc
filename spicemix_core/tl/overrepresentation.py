r"""Which genes characterise a metagene, and to which gene sets they belong.

A metagene is a distribution over the genes. The Kullback-Leibler divergence of metagene k from the mean metagene
:math:`\bar m_g = \frac1K \sum_l m_{gl}` is :math:`\sum_g m_{gk} \log (m_{gk} / \bar m_g)`. The term of a gene is its
*specific weight*. It is high for a gene that is abundant in the metagene and more abundant than in the others. It is
about 0 for a gene that is high in all metagenes, and for a specific gene that is hardly present.

The genes of highest specific weight are tested against gene sets by the hypergeometric distribution. The background is
the G measured genes, because a panel of selected genes is rich in some sets from the start. If m of them belong to a
set and n genes are drawn, the p-value is the probability of an overlap at least as large as the one observed. Genes of
one pathway vary together, which the test does not take into account, so use the p-values to rank the sets, not as error
probabilities.

The test is one call of SciPy; gseapy and decoupler would replace only this call and need further packages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control, hypergeom

from spicemix_core.files.damaged import check_file
from spicemix_core.inputs.anndata import metagenes_of
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.tl._adata import known_genes, store

if TYPE_CHECKING:
    from anndata import AnnData

MIN_SET_SIZE = 3  # smallest number of measured genes of a set that is tested


def read_gmt(path: str | Path) -> dict[str, list[str]]:
    r"""Read gene sets from a GMT file.

    Each line has a name, a description (ignored) and genes, separated by tabs. Empty fields and empty lines are
    skipped. A gene that occurs twice in a set is kept once.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to list of str
        Genes by name of the set, both in the order of the file.

    Raises
    ------
    ValueError
        If the path is no file, or the file is not UTF-8, has no set, repeats a name, or a line has fewer than three
        fields.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from spicemix_core import tl
    >>> with tempfile.NamedTemporaryFile("w", suffix=".gmt") as file:
    ...     print("astrocytes", "markers", "Gfap", "Aqp4", sep="\t", file=file, flush=True)
    ...     tl.read_gmt(file.name)
    {'astrocytes': ['Gfap', 'Aqp4']}
    """
    try:
        text = check_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}). Save the gene sets as UTF-8.") from error
    sets = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, *fields = (field.strip() for field in line.split("\t"))
        genes = list(dict.fromkeys(filter(None, fields[1:])))
        if not name or not genes:
            raise ValueError(f"Line {number} of {path} is not a gene set. Each line of a GMT file has a name, a "
                             "description and at least one gene, separated by tabs.")
        if name in sets:
            raise ValueError(f"Line {number} of {path} repeats the name {name!r}. Give each set its own name.")
        sets[name] = genes
    if not sets:
        raise ValueError(f"{path} has no gene set. A GMT file has one set per line.")
    return sets


def specific_weight(metagenes: ArrayLike) -> np.ndarray:
    r"""Specific weight of each gene in each metagene, :math:`m_{gk} \log (m_{gk} / \bar m_g)`.

    Parameters
    ----------
    metagenes : (G, K) array_like
        Columns sum to one.

    Returns
    -------
    (G, K) array
    """
    metagenes = np.asarray(metagenes, dtype=float)
    ratio = np.divide(metagenes, metagenes.mean(axis=1, keepdims=True), out=np.ones_like(metagenes),
                      where=metagenes > 0)
    return metagenes * np.log(ratio)


def top_genes(metagenes: ArrayLike, genes: Sequence[str], n_genes: int = 20) -> pd.DataFrame:
    """The genes of highest specific weight of each metagene; parameters and result as :func:`metagene_genes`.

    Parameters
    ----------
    metagenes : (G, K) array_like
    genes : (G,) sequence of str
    n_genes : int, default=20

    Returns
    -------
    DataFrame
    """
    metagenes, names = np.asarray(metagenes, dtype=float), np.asarray(genes, dtype=object)
    check_integer("n_genes", n_genes, 1)
    weights, tables = specific_weight(metagenes), []
    for k in range(metagenes.shape[1]):
        best = np.argsort(-weights[:, k], kind="stable")[:n_genes]
        tables.append(pd.DataFrame({
            "metagene": k, "rank": np.arange(1, len(best) + 1), "gene": names[best], "loading": metagenes[best, k],
            "mean_loading": metagenes[best].mean(axis=1), "specific_weight": weights[best, k]}))
    return pd.concat(tables, ignore_index=True)


def metagene_genes(adata: AnnData, n_genes: int = 20) -> pd.DataFrame:
    """The genes of highest specific weight of each metagene.

    The specific weight of a gene is its term in the Kullback-Leibler divergence of the metagene from the mean of all
    metagenes. It is high for a gene that is abundant in the metagene and more abundant than in the others.

    Parameters
    ----------
    adata : AnnData
        With ``varm["metagenes"]``.
    n_genes : int, default=20
        Number of genes per metagene, or all genes if there are fewer.

    Returns
    -------
    DataFrame
        By ``metagene`` and ``rank`` (from 1): ``gene``, ``loading``, ``mean_loading`` over the metagenes and
        ``specific_weight``. The function also writes the table to ``uns["spicemix"]["metagene_genes"]``.

    Raises
    ------
    KeyError
        If the object has no metagenes.
    ValueError
        If ``n_genes`` is not a positive integer.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=50, n_genes=30, random_state=0)
    >>> adata.varm["metagenes"] = adata.varm["true_metagenes"]  # in place of a fit
    >>> tl.metagene_genes(adata, n_genes=2)[["metagene", "rank"]].head(3)
       metagene  rank
    0         0     1
    1         0     2
    2         1     1
    """
    metagenes, names = _known(adata)
    table = top_genes(metagenes, names, n_genes)
    store(adata, "metagene_genes", table)
    return table


def enrich(metagenes: ArrayLike, genes: Sequence[str], gene_sets: Mapping[str, Sequence[str]], *,
           n_genes: int | None = None) -> pd.DataFrame:
    """Test the top genes of each metagene against each gene set; parameters and result as :func:`enrichment`.

    Parameters
    ----------
    metagenes : (G, K) array_like
    genes : (G,) sequence of str
        Names of the measured genes, the background.
    gene_sets : mapping of str to sequence of str
    n_genes : int, optional

    Returns
    -------
    DataFrame
    """
    names = pd.Index(genes)
    if not names.is_unique:
        raise ValueError(f"The gene {names[names.duplicated()][0]!r} occurs twice. Make the names of the genes unique.")
    n_genes = (min(50, max(1, len(names) // 5))) if n_genes is None else n_genes
    measured = {name: names.isin(list(members)) for name, members in gene_sets.items()}
    tested = {name: inside for name, inside in measured.items() if inside.sum() >= MIN_SET_SIZE}
    if not tested:
        example = next((str(gene) for members in gene_sets.values() for gene in members), "none")
        raise ValueError(f"None of the {len(measured)} gene sets has {MIN_SET_SIZE} measured genes. Use gene sets that "
                         f"name the genes as the data do (data: {names[0]!r}, sets: {example!r}).")
    rows = []
    for k, table in top_genes(metagenes, names, n_genes).groupby("metagene"):
        top = names.get_indexer(table["gene"])
        for name, inside in tested.items():
            found, size = table["gene"][inside[top]], int(inside.sum())
            rows.append({"metagene": k, "gene_set": name, "set_size": size, "overlap": len(found),
                         "expected": size * len(top) / len(names),
                         "p_value": hypergeom.sf(len(found) - 1, len(names), size, len(top)),
                         "genes": ",".join(found)})
    result = pd.DataFrame(rows)
    result.insert(6, "p_adjusted", false_discovery_control(np.clip(result["p_value"], 0.0, 1.0)))
    return result.sort_values("p_value", kind="stable", ignore_index=True)


def enrichment(adata: AnnData, gene_sets: Mapping[str, Sequence[str]] | str | Path, *,
               n_genes: int | None = None) -> pd.DataFrame:
    """Test the top genes of each metagene against gene sets, by the hypergeometric distribution.

    Parameters
    ----------
    adata : AnnData
        With ``varm["metagenes"]``. Its genes are the background of the test.
    gene_sets : mapping of str to sequence of str, or path of a GMT file
        Sets with fewer than three measured genes are left out.
    n_genes : int, optional
        Number of top genes per metagene. By default 50, or a fifth of the genes if there are fewer than 250.

    Returns
    -------
    DataFrame
        One row per metagene and set in increasing order of the p-value: ``metagene``, ``gene_set``, ``set_size``
        (measured genes of the set), ``overlap``, ``expected`` (overlap by chance), ``p_value``, ``p_adjusted``
        (Benjamini-Hochberg over all rows) and ``genes``, the genes of the overlap separated by commas in decreasing
        order of the specific weight. The function also writes the table to ``uns["spicemix"]["enrichment"]``.

    Raises
    ------
    KeyError
        If the object has no metagenes.
    ValueError
        If a gene name occurs twice, or no set has three measured genes.

    See Also
    --------
    metagene_genes : The top genes, and the definition of the specific weight.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=50, n_genes=30, random_state=0)
    >>> adata.varm["metagenes"] = adata.varm["true_metagenes"]  # in place of a fit
    >>> table = tl.enrichment(adata, {"a set": ["gene1", "gene2", "gene3"]})
    >>> len(table) == adata.varm["metagenes"].shape[1]
    True
    """
    gene_sets = gene_sets if isinstance(gene_sets, Mapping) else read_gmt(gene_sets)
    table = enrich(*_known(adata), gene_sets, n_genes=n_genes)
    store(adata, "enrichment", table)
    return table


def _known(adata):
    """Metagenes and names of the genes that the model of the data knows."""
    metagenes = metagenes_of(adata)
    known = known_genes(metagenes)
    return metagenes[known], adata.var_names[known]
