"""Data as `spicemix fit`, `transform` and `select` read them, and what they print about them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spicemix_core.command_line.messages import told_at_once
from spicemix_core.command_line.process import stage

if TYPE_CHECKING:
    from anndata import AnnData

    from spicemix_core.model import SpiceMix


def read_prepared(data: Path, *, positions: Path | None, graph: str, graph_key: str | None, genes: str | None,
                  spatial_key: str | None, non_spatial: bool = False, memory: int | None = None,
                  n_metagenes: int = 0, **options: Any) -> "AnnData":
    """Read data, prepare them for a fit with ``n_metagenes``, and print what was understood.

    ``options`` are those of :func:`spicemix_core.prepare`.
    """
    from spicemix_core.inputs.memory import GRAPH_KEY

    adata = read_within(memory, data, positions, n_metagenes)
    return _prepared(adata, graph=_kind(graph, non_spatial), graph_key=graph_key or GRAPH_KEY, genes=_genes(genes),
                     spatial_key=_spatial_key(spatial_key, positions),
                     **{name: value for name, value in options.items() if value is not None})


def read_as_fitted(data: Path, model: "SpiceMix", *, positions: Path | None, graph: str, non_spatial: bool,
                   one_sample: bool, sample_key: str | None, layer: str | None, spatial_key: str | None,
                   memory: int | None = None, **options: Any) -> tuple["AnnData", str | None, str | None]:
    """Read data and prepare them as those of the fit, except for ``options`` that are given, and print the result.

    Returns
    -------
    adata, sample_key, graph_key
    """
    from spicemix_core.inputs.memory import AS_FITTED, preparation_as_fitted

    if one_sample and sample_key is not None:
        raise typer.BadParameter("Leave out either --one-sample or --sample-key.", param_hint="--one-sample")
    adata = read_within(memory, data, positions, model.n_metagenes)
    key = None if one_sample else sample_key or AS_FITTED
    place = None if layer == "X" and layer not in adata.layers else layer or AS_FITTED
    used = preparation_as_fitted(model, adata, graph=graph, sample_key=key, layer=place,
                                 spatial_key=_spatial_key(spatial_key, positions), **options)
    if non_spatial or not model.spatial:
        used |= {"graph": _kind(graph, True)} | dict.fromkeys(("max_length", "n_neighbors", "radius"))
    prepared = _prepared(adata, **used)
    return prepared, used["sample_key"], None if used["graph"] is None else used["graph_key"]


def read_within(memory: int | None, data: Path, positions: Path | None, n_metagenes: int) -> "AnnData":
    """Read data for a step with ``n_metagenes``; expression that does not fit into ``memory`` bytes stays in its file.

    What was decided is printed.
    """
    if memory is None:
        return read(data, positions)
    from spicemix_core.command_line.budget import Budget
    from spicemix_core.inputs.blocks import with_dask

    adata = read(data, positions, backed=True)
    plan = Budget(memory, n_metagenes).plan(adata, data)
    print(plan.sentence, flush=True)
    return read(data, positions) if plan.cells_per_block is None else with_dask(adata, plan.cells_per_block)


def read(data: Path, positions: Path | None = None, *, backed: bool = False) -> "AnnData":
    """Read data and positions, with expression left in its file if ``backed``; a terminal shows that this has begun."""
    with stage(f"reading {data}"):
        from spicemix_core.exchange.readers import read_data

        return read_data(data, positions=positions, backed=backed)


def _spatial_key(spatial_key, positions):
    """Positions of a table are in the usual place, also if earlier ones were in another."""
    return spatial_key or (None if positions is None else "spatial")


def _genes(text):
    """The names in a file of genes, one per line; any other text itself."""
    if text is None or not Path(text).is_file():
        return text
    lines = Path(text).read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _kind(graph, non_spatial):
    """The kind of graph; None without one, for which no kind can be chosen."""
    if non_spatial and graph != "auto":
        raise typer.BadParameter("There is no graph with --non-spatial. Leave out one of the two.",
                                 param_hint="--graph")
    return None if non_spatial else graph


def _prepared(adata, **options):
    from spicemix_core.inputs.prepare import prepare
    from spicemix_core.inputs.summary import describe_input, summarize_input
    with told_at_once(), stage("neighbour graph and normalisation"):
        prepared = prepare(adata, **options)
    graph_key = None if options["graph"] is None else options["graph_key"]
    print(*describe_input(summarize_input(prepared, options.get("sample_key"), graph_key)), sep="\n", flush=True)
    return prepared
