"""``spicemix fit`` and ``spicemix transform``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spicemix_core.command_line.messages import resumable
from spicemix_core.command_line.options import (
    Data,
    Debug,
    FittedSampleKey,
    Force,
    Genes,
    Graph,
    GraphKey,
    KeepControls,
    Layer,
    MaxLength,
    Memory,
    MinCells,
    MinCounts,
    Model,
    NJobs,
    NNeighbors,
    NonSpatial,
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
    DATA_SUFFIXES,
    MODEL_SUFFIXES,
    check_data,
    check_outputs,
    check_suffix,
    write_data,
)
from spicemix_core.command_line.reading import read_as_fitted, read_prepared
from spicemix_core.files.atomic import replacing_together
from spicemix_core.files.lock import reserved
from spicemix_core.files.removal import until_saved

FIXED = {
    "--non-spatial": "Leave it out with --as-in-the-paper, which includes the spatial term.",
    "--device": "Leave it out with --as-in-the-paper, which runs the compiled code on the processor.",
    "--tol": "Leave it out with --as-in-the-paper, which has no convergence criterion.",
}


def fit(
    data: Data,
    output: output_option("File to write the fitted model to, .h5."),
    n_metagenes: Annotated[int, typer.Option("--n-metagenes", "-k", min=2, help="Number of metagenes K.")] = 20,
    affinity_penalty: Annotated[float, typer.Option(
        help="Penalty lambda_Sigma on the affinity; larger values weaken the spatial term.")] = 1e-4,
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
    non_spatial: NonSpatial = False,
    as_in_the_paper: Annotated[bool, typer.Option(
        "--as-in-the-paper",
        help="Fit and cluster exactly as the paper describes: several seeds, of which the one with the highest "
             "objective Q is written.")] = False,
    n_runs: Annotated[int | None, typer.Option(
        min=1, help="Number of fits from different seeds; two or more are combined into a consensus. By default 1, or "
                    "5 with --as-in-the-paper.")] = None,
    n_clusters: Annotated[int | None, typer.Option(
        min=2, help="Number of clusters of the consensus. By default, it is chosen; see the documentation.")] = None,
    n_jobs: NJobs = 1,
    memory: Memory = None,
    max_iter: Annotated[int | None, typer.Option(
        min=1, help="Maximum number of iterations of a fit. By default 200, or 500 with --as-in-the-paper.")] = None,
    tol: Annotated[float | None, typer.Option(
        min=0, help="Convergence tolerance: the fit stops when all changes in one iteration are smaller. By default "
                    "0.001.")] = None,
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(
        help="Fit with PyTorch on this device. By default, the compiled code runs on the processor.")] = None,
    annotated: Annotated[Path | None, typer.Option(
        "--annotated", "-a",
        help="Also write the data with states, metagenes and history to this .h5ad file or .zarr store.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(
        help="File, or folder for several runs, that keeps the state of the fit until the outputs are written. By "
             "default, the name of the output with .checkpoint added.")] = None,
    random_state: RandomState = 0,
    force: Force = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Learn metagenes, their affinity and the states of cells.

    If a fit is stopped or killed, the same command resumes from the checkpoint and gives the same numbers. With
    --n-runs, the command writes the consensus of several seeds: the model is the run that agrees best with the others,
    and the annotated data hold the cluster of each cell and the share of the runs that agree on it.

    With --as-in-the-paper, the command runs the procedure of the paper to reproduce it. The model is the run with the
    highest objective Q, and the annotated data hold its clusters; cells of clusters with fewer than five cells have
    none.

    \b
    Examples:
      spicemix fit tissue.h5ad -k 20 --sample-key sample -o model.h5
      spicemix fit counts.h5ad --normalize --n-runs 20 -o model.h5 -a fitted.h5ad
      spicemix fit tissue.h5ad --as-in-the-paper -o model.h5 -a fitted.h5ad
    """
    if as_in_the_paper:
        _refuse_what_the_paper_fixes({"--non-spatial": non_spatial or None, "--device": device, "--tol": tol})
    if n_clusters is not None and (as_in_the_paper or n_runs in (None, 1)):
        raise typer.BadParameter("The number of clusters is that of the consensus of several runs. Add --n-runs, or "
                                 "use `spicemix cluster` after the fit.", param_hint="--n-clusters")
    if memory is not None and (as_in_the_paper or n_runs not in (None, 1)):
        raise typer.BadParameter("Several runs hold all data in memory. Leave it out, or fit one run.",
                                 param_hint="--memory")
    check_suffix(output, MODEL_SUFFIXES)
    check_suffix(annotated, DATA_SUFFIXES, "--annotated")
    check_outputs(force, output, annotated)
    checkpoint = checkpoint or output.with_name(f"{output.name}.checkpoint")
    if checkpoint.is_file() and (as_in_the_paper or (n_runs or 1) > 1):
        raise FileExistsError(f"{checkpoint} is a file, but several runs are kept in a folder. Remove it, or choose "
                              "another name with --checkpoint.")
    from spicemix_core.inputs.memory import GRAPH_KEY

    adata = read_prepared(data, sample_key=sample_key, graph_key=graph_key, graph=graph, max_length=max_length,
                          n_neighbors=n_neighbors, radius=radius, rebuild_graph=rebuild_graph, symmetrize=symmetrize,
                          positions=positions, spatial_key=spatial_key, layer=layer, normalize=normalize,
                          target_sum=target_sum, genes=genes, n_top_genes=n_top_genes, keep_controls=keep_controls,
                          min_counts=min_counts, min_cells=min_cells, non_spatial=non_spatial, memory=memory,
                          n_metagenes=n_metagenes)
    check_data(adata, annotated)
    keys = {"sample_key": sample_key, "graph_key": graph_key or GRAPH_KEY}
    options = {"n_metagenes": n_metagenes, "affinity_penalty": affinity_penalty, "random_state": random_state}
    options |= {name: value for name, value in (("max_iter", max_iter), ("tol", tol)) if value is not None}
    with reserved(checkpoint), resumable("fit", checkpoint), until_saved():
        if as_in_the_paper:
            model = _fit_as_published(adata, checkpoint, n_runs, keys | {"n_jobs": n_jobs}, options)
        elif n_runs in (None, 1):
            model = _fit_one(adata, checkpoint, keys, options | {"spatial": not non_spatial, "device": device}, force)
        else:
            runs = {"n_runs": n_runs, "n_jobs": n_jobs, "n_clusters": n_clusters}
            model = _fit_several(adata, checkpoint, keys | runs,
                                 options | {"spatial": not non_spatial, "device": device})
        with replacing_together(*filter(None, (output, annotated))) as temporary:
            model.save(temporary[0])
            if annotated:
                write_data(adata, temporary[1])
    convergence = "" if as_in_the_paper else "converged, " if model.converged_ else "not converged, "
    print(f"{adata.n_obs:,} cells, {adata.n_vars:,} genes, {n_metagenes} metagenes: {model.n_iter_} iterations, "
          f"{convergence}noise {model.noise_:.4g}")
    print(f"model: {output}" + (f"\nannotated data: {annotated}" if annotated else ""))


