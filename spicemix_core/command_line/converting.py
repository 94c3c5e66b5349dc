"""``spicemix convert``."""

from pathlib import Path
from typing import Annotated

import typer

from spicemix_core.command_line.options import Debug, Force, GraphKey, Positions, SampleKey, Threads
from spicemix_core.command_line.outputs import DATA_SUFFIXES, check_outputs, check_suffix
from spicemix_core.files.atomic import replacing


def convert(
    source: Annotated[Path, typer.Argument(
        metavar="SOURCE",
        help="Data that `spicemix fit` reads, or a result file .h5 of the authors' program.")],
    target: Annotated[Path, typer.Argument(
        metavar="TARGET", help="What to write: .h5ad, .zarr, .h5 (from a result), or a directory.")],
    positions: Positions = None,
    sample_key: SampleKey = None,
    graph_key: GraphKey = None,
    data: Annotated[Path | None, typer.Option(
        help="Data that the result file was computed from; the model then has their names and units.")] = None,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Convert data or a result to another format.

    The suffix of the target decides the format; a target without a suffix is a directory in the authors' text format. A
    result file of the authors' program becomes a model for `spicemix report` and `spicemix transform`.

    \b
    Examples:
      spicemix convert tissue.h5ad tissue.zarr
      spicemix convert authors_files/ tissue.h5ad
      spicemix convert counts.csv tissue.h5ad --positions positions.csv
      spicemix convert SpiceMix_K10.h5 model.h5 --data authors_files/
    """
    check_suffix(target, (*DATA_SUFFIXES, ".h5", ""), "TARGET")
    check_outputs(force, target)
    if data is not None and target.suffix != ".h5":
        raise typer.BadParameter("Only the conversion of a result to a model (.h5) takes data.", param_hint="--data")
    from spicemix_core.exchange import conversion
    from spicemix_core.inputs.memory import GRAPH_KEY

    with replacing(target) as temporary:
        if data is None:
            conversion.convert(source, temporary, positions=positions, sample_key=sample_key,
                               graph_key=graph_key or GRAPH_KEY)
        else:
            conversion.convert_result(source, temporary, data=data)
    print(target)
