"""``spicemix cluster``, ``spicemix domains`` and ``spicemix plot``."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from spicemix_core.command_line.options import (
    Data,
    Debug,
    FittedSampleKey,
    FittedSpatialKey,
    Force,
    GraphKey,
    Quiet,
    RandomState,
    Threads,
    output_option,
)
from spicemix_core.command_line.outputs import (
    DATA_SUFFIXES,
    FIGURE_SUFFIXES,
    check_data,
    check_outputs,
    check_suffix,
    write_data,
    write_figure,
    write_table,
)
from spicemix_core.command_line.process import stage
from spicemix_core.command_line.reading import read
from spicemix_core.files.atomic import replacing, replacing_together

Kind = Literal["spatial", "domains", "metagenes", "affinity", "type-affinity", "umap", "genes", "markers", "enrichment",
               "history", "tree"]
COLORED = ("spatial", "umap", "type-affinity", "markers")  # figures of clusters, unless --color names another column
# The figures that an option has an effect on; it is refused for all others.
FIGURES_OF = {"--color": COLORED, "--sample-key": ("spatial", "domains", "metagenes", "type-affinity"),
              "--graph-key": ("domains", "type-affinity"), "--spatial-key": ("spatial", "domains", "metagenes")}


def cluster(
    data: Data,
    output: output_option("File or store to write the data to, with the cluster of each cell in obs: .h5ad or .zarr."),
    n_clusters: Annotated[int | None, typer.Option(
        min=2, help="Number of clusters. By default, the largest number at which the clusters are nearly as well "
                    "separated as at the best number.")] = None,
    key_added: Annotated[str, typer.Option(help="Column of obs to write the clusters to.")] = "spicemix_cluster",
    markers: Annotated[Path | None, typer.Option(
        help="Also write the marker genes of each cluster to this .csv file.")] = None,
    force: Force = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Cluster cells into types by their states.

    The data are the output of `spicemix fit --annotated` or `spicemix transform`. The method is Ward's clustering of
    the z-scored states.

    \b
    Examples:
      spicemix cluster fitted.h5ad -o clustered.h5ad
      spicemix cluster fitted.h5ad --n-clusters 8 --markers m.csv -o clustered.h5ad
    """
    check_suffix(output, DATA_SUFFIXES)
    check_suffix(markers, (".csv",), "--markers")
    check_outputs(force, output, markers)
    from spicemix_core import tl
    from spicemix_core.inputs.memory import key_of_fit
    adata = read(data, backed=True)
    check_data(adata, output)
    with stage(f"clustering {adata.n_obs:,} cells"):
        tl.cluster(adata, n_clusters=n_clusters, key_added=key_added)
    sizes = adata.obs[key_added].value_counts(sort=False)
    table = tl.markers(adata, key_added, layer=key_of_fit(adata, "layer")) if markers else None
    with replacing_together(*filter(None, (output, markers))) as temporary:
        write_data(adata, temporary[0])
        if markers:
            write_table(table, temporary[1])
    print(f"{len(sizes)} clusters of {', '.join(map(str, sizes))} cells\nannotated data: {output}"
          + (f"\nmarkers: {markers}" if markers else ""))


