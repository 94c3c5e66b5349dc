"""What the commands share: their options, threads, outputs that are never overwritten by mistake, and messages."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from spicemix_core.files.atomic import replacing

DATA_SUFFIXES = (".h5ad", ".zarr")
MODEL_SUFFIXES = (".h5", ".hdf5")
FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
FOLDER_SUFFIXES = (".zarr", "")
OWN_FOLDERS = ("zarr.json", ".zgroup", ".zattrs", "expression_*.txt")  # what is in those that are written here
THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Interrupted(Exception):
    """The user stopped a command that can go on from where it was; the message says how."""


def _set_threads(number: int | None):
    if number is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(number)))
    return number


Data = Annotated[Path, typer.Argument(
    metavar="DATA", help="Cells x genes: an .h5ad file, a .zarr store, or a directory in the authors' text format.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `spicemix fit` wrote.")]
Force = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
Threads = Annotated[int | None, typer.Option(
    "--threads", min=1, callback=_set_threads, help="Threads of the compiled code; default: one per core.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
SampleKey = Annotated[str | None, typer.Option(
    help="Column of obs that names each cell's sample; default: one sample.")]
Layer = Annotated[str | None, typer.Option(
    help="Layer that holds the expression; it becomes X of the data that are written. Default: X.")]
GraphKey = Annotated[str, typer.Option(
    help="Key of obsp with the graph of neighbours, which is used as it is if it is there.")]
Graph = Annotated[Literal["delaunay", "knn", "radius"], typer.Option(
    help="Graph to build from obsm['spatial'] if obsp has none.")]
MaxLength = Annotated[float | None, typer.Option(
    help="Longest edge of a Delaunay graph, in the units of the positions.")]
Neighbors = Annotated[int, typer.Option(min=1, help="Neighbours looked up per cell in a knn graph.")]
Radius = Annotated[float | None, typer.Option(help="Distance within which cells are neighbours in a radius graph.")]
Normalize = Annotated[bool, typer.Option(
    "--normalize", help="The data are counts: scale each cell to a total of 10,000 and take log(1 + x).")]
Symmetrize = Annotated[bool, typer.Option(
    "--symmetrize", help="Make a graph that is there symmetric and without weights.")]
NoSpace = Annotated[bool, typer.Option("--no-space", help="Ignore positions and graph (plain NMF).")]


def output_option(what):
    """``--output``/``-o``, a path that must be given."""
    return Annotated[Path, typer.Option("--output", "-o", help=what)]


def check_outputs(force, *paths):
    """Refuse, before any work, outputs that exist (without ``force``) or whose folder is not there or not writable.

    ``force`` replaces a file by a file, and a folder by a folder if it is one of data.
    """
    for path in filter(None, paths):
        if path.exists() and not force:
            raise FileExistsError(f"{path} exists; give --force to replace it, or another name.")
        if path.exists() and path.is_dir() != (path.suffix.lower() in FOLDER_SUFFIXES):
            kind = "folder" if path.is_dir() else "file"
            raise FileExistsError(f"{path} is a {kind}, which --force does not replace; choose another name.")
        if path.is_dir() and any(path.iterdir()) and not any(any(path.glob(name)) for name in OWN_FOLDERS):
            raise FileExistsError(f"{path} is a folder of something else than data, which --force does not replace.")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"the folder {path.parent} of {path.name} does not exist; make it first.")
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"the folder {path.parent} cannot be written to; choose another.")


def check_suffix(path, suffixes, option="--output"):
    """Refuse a path whose suffix is none of those that can be written."""
    if path is not None and path.suffix.lower() not in suffixes:
        endings = " or ".join(suffix or "nothing (a directory)" for suffix in suffixes)
        raise typer.BadParameter(f"{path} must end in {endings}.", param_hint=option)
    return path


def read_prepared(data, *, sample_key, graph_key, graph, max_length, neighbors, radius, symmetrize, layer, normalize,
                  no_space):
    """The data with a graph of neighbours and normalised expression, as a fit needs them."""
    from spicemix_core.exchange.readers import read_data
    from spicemix_core.inputs.prepare import prepare

    return prepare(read_data(data), sample_key=sample_key, graph=None if no_space else graph, max_length=max_length,
                   n_neighbors=neighbors, radius=radius, normalize=normalize, layer=layer, graph_key=graph_key,
                   symmetrize=symmetrize)


def write_data(adata, target):
    """An AnnData object as .h5ad or .zarr, whole or not at all."""
    from spicemix_core.exchange import conversion

    conversion.write_data(adata, target)


def write_table(table, path):
    """A DataFrame as CSV, whole or not at all."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def save_figure(figure, path):
    """A figure as SVG, PNG or PDF by the suffix of ``path``, the same bytes from the same data."""
    import matplotlib as mpl

    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with replacing(path) as temporary, mpl.rc_context({"svg.hashsalt": "spicemix"}):
        figure.savefig(temporary, format=path.suffix[1:].lower(), bbox_inches="tight",
                       metadata=dates.get(path.suffix.lower()))


@contextmanager
def resumable(how):
    """Turn the user's interruption into one line that says how the command goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(f"interrupted; {how}") from stop


AS_OPTIONS = {"pass normalize=True": "give --normalize", "leave out normalize": "leave out --normalize",
              "pass graph=None": "give --no-space", "pass symmetrize=True to prepare": "give --symmetrize",
              "or fit with spatial=False": "or give --no-space",
              'graph="radius" needs a radius': "--graph radius needs a --radius"}


def one_line(error):
    """An error as one line that names options as they are written here; of errors that say what is wrong, the message.
    """
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = " ".join(str(text).split()) or type(error).__name__
    for argument, option in AS_OPTIONS.items():
        text = text.replace(argument, option)
    expected = isinstance(error, (ValueError, KeyError, OSError, ImportError, RuntimeError, Interrupted))
    return text if expected else f"{type(error).__name__}: {text}"
