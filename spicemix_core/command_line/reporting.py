"""``spicemix report``."""

from typing import Annotated

import typer

from spicemix_core.command_line.running import (
    Data,
    Debug,
    Force,
    GraphKey,
    Layer,
    Model,
    Normalize,
    SampleKey,
    Seed,
    Threads,
    check_outputs,
    check_suffix,
    output_option,
)


def report(
    model: Model,
    data: Data,
    output: output_option("The page, .html."),
    sample_key: SampleKey = None,
    graph_key: GraphKey = "spatial_connectivities",
    layer: Layer = None,
    normalize: Normalize = False,
    title: Annotated[str | None, typer.Option(help="Title of the page; default: the name of the data.")] = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Write one page on a fit.

    Cell types, maps, metagenes, affinity, markers, agreement over seeds, diagnostics. The page is one HTML file that
    needs no network. States and clusters that the data hold are shown as they are; otherwise they are computed.

    \b
    Example:
      spicemix report model.h5 fitted.h5ad --sample-key sample -o report.html
    """
    check_suffix(output, (".html",))
    check_outputs(force, output)
    from spicemix_core.report import write_report

    write_report(model, data, output, sample_key=sample_key, graph_key=graph_key, layer=layer, normalize=normalize,
                 title=title, random_state=seed)
    print(output)
