"""Converting data between formats, and results of the authors' program to models of this package."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
import zarr

from spicemix_core.exchange.authors_format import read_spicemix_result
from spicemix_core.exchange.on_disk import has_blocks, write_in_blocks
from spicemix_core.exchange.readers import read_data
from spicemix_core.exchange.writable import check_writable
from spicemix_core.files.atomic import replacing
from spicemix_core.files.model_checks import check_model
from spicemix_core.files.model_file import check_target, save_model
from spicemix_core.inputs.anndata import check_names, read_names, read_samples
from spicemix_core.inputs.checks import check_coordinates, check_graph
from spicemix_core.inputs.positions import has_positions, positions_of, spatial_key_of

if TYPE_CHECKING:  # the model takes seconds to import
    from spicemix_core.model import SpiceMix


def convert(source: str | Path, target: str | Path, *, positions: str | Path | None = None,
            sample_key: str | None = None, graph_key: str = "spatial_connectivities") -> None:
    """Write the content of ``source`` in another format; a conversion that fails leaves no file.

    Parameters
    ----------
    source : str or Path
        Anything that :func:`spicemix_core.read_data` reads, or a result file of the authors' program, which becomes a
        model (:func:`spicemix_core.convert_result`).
    target : str or Path
        The ending gives the format: ``.h5ad`` or ``.zarr``; ``.h5`` for a model; no ending for a folder in the text
        layout of the authors' programs, which has expression (dense), genes, cells and their names, samples, positions,
        cell types and neighbours, sample by sample, and nothing else. The target must not exist.
    positions : str or Path, optional
        Table with the positions of the cells, as for :func:`spicemix_core.read_data`.
    sample_key : str, optional
        For a text folder: column of ``obs`` that names the samples. By default it is "sample"; without this column,
        all cells are one sample.
    graph_key : str
        For a text folder: key of ``obsp`` with the neighbour graph. Without it, all cells are written as dissociated.

    Raises
    ------
    FileNotFoundError
        If the source or the folder of the target does not exist.
    FileExistsError
        If the target exists.
    ValueError, KeyError
        If the source cannot be read, the format is unknown, or the format cannot represent the data.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from spicemix_core import convert, datasets, read_data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data, text = Path(folder, "data.h5ad"), Path(folder, "text")
    ...     datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0).write_h5ad(data)
    ...     convert(data, text)
    ...     adata = read_data(text)
    >>> list(adata.obs), list(adata.obsp)
    (['sample', 'cell_type'], ['spatial_connectivities'])
    """
    source, target = Path(source), Path(target)
    form = target.suffix.lower()
    if form not in (".h5ad", ".zarr", ".h5", ""):
        raise ValueError(f"{target} has an unknown ending; use .h5ad, .zarr, .h5 for a model, or none for a folder in "
                         "the authors' text layout.")
    _check_new(target)
    check_target(target)
    if form == ".h5":
        convert_result(source, target)
    elif form:
        write_data(read_data(source, positions=positions), target)
    else:
        write_text(read_data(source, positions=positions), target, sample_key=sample_key, graph_key=graph_key)


def convert_result(result: str | Path, target: str | Path, *, data: anndata.AnnData | str | Path | None = None,
                   ) -> SpiceMix:
    r"""Write a result of the authors' 2022 program as a model of this package.

    Metagenes (columns that sum to one), affinity (:math:`\Sigma_x^{-1}`; **negative entries attract**; each edge counts
    once) and noise mean the same in both. The authors' program scales each sample to a mean total of K per cell, as
    this package does, but stores neither the factors nor any names. Given the ``data`` of the run, both are restored
    and the states are in the units of the data. Without the data, ``scaling_`` is 1 and the states stay in scaled
    units.

    Parameters
    ----------
    result : str or Path
        A file that :func:`spicemix_core.datasets.read_spicemix_result` reads; its last iteration is used.
    target : str or Path
        Model file, for :meth:`spicemix_core.SpiceMix.load`.
    data : AnnData, str or Path, optional
        The data that the program was run on, for instance its folder ``files``. Samples are matched to
        ``obs["sample"]``.

    Returns
    -------
    SpiceMix
        The model that was written.

    Raises
    ------
    FileNotFoundError
        If the result or the folder of the target does not exist.
    ValueError
        If the file is not such a result, is damaged, or belongs to other data.

    Notes
    -----
    ``max_iter`` and ``n_iter_`` are the iteration; ``history_`` has one column, Q, at the iterations that were stored.
    ``converged_`` is False, because the authors' program runs a fixed number of iterations. The noise is the root of
    the mean variance over all cells, because the authors' program has one noise per sample. If all entries of the
    affinity are zero, the result is one of NMF, ``spatial=False``. Parameters that the file does not store have the
    defaults of this package.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> from spicemix_core import convert_result
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(Path(folder, "result.h5"), "w") as content:  # written by the authors' program
    ...         content.update({
    ...             "hyperparameters/K": 2, "hyperparameters/lambda_SigmaXInv": 1e-3,
    ...             "hyperparameters/repli_list": [b"a"], "parameters/M/10": [[0.5, 0.2], [0.5, 0.8]],
    ...             "parameters/Sigma_x_inv/10": [[-1.0, 1.0], [1.0, -1.0]],
    ...             "parameters/sigma_yx_invs/0/10": 5.0, "progress/Q/10": -7.0,
    ...             "latent_states/XT/0/10": [[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]})
    ...     model = convert_result(Path(folder, "result.h5"), Path(folder, "model.h5"))
    >>> model.n_metagenes, model.noise_
    (2, 0.2)
    """
    from spicemix_core.model import SpiceMix

    found = read_spicemix_result(result)
    spatial = bool(found.affinity.any())
    penalty = {"affinity_penalty": found.affinity_penalty} if spatial else {}
    model = SpiceMix(found.n_metagenes, **penalty, affinity_iterations=None, spatial=spatial, max_iter=found.iteration)
    states = list(found.latent_states.values())
    model.metagenes_, model.affinity_ = found.metagenes, found.affinity
    model.scaling_, model.latent_states_, model.noise_ = np.ones(len(states)), states, 1.0
    try:
        check_model(model)
    except ValueError as error:
        raise ValueError(f"{result} is a damaged result of the authors' program: {error}") from error
    variances = np.square(list(found.noise.values()))
    model.noise_ = float(np.sqrt(np.average(variances, weights=[len(x) for x in states])))
    if data is not None:
        _restore(model, found, data if hasattr(data, "obs_names") else read_data(data), Path(result))
    steps = pd.Index(found.iterations, name="iteration")
    model.history_ = pd.DataFrame({"Q": found.objective}, index=steps)
    model.n_iter_, model.converged_ = found.iteration, False
    save_model(model, target)
    return model


def _restore(model, found, adata, path):
    """Restore the scaling and the names from the data that a result belongs to."""
    key = "sample" if "sample" in adata.obs else None
    expressions, _, rows = read_samples(adata, key, None, None, counts=True)
    genes, samples, cells = read_names(adata, key, rows)
    missing = set(found.latent_states) - set(samples)
    if missing:
        raise ValueError(f"{path} has a sample {sorted(missing)[0]!r}, but the samples of the data are "
                         f"{', '.join(samples)}; give the data of the run.")
    chosen = [samples.index(name) for name in found.latent_states]
    shapes = [(len(x), len(found.metagenes)) for x in model.latent_states_]
    if [expressions[i].shape for i in chosen] != shapes:
        raise ValueError(f"The samples of {path} have {shapes} cells and genes, but those of the data have "
                         f"{[expressions[i].shape for i in chosen]}; give the data of the run.")
    model.scaling_ = np.array([found.n_metagenes / expressions[i].sum(axis=1).mean() for i in chosen])
    model.latent_states_ = [x / c for x, c in zip(model.latent_states_, model.scaling_, strict=True)]
    model.feature_names_in_, model.sample_names_ = genes, [samples[i] for i in chosen]
    model.cell_names_ = [cells[i] for i in chosen]


def write_text(adata: anndata.AnnData, folder: str | Path, *, sample_key: str | None = None,
               graph_key: str = "spatial_connectivities") -> None:
    """Write an AnnData object as a new folder in the text layout of the authors' programs.

    :func:`spicemix_core.read_data` reads the same numbers and names back, with the cells sample by sample. Arguments
    and errors are those of :func:`convert`; names that cannot be file names or lines of text, and graphs that
    :meth:`spicemix_core.SpiceMix.fit` refuses, are errors, too.
    """
    _check_new(Path(folder))
    check_names(adata)
    key = "sample" if sample_key is None and "sample" in adata.obs else sample_key
    graph_key = graph_key if graph_key in adata.obsp else None
    expressions, graphs, rows = read_samples(adata, key, graph_key, None, counts=True)
    genes, samples, cells = read_names(adata, key, rows)
    _check_lines(samples, "sample", forbidden="/\\\n\r\0")
    types = adata.obs["cell_type"].astype(str).to_numpy() if "cell_type" in adata.obs else None
    for names, kind in ((genes, "gene"), (adata.obs_names, "cell"), ([] if types is None else types, "cell type")):
        _check_lines(names, kind, forbidden="\n\r")
    spatial_key = spatial_key_of(adata)
    places = positions_of(adata, spatial_key) if has_positions(adata, spatial_key) else None
    with replacing(folder) as place:
        place.mkdir()
        for i, (sample, r) in enumerate(zip(samples, rows, strict=True)):
            y = expressions[i]
            _write_table(place / f"expression_{sample}.txt", y.toarray() if sp.issparse(y) else np.asarray(y), "%.17g")
            pairs = np.empty((0, 2), dtype=int)
            if graphs is not None:
                graph = check_graph(graphs[i], len(r), f"The graph of sample {sample}")
                pairs = np.column_stack(sp.triu(graph).nonzero())
            _write_table(place / f"neighborhood_{sample}.txt", pairs, "%d")
            if places is not None and not np.isnan(places[r]).all():
                _write_table(place / f"coordinates_{sample}.txt", check_coordinates(places[r]), "%.17g")
            _write_lines(place / f"genes_{sample}.txt", genes)
            _write_lines(place / f"cells_{sample}.txt", cells[i])
            if types is not None:
                _write_lines(place / f"celltypes_{sample}.txt", types[r])


def write_data(adata: anndata.AnnData, target: str | Path) -> None:
    """Write an AnnData object as ``.h5ad`` or ``.zarr``, by the ending of ``target``; an error leaves no file."""
    check_writable(adata, target)
    settings = anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False,
                                         allow_write_nullable_strings=True)
    with replacing(target) as place, settings, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        is_zarr, streamed = Path(target).suffix.lower() == ".zarr", has_blocks(adata)
        if streamed and is_zarr:
            write_in_blocks(adata, zarr.open_group(place, mode="w", zarr_format=3))
        elif streamed:
            with h5py.File(place, "w") as file:
                write_in_blocks(adata, file)
        elif is_zarr:
            adata.write_zarr(place)
        else:
            adata.write_h5ad(place, compression="gzip")


def _check_new(target):
    if target.exists():
        raise FileExistsError(f"{target} exists; remove it, or choose another name.")


def _check_lines(names, kind, forbidden):
    for name in names:
        if not name or name != name.strip() or any(c in name for c in forbidden):
            raise ValueError(f"The {kind} {name!r} cannot be written as text; rename it without line breaks, slashes "
                             "and surrounding spaces.")


def _write_table(path, table, form):
    np.savetxt(path, table.astype(int if form == "%d" else float), fmt=form)


def _write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