def domains(
    data: Data,
    output: output_option("File or store to write the data to, with the domain of each cell in obs: .h5ad or .zarr."),
    n_domains: Annotated[int | None, typer.Option(
        min=2, help="Number of domains. By default, the largest number of which the last domain still explains 3 % of "
                    "the variation.")] = None,
    n_averagings: Annotated[int | None, typer.Option(
        min=0, help="How often the states are averaged over the neighbours. By default, until an average is over at "
                    "least 10 cells in effect.")] = None,
    smooth: Annotated[bool, typer.Option(
        "--smooth/--no-smooth", help="Give each cell the domain of most of its neighbours and itself.")] = True,
    graph_key: GraphKey = None,
    key_added: Annotated[str, typer.Option(help="Column of obs to write the domains to.")] = "spicemix_domain",
    force: Force = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Divide the tissue into domains: regions in which the mixture of cells is alike.

    The data are the output of `spicemix fit --annotated` or `spicemix transform`. The proportions of the metagenes are
    averaged over the neighbours of each cell and clustered, all samples together.

    \b
    Examples:
      spicemix domains fitted.h5ad -o domains.h5ad
      spicemix domains fitted.h5ad --n-domains 7 -o domains.h5ad
      spicemix plot domains domains.h5ad -o domains.svg
    """
    check_suffix(output, DATA_SUFFIXES)
    check_outputs(force, output)
    from spicemix_core import tl
    from spicemix_core.inputs.memory import GRAPH_KEY, key_of_fit

    adata = read(data, backed=True)
    with stage(f"domains of {adata.n_obs:,} cells"):
        found = tl.domains(adata, n_domains=n_domains, n_averagings=n_averagings, smooth=smooth, key_added=key_added,
                           graph_key=graph_key or key_of_fit(adata, "graph_key", GRAPH_KEY))
    with replacing(output) as temporary:
        write_data(adata, temporary)
    sizes = adata.obs[key_added].value_counts(sort=False)
    print(f"{found.n_domains} domains of {', '.join(map(str, sizes))} cells, states averaged {found.n_averagings} "
          f"times\nannotated data: {output}")


def plot(
    kind: Annotated[Kind, typer.Argument(help="What the figure shows.", metavar="KIND")],
    data: Data,
    output: output_option("File to write the figure to: .svg, .png or .pdf."),
    color: Annotated[str | None, typer.Option(
        help="What sets the colour of the cells: a column of obs, a gene, or a metagene such as 'metagene 3'. For "
             "type-affinity and markers, the column of obs with the clusters. By default spicemix_cluster.")] = None,
    sample_key: FittedSampleKey = None,
    graph_key: GraphKey = None,
    spatial_key: FittedSpatialKey = None,
    gene_sets: Annotated[Path | None, typer.Option(
        help="File of gene sets, .gmt; required for enrichment only.")] = None,
    random_state: RandomState = 0,
    force: Force = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Draw one figure.

    The data are the output of `spicemix fit --annotated` or `spicemix cluster`. Results that the figure needs and that
    the data do not hold, such as the clusters, the UMAP or the affinity of cell types, are computed.

    \b
    Examples:
      spicemix plot spatial clustered.h5ad -o map.svg
      spicemix plot affinity clustered.h5ad -o affinity.pdf
    """
    check_suffix(output, FIGURE_SUFFIXES)
    check_outputs(force, output)
    if (gene_sets is None) == (kind == "enrichment"):
        raise typer.BadParameter("The figure enrichment requires a .gmt file; other figures do not take one.",
                                 param_hint="--gene-sets")
    given = {"--color": color, "--sample-key": sample_key, "--graph-key": graph_key, "--spatial-key": spatial_key}
    for option, value in given.items():
        if value is not None and kind not in FIGURES_OF[option]:
            raise typer.BadParameter(f"The figure {kind} does not depend on it. Leave the option out.",
                                     param_hint=option)
    from spicemix_core.inputs.memory import GRAPH_KEY, key_of_fit

    adata = read(data, backed=True)
    sample_key = sample_key or key_of_fit(adata, "sample_key")
    graph_key = graph_key or key_of_fit(adata, "graph_key", GRAPH_KEY)
    color = color or "spicemix_cluster"
    if kind in COLORED and color == "spicemix_cluster" and color not in adata.obs:
        from spicemix_core import tl

        tl.cluster(adata)
        print("The data hold no clusters, so they were computed as by `spicemix cluster`.", file=sys.stderr)
    figure = _draw(kind, adata, color, {"sample_key": sample_key, "spatial_key": spatial_key}, graph_key, gene_sets,
                   random_state)
    with replacing(output) as temporary:
        write_figure(figure, temporary)
    print(output)


def _draw(kind, adata, color, places, graph_key, gene_sets, random_state):
    from spicemix_core import pl, tl
    from spicemix_core.inputs.memory import key_of_fit

    if kind == "spatial":
        return pl.spatial(adata, color, **places, layer=key_of_fit(adata, "layer"))
    if kind == "domains":
        if "domains" not in adata.uns.get("spicemix", {}):
            tl.domains(adata, graph_key=graph_key)
        return pl.domains(adata, **places)
    if kind == "umap":
        tl.umap(adata, random_state=random_state)
        return pl.umap(adata, color)
    if kind == "type-affinity":
        tl.type_affinity(adata, color, sample_key=places["sample_key"], graph_key=graph_key, random_state=random_state)
        return pl.type_affinity(adata)
    if kind == "enrichment":
        tl.enrichment(adata, gene_sets)
        return pl.enrichment(adata)
    if kind == "genes":
        tl.metagene_genes(adata)
        return pl.metagene_genes(adata)
    if kind == "markers":
        tl.markers(adata, color, layer=key_of_fit(adata, "layer"))
        return pl.markers(adata)
    if kind == "metagenes":
        return pl.metagenes(adata, **places)
    if kind == "tree" and "cluster" not in adata.uns.get("spicemix", {}):
        tl.cluster(adata)
    return {"affinity": pl.affinity, "history": pl.history, "tree": pl.tree}[kind](adata)
