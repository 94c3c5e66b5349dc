"""Gene sets of the paper, shipped with the package; each file names its release, source and licence."""

from spicemix_core.datasets.registry import check_file, registry_path

FILES = {"GO:0043209": {"file": "GO_0043209_myelin_sheath_mouse.txt", "bytes": 2232,
                        "sha256": "548a2c0d1eabb0e84624e6b928e68f4c5f58747764762c0ce1c0b150e1dd126a"}}


def load_gene_set(term: str) -> list[str]:
    """Mouse genes that are annotated to a Gene Ontology term or its descendants.

    Parameters
    ----------
    term : {"GO:0043209"}
        Myelin sheath, 215 genes, for the paper's test of myelin genes (Fig. 4). Release, source and licence (CC BY 4.0)
        are in the first lines of the file, see ``data/README.md``.

    Returns
    -------
    list of str
        Gene symbols, sorted.

    Raises
    ------
    ValueError
        If the term is not among those that are shipped, or its file is truncated or was changed.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> genes = datasets.load_gene_set("GO:0043209")
    >>> len(genes), "Mbp" in genes
    (215, True)
    """
    if term not in FILES:
        raise ValueError(f"There is no gene set {term!r}; choose one of {', '.join(FILES)}.")
    path = registry_path().with_name(FILES[term]["file"])
    check_file(path, FILES[term])
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
