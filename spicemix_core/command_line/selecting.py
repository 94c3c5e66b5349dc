"""``spicemix select``."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from spicemix_core.command_line.running import (
    FIGURE_SUFFIXES,
    Data,
    Debug,
    Force,
    Graph,
    GraphKey,
    Layer,
    MaxLength,
    Neighbors,
    Normalize,
    Radius,
    SampleKey,
    Seed,
    Symmetrize,
    Threads,
    check_outputs,
    check_suffix,
    output_option,
    read_prepared,
    resumable,
    save_figure,
    write_table,
)

SHOWN = ["n_metagenes", "affinity_penalty", "error", "error_se", "as_good", "ari", "seconds"]


def _numbers(text, kind, option):
    """Comma-separated numbers."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise typer.BadParameter(f"{text!r} is not a list of {what} such as "
                                 f"{'5,10,15' if kind is int else '1e-4,1e-3'}.", param_hint=option) from None


def select(
    data: Data,
    output: output_option("Table of the grid, .csv."),
    metagenes: Annotated[str, typer.Option("--metagenes", "-k", help="Numbers of metagenes to try.")] = "5,10,15,20",
    penalty: Annotated[str, typer.Option(help="Penalties on the affinity to try.")] = "1e-4",
    seeds: Annotated[int, typer.Option(min=1, help="Fits per setting.")] = 3,
    sample_key: SampleKey = None,
    graph: Graph = "delaunay",
    graph_key: GraphKey = "spatial_connectivities",
    max_length: MaxLength = None,
    neighbors: Neighbors = 6,
    radius: Radius = None,
    symmetrize: Symmetrize = False,
    layer: Layer = None,
    normalize: Normalize = False,
    jobs: Annotated[int, typer.Option(min=1, help="Fits at a time.")] = 1,
    max_iter: Annotated[int, typer.Option(min=1, help="Most iterations of a fit.")] = 200,
    plot: Annotated[Path | None, typer.Option(help="Also draw the trade-off: .svg, .png or .pdf.")] = None,
    folder: Annotated[Path | None, typer.Option(
        help="Where fits are kept, for later grids too; default: beside the output until all are done.")] = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Compare settings and suggest one.

    For each number of metagenes and penalty: how well entries that were held out are predicted, how stable metagenes
    and cell types are over seeds, and what a fit costs.

    \b
    Example:
      spicemix select tissue.h5ad -k 5,10,15,20 -o grid.csv --plot grid.svg
    """
    numbers, penalties = _numbers(metagenes, int, "--metagenes"), _numbers(penalty, float, "--penalty")
    check_suffix(output, (".csv",))
    check_suffix(plot, FIGURE_SUFFIXES, "--plot")
    check_outputs(force, output, plot)
    kept = folder or output.with_name(f"{output.name}.fits")
    adata = read_prepared(data, sample_key=sample_key, graph_key=graph_key, graph=graph, max_length=max_length,
                          neighbors=neighbors, radius=radius, symmetrize=symmetrize, layer=layer,
                          normalize=normalize, no_space=False)
    from spicemix_core.runs.selection import select as select_settings

    with resumable(f"the same command goes on with the fits in {kept}."):
        selection = select_settings(adata, n_metagenes=numbers, affinity_penalty=penalties, n_seeds=seeds,
                                    sample_key=sample_key, graph_key=graph_key, random_state=seed,
                                    n_jobs=jobs, folder=kept, max_iter=max_iter)
    write_table(selection.table, output)
    if plot:
        from spicemix_core import pl

        save_figure(pl.selection(selection.table), plot)
    if folder is None:
        shutil.rmtree(kept)
    print(selection.table[SHOWN].to_string(index=False, float_format="{:.4g}".format))
    suggested = selection.suggestion
    print(f"suggestion: --metagenes {suggested['n_metagenes']} --penalty {suggested['affinity_penalty']:g}\n"
          f"{selection.reason}")
