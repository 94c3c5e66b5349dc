"""``spicemix report``."""

from typing import Annotated

import typer

from spicemix_core.command_line.options import (
    Data,
    Debug,
    FittedSampleKey,
    FittedSpatialKey,
    Force,
    GraphKey,
    Layer,
    Model,
    Normalize,
    Quiet,
    RandomState,
    Threads,
    output_option,
)
from spicemix_core.command_line.outputs import check_outputs, check_suffix


def report(
    model: Model,
    data: Data,
    output: output_option("File to write the page to, .html."),
    sample_key: FittedSampleKey = None,
    graph_key: GraphKey = None,
    spatial_key: FittedSpatialKey = None,
    layer: Layer = None,
    normalize: Normalize = False,
    title: Annotated[str | None, typer.Option(help="Title of the page. By default, the name of the data.")] = None,
    random_state: RandomState = 0,
    force: Force = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Write a report of a fit as one HTML page.

    The page shows cell types, maps, metagenes, affinity, markers, agreement between seeds and diagnostics, and needs no
    network. States and clusters in the data are shown unchanged; missing ones are computed.

    \b
    Example:
      spicemix report model.h5 fitted.h5ad -o report.html
    """
    check_suffix(output, (".html",))
    check_outputs(force, output)
    from spicemix_core.report import write_report

    write_report(model, data, output, sample_key=sample_key, graph_key=graph_key, layer=layer,
                 spatial_key=spatial_key, normalize=normalize, title=title, random_state=random_state)
    print(output)
