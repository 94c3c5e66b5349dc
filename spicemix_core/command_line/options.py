"""Arguments and options that several commands share; each has the name of the library's parameter."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
RENAMED = {
    "--penalty": "--affinity-penalty", "--metagenes": "--n-metagenes", "--neighbors": "--n-neighbors",
    "--runs": "--n-runs", "--jobs": "--n-jobs", "--seeds": "--n-seeds", "--seed": "--random-state",
    "--no-space": "--non-spatial", "--clusters": "--n-clusters", "--samples": "--n-samples", "--cells": "--n-cells",
}


def _set_threads(number: int | None) -> int | None:
    if number is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(number)))
    return number


def _length(text: str | None) -> float | str | None:
    """A number as a number; anything else is checked by the library."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _size(text: str | None) -> int | None:
    """Bytes of a size such as 4G or 500 MB; powers of 1024."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]*\.?[0-9]+) *([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is not a size such as 4G or 500M.", param_hint="--memory")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def output_option(what: str):
    """The required option ``--output``, ``-o``; ``what`` is its help."""
    return Annotated[Path, typer.Option("--output", "-o", help=what)]


Data = Annotated[Path, typer.Argument(
    metavar="DATA",
    help="Expression of cells x genes: an .h5ad file, a .zarr store, the output folder of a platform (Visium, Visium "
         "HD, Xenium, CosMx or MERSCOPE), a matrix of counts (.h5, .mtx, .csv, .tsv or .gem), or a directory in the "
         "authors' text format.")]
Positions = Annotated[Path | None, typer.Option(
    help="Table with the positions of the cells (.csv, .tsv or .parquet), if they are not stored with the expression.")]
SpatialKey = Annotated[str | None, typer.Option(
    help="Where the positions are: a name in obsm, by default spatial, or columns of obs, such as "
         "x_centroid,y_centroid.")]
FittedSpatialKey = Annotated[str | None, typer.Option(
    help="Where the positions are: a name in obsm, or columns of obs separated by commas. By default as in the "
         "fit.")]
Memory = Annotated[str | None, typer.Option(
    metavar="SIZE", callback=_size,
    help="Memory that the command may use, such as 4G. Expression that does not fit is read from its file, .h5ad or "
         ".zarr, in blocks of cells in every pass. By default, all data are read into memory.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that `spicemix fit` wrote.")]

SampleKey = Annotated[str | None, typer.Option(
    help="Column of obs with the sample of each cell. By default, all cells belong to one sample.")]
FittedSampleKey = Annotated[str | None, typer.Option(
    help="Column of obs with the sample of each cell. By default, the column that was used in the fit.")]
Layer = Annotated[str | None, typer.Option(
    help="Layer that holds the expression; it becomes X of the data that are written. By default, X is used.")]
Normalize = Annotated[bool, typer.Option(
    "--normalize", help="Treat the expression as counts: scale each cell to a total (--target-sum) and take "
                        "log(1 + x).")]
TargetSum = Annotated[float | None, typer.Option(
    min=0, help="Total to which --normalize scales each cell. By default 10,000.")]
MinCounts = Annotated[float | None, typer.Option(
    min=0, help="Leave out cells with a smaller total, such as empty bins. By default, all cells are kept.")]
MinCells = Annotated[int | None, typer.Option(
    min=1, help="Leave out genes that fewer cells express. By default, all genes are kept.")]
Genes = Annotated[str | None, typer.Option(
    metavar="FILE|COLUMN", help="Genes to use: a file with one name per line, or a column of var that is true for "
                                "them, such as highly_variable.")]
NTopGenes = Annotated[int | None, typer.Option(
    min=1, help="Use only this many genes, those that vary most; needs --normalize.")]
KeepControls = Annotated[bool, typer.Option(
    "--keep-controls", help="Keep control probes of the platform and features that are no genes.")]

GraphKey = Annotated[str | None, typer.Option(
    help="Name of the neighbour graph in obsp, by default spatial_connectivities. An existing graph is used as "
         "it is.")]
Graph = Annotated[Literal["auto", "lattice", "delaunay", "knn", "radius"], typer.Option(
    help="Kind of neighbour graph to build from obsm['spatial'] if obsp has none. 'auto' takes the neighbours on a "
         "square or hexagonal lattice if the positions form one, and otherwise Delaunay neighbours within each piece "
         "of tissue.")]
MaxLength = Annotated[str | None, typer.Option(
    metavar="LENGTH", callback=_length,
    help="Maximum length of an edge of the Delaunay graph, in the unit of the positions, or as a multiple of the "
         "median edge, such as 3x.")]
NNeighbors = Annotated[int | None, typer.Option(
    min=1, help="Number of nearest neighbours of a cell in the knn graph. By default 6.")]
Radius = Annotated[float | None, typer.Option(
    help="Maximum distance between neighbours in the radius graph, in the unit of the positions.")]
RebuildGraph = Annotated[bool, typer.Option(
    "--rebuild-graph", help="Build a neighbour graph even if the data have one, and replace it.")]
Symmetrize = Annotated[bool, typer.Option(
    "--symmetrize", help="Make an existing graph symmetric and remove its weights.")]
NonSpatial = Annotated[bool, typer.Option(
    "--non-spatial", help="Ignore positions and neighbour graph; the model is then plain NMF.")]

MaxIter = Annotated[int, typer.Option(min=1, help="Maximum number of iterations of a fit.")]
NJobs = Annotated[int, typer.Option(min=1, help="Number of fits that run at the same time.")]
RandomState = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing outputs.")]
Threads = Annotated[int | None, typer.Option(
    min=1, callback=_set_threads, help="Number of threads of the compiled code. By default, one per core.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
