"""``spicemix simulate`` and ``spicemix convert``."""

from pathlib import Path
from typing import Annotated

import typer

from spicemix_core.command_line.running import (
    DATA_SUFFIXES,
    Debug,
    Force,
    GraphKey,
    SampleKey,
    Seed,
    Threads,
    check_outputs,
    check_suffix,
    output_option,
    write_data,
)
from spicemix_core.files.atomic import replacing_any


def simulate(
    output: output_option("Where the tissue is written, .h5ad or .zarr."),
    samples: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 1,
    cells: Annotated[int, typer.Option(min=2, help="Cells per sample.")] = 500,
    genes: Annotated[int, typer.Option(min=1, help="Number of genes.")] = 100,
    sigma_x: Annotated[float, typer.Option(min=0, help="Scale of the variation between cells of one type.")] = 3.0,
    sigma_y: Annotated[float, typer.Option(min=0, help="Scale of the noise.")] = 2.0,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Draw a simulated cortex, with its truth.

    The tissue of the paper: four layers, eight cell types, thirteen metagenes.

    \b
    Example:
      spicemix simulate --samples 2 --cells 500 --seed 1 -o simulated.h5ad
    """
    check_suffix(output, DATA_SUFFIXES)
    check_outputs(force, output)
    from spicemix_core.datasets.simulation import simulate_cortex

    adata = simulate_cortex(samples, sigma_x=sigma_x, sigma_y=sigma_y, n_cells=cells, n_genes=genes, random_state=seed)
    write_data(adata, output)
    print(f"{adata.n_obs:,} cells in {samples} samples, {adata.n_vars:,} genes: {output}")


def convert(
    source: Annotated[Path, typer.Argument(
        metavar="SOURCE",
        help="An .h5ad file, a .zarr store, a directory in the authors' text format, or their result file .h5.")],
    target: Annotated[Path, typer.Argument(
        metavar="TARGET", help="What to write: .h5ad, .zarr, .h5 (from a result), or a directory.")],
    sample_key: SampleKey = None,
    graph_key: GraphKey = "spatial_connectivities",
    data: Annotated[Path | None, typer.Option(
        help="For a result of the authors' program: the data it was run on, to put names and units back.")] = None,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Turn one format into another.

    The form of the target is told by its name; without an ending it is a directory in the authors' text format. A
    result file of the authors' own program becomes a model, which `spicemix report` and `spicemix transform` read.

    \b
    Examples:
      spicemix convert tissue.h5ad tissue.zarr
      spicemix convert authors_files/ tissue.h5ad
      spicemix convert SpiceMix_K10.h5 model.h5 --data authors_files/
    """
    check_suffix(target, (*DATA_SUFFIXES, ".h5", ""), "TARGET")
    check_outputs(force, target)
    if data is not None and target.suffix != ".h5":
        raise typer.BadParameter("only a result that becomes a model (.h5) takes it.", param_hint="--data")
    from spicemix_core.exchange import conversion

    with replacing_any(target) as temporary:
        if data is None:
            conversion.convert(source, temporary, sample_key=sample_key, graph_key=graph_key)
        else:
            conversion.convert_result(source, temporary, data=data)
    print(target)