def _refuse_what_the_paper_fixes(options):
    for option, value in options.items():
        if value is not None:
            raise typer.BadParameter(FIXED[option], param_hint=option)


def _fit_one(adata, checkpoint, keys, options, force):
    from spicemix_core.files.checkpoint import StaleCheckpointError
    from spicemix_core.inputs.errors import ArgumentError
    from spicemix_core.model import SpiceMix

    try:
        return SpiceMix(**options).fit(adata, **keys, checkpoint=checkpoint)
    except StaleCheckpointError as stale:
        if not force:
            raise ArgumentError(stale.problem, "Give {force=True} to start anew, or choose another file with "
                                               "{checkpoint}.") from stale
        print(f"{checkpoint} is of another fit, so this one starts anew.")
        checkpoint.unlink()
        return SpiceMix(**options).fit(adata, **keys, checkpoint=checkpoint)


def _fit_several(adata, folder, keys, options):
    from spicemix_core.runs.consensus import fit_consensus

    consensus = fit_consensus(adata, folder=folder, **keys, **options)
    agreement = consensus.run_summary["ari_with_consensus"]
    print(f"consensus of {keys['n_runs']} runs: {consensus.clustering.n_clusters} clusters "
          f"({consensus.clustering.n_coarse} coarse ones), adjusted Rand index between each run and "
          f"the consensus {agreement.min():.2f} to {agreement.max():.2f}")
    print("the run that agrees best:")
    return consensus.model


