"""``spicemix cluster`` and ``spicemix plot``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spicemix_core.command_line.running import (
    DATA_SUFFIXES,
    FIGURE_SUFFIXES,
    Data,
    Debug,
    Force,
    GraphKey,
    SampleKey,
    Seed,
    Threads,
    check_outputs,
    check_suffix,
    output_option,
    save_figure,
    write_data,
    write_table,
)

Kind = Literal["spatial", "metagenes", "affinity", "type-affinity", "umap", "genes", "markers", "enrichment",
               "history"]


def cluster(
    data: Data,
    output: output_option("The data with each cell's cluster in obs, .h5ad or .zarr."),
    clusters: Annotated[int | None, typer.Option(
        min=2, help="Number of clusters; default: the one with the highest Calinski-Harabasz index.")] = None,
    key_added: Annotated[str, typer.Option(help="Column of obs that is written.")] = "spicemix_cluster",
    markers: Annotated[Path | None, typer.Option(help="Also write the genes that mark each cluster, .csv.")] = None,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Group cells into types by their states.

    The data are what `spicemix fit --annotated` or `spicemix transform` wrote; the method is Ward's clustering of the
    z-scored states, cut at the highest Calinski-Harabasz index.

    \b
    Examples:
      spicemix cluster fitted.h5ad -o clustered.h5ad
      spicemix cluster fitted.h5ad --clusters 8 --markers m.csv -o clustered.h5ad
    """
    check_suffix(output, DATA_SUFFIXES)
    check_suffix(markers, (".csv",), "--markers")
    check_outputs(force, output, markers)
    from spicemix_core import tl
    from spicemix_core.exchange.readers import read_data

    adata = read_data(data)
    tl.cluster(adata, n_clusters=clusters, key_added=key_added)
    sizes = adata.obs[key_added].value_counts(sort=False)
    table = tl.markers(adata, key_added) if markers else None
    write_data(adata, output)
    if markers:
        write_table(table, markers)
        print(f"markers: {markers}")
    print(f"{len(sizes)} clusters of {', '.join(map(str, sizes))} cells\nannotated data: {output}")


def plot(
    kind: Annotated[Kind, typer.Argument(help="What to draw.", metavar="KIND")],
    data: Data,
    output: output_option("The figure: .svg, .png or .pdf."),
    color: Annotated[str, typer.Option(
        help="What colours the cells: a column of obs, a gene, or 'metagene 3'; for type-affinity and markers, the "
             "column of clusters.")] = "spicemix_cluster",
    sample_key: SampleKey = None,
    graph_key: GraphKey = "spatial_connectivities",
    gene_sets: Annotated[Path | None, typer.Option(help="Gene sets of `enrichment`, a .gmt file.")] = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Draw one figure.

    The data are what `spicemix fit --annotated` or `spicemix cluster` wrote. What a figure needs and the data lack, an
    embedding or the affinity of types, is computed.

    \b
    Examples:
      spicemix plot spatial clustered.h5ad --sample-key sample -o map.svg
      spicemix plot affinity clustered.h5ad -o affinity.pdf
    """
    check_suffix(output, FIGURE_SUFFIXES)
    check_outputs(force, output)
    if (gene_sets is None) == (kind == "enrichment"):
        raise typer.BadParameter("`enrichment` needs a .gmt file, and no other figure does.", param_hint="--gene-sets")
    from spicemix_core.exchange.readers import read_data

    save_figure(_draw(kind, read_data(data), color, sample_key, graph_key, gene_sets, seed), output)
    print(output)


def _draw(kind, adata, color, sample_key, graph_key, gene_sets, seed):
    from spicemix_core import pl, tl

    if kind == "spatial":
        return pl.spatial(adata, color, sample_key=sample_key)
    if kind == "umap":
        tl.umap(adata, random_state=seed)
        return pl.umap(adata, color)
    if kind == "type-affinity":
        tl.type_affinity(adata, color, sample_key=sample_key, graph_key=graph_key, random_state=seed)
        return pl.type_affinity(adata)
    if kind == "enrichment":
        tl.enrichment(adata, gene_sets)
        return pl.enrichment(adata)
    if kind == "genes":
        tl.metagene_genes(adata)
        return pl.metagene_genes(adata)
    if kind == "markers":
        tl.markers(adata, color)
        return pl.markers(adata)
    if kind == "metagenes":
        return pl.metagenes(adata, sample_key=sample_key)
    return {"affinity": pl.affinity, "history": pl.history}[kind](adata)
