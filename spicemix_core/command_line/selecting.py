"""``spicemix select``."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from spicemix_core.command_line.messages import resumable
from spicemix_core.command_line.options import (
    Data,
    Debug,
    Force,
    Genes,
    Graph,
    GraphKey,
    KeepControls,
    Layer,
    MaxIter,
    MaxLength,
    MinCells,
    MinCounts,
    NJobs,
    NNeighbors,
    Normalize,
    NTopGenes,
    Positions,
    Quiet,
    Radius,
    RandomState,
    RebuildGraph,
    SampleKey,
    SpatialKey,
    Symmetrize,
    TargetSum,
    Threads,
    output_option,
)
from spicemix_core.command_line.outputs import (
    FIGURE_SUFFIXES,
    check_outputs,
    check_suffix,
    write_figure,
    write_table,
)
from spicemix_core.command_line.reading import read_prepared
from spicemix_core.files.atomic import replacing_together
from spicemix_core.files.lock import reserved

SHOWN = ["n_metagenes", "affinity_penalty", "error", "error_se", "as_good", "ari", "seconds"]


def select(
    data: Data,
    output: output_option("File to write the table of all settings to, .csv."),
    n_metagenes: Annotated[str, typer.Option(
        "--n-metagenes", "-k", help="Numbers of metagenes to compare, separated by commas.")] = "5,10,15,20",
    affinity_penalty: Annotated[str, typer.Option(
        help="Penalties on the affinity to compare, separated by commas.")] = "1e-4",
    n_seeds: Annotated[int, typer.Option(min=2, help="Number of seeds, at least two, to fit each setting from.")] = 3,
    sample_key: SampleKey = None,
    graph: Graph = "auto",
    graph_key: GraphKey = None,
    max_length: MaxLength = None,
    n_neighbors: NNeighbors = None,
    radius: Radius = None,
    rebuild_graph: RebuildGraph = False,
    symmetrize: Symmetrize = False,
    positions: Positions = None,
    spatial_key: SpatialKey = None,
    layer: Layer = None,
    normalize: Normalize = False,
    target_sum: TargetSum = None,
    genes: Genes = None,
    n_top_genes: NTopGenes = None,
    keep_controls: KeepControls = False,
    min_counts: MinCounts = None,
    min_cells: MinCells = None,
    n_jobs: NJobs = 1,
    max_iter: MaxIter = 200,
    plot: Annotated[Path | None, typer.Option(
        help="Also draw the comparison as a figure: .svg, .png or .pdf.")] = None,
    folder: Annotated[Path | None, typer.Option(
        help="Folder to keep the finished fits in, which a later command with more settings can use. By default, a "
             "folder next to the output that is removed when the outputs are written.")] = None,
    random_state: RandomState = 0,
    force: Force = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Compare settings of the model and suggest one.

    A setting is a number of metagenes and a penalty. For each one, the table holds the error in predicting held-out
    entries, the stability of metagenes and cell types between seeds, and the time of a fit.

    \b
    Example:
      spicemix select tissue.h5ad -k 5,10,15,20 -o grid.csv --plot grid.svg
    """
    numbers = _numbers(n_metagenes, int, "--n-metagenes")
    penalties = _numbers(affinity_penalty, float, "--affinity-penalty")
    check_suffix(output, (".csv",))
    check_suffix(plot, FIGURE_SUFFIXES, "--plot")
    check_outputs(force, output, plot)
    fits = folder or output.with_name(f"{output.name}.fits")
    adata = read_prepared(data, sample_key=sample_key, graph_key=graph_key, graph=graph, max_length=max_length,
                          n_neighbors=n_neighbors, radius=radius, rebuild_graph=rebuild_graph, symmetrize=symmetrize,
                          positions=positions, spatial_key=spatial_key, layer=layer, normalize=normalize,
                          target_sum=target_sum, genes=genes, n_top_genes=n_top_genes, keep_controls=keep_controls,
                          min_counts=min_counts, min_cells=min_cells)
    from spicemix_core import pl
    from spicemix_core.inputs.memory import GRAPH_KEY
    from spicemix_core.runs.selection import select as select_settings

    with reserved(fits), resumable("comparison", f"the fits in {fits}"):
        selection = select_settings(adata, n_metagenes=numbers, affinity_penalty=penalties, n_seeds=n_seeds,
                                    sample_key=sample_key, graph_key=graph_key or GRAPH_KEY, random_state=random_state,
                                    n_jobs=n_jobs, folder=fits, max_iter=max_iter)
        with replacing_together(*filter(None, (output, plot))) as temporary:
            write_table(selection.table, temporary[0])
            if plot:
                write_figure(pl.selection(selection.table), temporary[1])
        if folder is None:
            shutil.rmtree(fits)
    print(selection.table[SHOWN].to_string(index=False, float_format="{:.4g}".format))
    suggested = selection.suggestion
    print(f"suggestion: --n-metagenes {suggested['n_metagenes']} "
          f"--affinity-penalty {suggested['affinity_penalty']:g}\n{selection.reason}")


def _numbers(text: str, kind: Callable, option: str) -> tuple:
    """Numbers separated by commas."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        what, example = ("whole numbers", "5,10,15") if kind is int else ("numbers", "1e-4,1e-3")
        raise typer.BadParameter(f"{text!r} is not a list of {what} such as {example}.", param_hint=option) from None
