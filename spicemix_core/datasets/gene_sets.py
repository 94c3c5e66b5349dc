"""Gene sets named in the paper, shipped with the package: each file says its release, source and licence."""

from spicemix_core.datasets.registry import registry_path

FILES = {"GO:0043209": "GO_0043209_myelin_sheath_mouse.txt"}


def load_gene_set(term: str) -> list[str]:
    """Mouse gene symbols annotated to a Gene Ontology term or its descendants, sorted.

    Parameters
    ----------
    term : str
        ``"GO:0043209"`` (myelin sheath, 215 genes; Fig. 4's test of myelin genes). Release, source and licence (CC BY
        4.0) are in the first lines of the file, see ``data/README.md``.

    Raises
    ------
    ValueError
        If the term is not among the stored ones.
    """
    if term not in FILES:
        raise ValueError(f"There is no gene set {term!r}; there are {', '.join(FILES)}.")
    lines = registry_path().with_name(FILES[term]).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]
