"""Gene sets named in the paper."""

from spicemix_core.datasets.registry import locate

FILES = {"GO:0043209": "GO_0043209_myelin_sheath_mouse.txt"}


def load_gene_set(term: str) -> list[str]:
    """Mouse gene symbols annotated to a Gene Ontology term or its descendants, sorted.

    Parameters
    ----------
    term : str
        ``"GO:0043209"`` (myelin sheath, 215 genes; Fig. 4's test of myelin genes).

    Raises
    ------
    ValueError
        If the term is not among the stored ones.
    DataNotFoundError
        If the file is in none of the folders searched (it has no address to download from).
    """
    if term not in FILES:
        raise ValueError(f"There is no gene set {term!r}; there are {', '.join(FILES)}.")
    _, folder = locate("gene_sets")
    return (folder / FILES[term]).read_text(encoding="utf-8").split()