def _fit_as_published(adata, folder, n_runs, keys, options):
    from spicemix_core.runs.published_procedure import N_SEEDS, published_procedure

    result = published_procedure(adata, n_runs=n_runs or N_SEEDS, folder=folder, **keys, **options)
    for number, run in enumerate(result.run_summary.itertuples(), 1):
        print(f"run {number}: seed {run.random_state}, Q {run.Q:.6g}, {run.n_clusters} clusters")
    print(f"chosen: run {result.best + 1}, which has the highest Q")
    return result.model


def transform(
    model: Model,
    data: Data,
    output: output_option("File or store to write the data to, with the states in obsm['X_spicemix']: .h5ad or .zarr."),
    sample_key: FittedSampleKey = None,
    graph: Graph = "auto",
    graph_key: GraphKey = None,
    max_length: MaxLength = None,
    n_neighbors: NNeighbors = None,
    radius: Radius = None,
    rebuild_graph: RebuildGraph = False,
    symmetrize: Symmetrize = False,
    positions: Positions = None,
    spatial_key: SpatialKey = None,
    layer: Annotated[str | None, typer.Option(
        help="Layer that holds the expression, or X; it becomes X of the data that are written. By default as in the "
             "fit.")] = None,
    normalize: Annotated[bool | None, typer.Option(
        "--normalize/--no-normalize",
        help="Whether to treat the expression as counts and normalise it. By default as in the fit.")] = None,
    target_sum: TargetSum = None,
    min_counts: MinCounts = None,
    memory: Memory = None,
    non_spatial: NonSpatial = False,
    one_sample: Annotated[bool, typer.Option(
        "--one-sample", help="Take all cells as one sample, also if the model was fitted to several.")] = False,
    min_genes: Annotated[float, typer.Option(
        min=0, max=1, help="Minimum share of the model's genes that the data must contain.")] = 0.5,
    force: Force = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Estimate the states of new cells under a fitted model.

    Genes are matched by name. Metagenes and affinity stay fixed, and are written with the states. The data are
    prepared as those of the fit, with the same columns, layer, normalisation and kind of graph, except for options that
    you give.

    \b
    Example:
      spicemix transform model.h5 new.h5ad -o states.h5ad
    """
    check_suffix(output, DATA_SUFFIXES)
    check_outputs(force, output)
    from spicemix_core.model import SpiceMix

    fitted = SpiceMix.load(model)
    adata, sample_key, graph_key = read_as_fitted(
        data, fitted, sample_key=sample_key, one_sample=one_sample, graph_key=graph_key, graph=graph,
        max_length=max_length, n_neighbors=n_neighbors, radius=radius, rebuild_graph=rebuild_graph,
        symmetrize=symmetrize, positions=positions, spatial_key=spatial_key, layer=layer, normalize=normalize,
        target_sum=target_sum, keep_controls=None, min_counts=min_counts, non_spatial=non_spatial, memory=memory)
    check_data(adata, output)
    states = fitted.transform(adata, sample_key=sample_key, graph_key=graph_key, layer=None, min_genes=min_genes)
    write_data(adata, output)
    print(f"{states.shape[0]:,} cells, {states.shape[1]} metagenes\nannotated data: {output}")
