"""``spicemix fit`` and ``spicemix transform``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spicemix_core.command_line.running import (
    DATA_SUFFIXES,
    MODEL_SUFFIXES,
    Data,
    Debug,
    Force,
    Graph,
    GraphKey,
    Layer,
    MaxLength,
    Model,
    Neighbors,
    Normalize,
    NoSpace,
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
    write_data,
)


def fit(
    data: Data,
    output: output_option("File of the fitted model, .h5."),
    metagenes: Annotated[int, typer.Option("--metagenes", "-k", min=2, help="Number of metagenes K.")] = 20,
    penalty: Annotated[float, typer.Option(
        help="Penalty lambda_Sigma on the affinity; larger values weaken the spatial term.")] = 1e-4,
    sample_key: SampleKey = None,
    graph: Graph = "delaunay",
    graph_key: GraphKey = "spatial_connectivities",
    max_length: MaxLength = None,
    neighbors: Neighbors = 6,
    radius: Radius = None,
    symmetrize: Symmetrize = False,
    layer: Layer = None,
    normalize: Normalize = False,
    no_space: NoSpace = False,
    runs: Annotated[int, typer.Option(min=1, help="Fits from different seeds; more than one makes a consensus.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Fits at a time, where there are several.")] = 1,
    max_iter: Annotated[int, typer.Option(min=1, help="Most iterations of a fit.")] = 200,
    tol: Annotated[float, typer.Option(min=0, help="Stop when no block changes more in one iteration.")] = 1e-3,
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(
        help="Iterate in PyTorch on this device; default: the compiled code.")] = None,
    annotated: Annotated[Path | None, typer.Option(
        "--annotated", "-a", help="Also write the data with states, metagenes and history: .h5ad or .zarr.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(
        help="Where the fit keeps its state, to go on from after it was stopped; default: beside the output.")] = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Learn metagenes, affinity and states.

    A fit that was stopped, even killed, goes on from its checkpoint when the same command is given again, and ends at
    the same numbers. With --runs, the consensus of several seeds is written: the run that agrees best with the others,
    and in the annotated data each cell's cluster and how many runs agree on it.

    \b
    Examples:
      spicemix fit tissue.h5ad -k 20 --sample-key sample -o model.h5
      spicemix fit counts.h5ad --normalize --runs 10 -o model.h5 -a fitted.h5ad
    """
    check_suffix(output, MODEL_SUFFIXES)
    check_suffix(annotated, DATA_SUFFIXES, "--annotated")
    check_outputs(force, output, annotated)
    checkpoint = checkpoint or output.with_name(f"{output.name}.checkpoint")
    adata = read_prepared(data, sample_key=sample_key, graph_key=graph_key, graph=graph, max_length=max_length,
                          neighbors=neighbors, radius=radius, symmetrize=symmetrize, layer=layer,
                          normalize=normalize, no_space=no_space)
    options = {"affinity_penalty": penalty, "spatial": not no_space, "max_iter": max_iter, "tol": tol, "device": device}
    keys = {"sample_key": sample_key, "graph_key": graph_key}
    with resumable(f"the same command goes on from {checkpoint}."):
        if runs == 1:
            from spicemix_core.model import SpiceMix

            model = SpiceMix(metagenes, random_state=seed, **options).fit(adata, **keys, checkpoint=checkpoint)
        else:
            from spicemix_core.runs.consensus import fit_consensus

            consensus = fit_consensus(adata, n_metagenes=metagenes, n_runs=runs, n_jobs=jobs, random_state=seed,
                                      folder=checkpoint, **keys, **options)
            model, agreement = consensus.model, consensus.run_summary["ari_with_consensus"]
            print(f"consensus of {runs} runs: {consensus.clustering.n_clusters} clusters, adjusted Rand index of the "
                  f"runs with it {agreement.min():.2f} to {agreement.max():.2f}; of the run that agrees best:")
        model.save(output)
    print(f"{adata.n_obs:,} cells, {adata.n_vars:,} genes, {metagenes} metagenes: {model.n_iter_} iterations, "
          f"{'converged' if model.converged_ else 'not converged'}, noise {model.noise_:.4g}")
    print(f"model: {output}")
    if annotated:
        write_data(adata, annotated)
        print(f"annotated data: {annotated}")


def transform(
    model: Model,
    data: Data,
    output: output_option("The data with the states of its cells in obsm['X_spicemix'], .h5ad or .zarr."),
    sample_key: SampleKey = None,
    graph: Graph = "delaunay",
    graph_key: GraphKey = "spatial_connectivities",
    max_length: MaxLength = None,
    neighbors: Neighbors = 6,
    radius: Radius = None,
    symmetrize: Symmetrize = False,
    layer: Layer = None,
    normalize: Normalize = False,
    no_space: NoSpace = False,
    min_genes: Annotated[float, typer.Option(
        min=0, max=1, help="Refuse data that hold a smaller share of the model's genes.")] = 0.5,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """States of new cells under a fitted model.

    Genes are matched by name. Metagenes and affinity stay as they are.

    \b
    Example:
      spicemix transform model.h5 new.h5ad --sample-key sample -o states.h5ad
    """
    check_suffix(output, DATA_SUFFIXES)
    check_outputs(force, output)
    from spicemix_core.model import SpiceMix

    fitted = SpiceMix.load(model)
    adata = read_prepared(data, sample_key=sample_key, graph_key=graph_key, graph=graph, max_length=max_length,
                          neighbors=neighbors, radius=radius, symmetrize=symmetrize, layer=layer,
                          normalize=normalize, no_space=no_space)
    states = fitted.transform(adata, sample_key=sample_key, graph_key=None if no_space else graph_key,
                              min_genes=min_genes)
    write_data(adata, output)
    print(f"{states.shape[0]:,} cells, {states.shape[1]} metagenes\nannotated data: {output}")
