"""One form of the data into another, and the authors' results into models of this package."""

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.exchange.authors_format import read_spicemix_result
from spicemix_core.exchange.readers import read_data
from spicemix_core.files.atomic import replacing_any
from spicemix_core.files.model_file import check_model, check_target, save_model
from spicemix_core.inputs.anndata import check_names, coordinates_of, read_names, read_samples
from spicemix_core.inputs.checks import check_coordinates, check_graph
from spicemix_core.model import SpiceMix


def convert(source, target, *, sample_key=None, graph_key="spatial_connectivities"):
    """Write what is in ``source`` in another form; nothing is left of a conversion that fails.

    Parameters
    ----------
    source : path
        Anything that :func:`spicemix_core.read_data` reads; or a result file of the authors' program, which becomes a
        model (:func:`convert_result`).
    target : path
        The form is told by the name: ``.h5ad``; ``.zarr``; ``.h5`` for a model; without an ending, a folder in the text
        layout of the authors' programs (:func:`write_text`). It must not be there yet.
    sample_key : str, optional
        For a text folder: column of ``obs`` that names the samples; by default "sample" if there is one, else all cells
        are one sample.
    graph_key : str
        For a text folder: the neighbour graph in ``obsp``; without it, all cells are written as dissociated.

    Raises
    ------
    FileNotFoundError, FileExistsError
        No such source, no folder to write to, or a target that is there already.
    ValueError, KeyError
        A source that cannot be read, an unknown form, or data that the form cannot hold.
    """
    source, target = Path(source), Path(target)
    forms = {".h5ad": write_data, ".zarr": write_data, "": write_text, ".h5": None}
    form = target.suffix.lower()
    if form not in forms:
        raise ValueError(f"{target} has an unknown ending; use .h5ad, .zarr, .h5 for a model, or none for a folder in "
                         "the authors' text layout")
    _check_new(target)
    check_target(target)
    if form == ".h5":
        return convert_result(source, target)
    adata = read_data(source)
    options = {} if form else {"sample_key": sample_key, "graph_key": graph_key}
    return forms[form](adata, target, **options)


def convert_result(result, target, *, data=None):
    r"""Write a result of the authors' 2022 program as a model of this package.

    Metagenes (columns that sum to one), affinity (:math:`\Sigma_x^{-1}`, **negative entries attract**, each edge
    counted once) and noise mean the same in both. Their program scales each sample to a mean total of K per cell, as
    this one does, but keeps neither the factors nor any names: given the ``data`` of the run, both are put back and the
    states are in the units of the data. Without, ``scaling_`` is 1 and the states stay in scaled units.

    Parameters
    ----------
    result : path
        As :func:`spicemix_core.datasets.read_spicemix_result` reads it; its last iteration is taken.
    target : path
        Model file, see :func:`spicemix_core.files.model_file.save_model`.
    data : AnnData or path, optional
        What the program was run on, for instance its folder ``files``; samples are matched to ``obs["sample"]``.

    Notes
    -----
    ``max_iter`` and ``n_iter_`` are the iteration; ``history_`` has one column, Q, at the iterations that were stored.
    ``converged_`` is False, since their program runs a given number of iterations and does not say. A noise per sample
    becomes one: the root of the cells' mean variance. An affinity of zero throughout is a run of NMF,
    ``spatial=False``. Parameters that the file does not hold have this package's defaults, not their program's.

    Raises
    ------
    FileNotFoundError
        No such file, or no folder to write to.
    ValueError
        No such result, parts that do not fit each other, or other data.
    """
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
        raise ValueError(f"{result} is a damaged SpiceMix result: {error}") from error
    variances = np.square(list(found.noise.values()))
    model.noise_ = float(np.sqrt(np.average(variances, weights=[len(x) for x in states])))
    if data is not None:
        _put_back(model, found, data if hasattr(data, "obs_names") else read_data(data), Path(result))
    steps = pd.Index(found.iterations, name="iteration")
    model.history_ = pd.DataFrame({"Q": found.objective}, index=steps)
    model.n_iter_, model.converged_ = found.iteration, False
    save_model(model, target)
    return model


def _put_back(model, found, adata, place):
    """Scaling and names of the data that a result belongs to."""
    key = "sample" if "sample" in adata.obs else None
    expressions, _, rows = read_samples(adata, key, None, None)
    genes, samples, cells = read_names(adata, key, rows)
    missing = set(found.latent_states) - set(samples)
    if missing:
        raise ValueError(f"{place} has a sample {sorted(missing)[0]!r}, but the data have {', '.join(samples)}; give "
                         "those of the run")
    chosen = [samples.index(name) for name in found.latent_states]
    shapes = [(len(x), len(found.metagenes)) for x in model.latent_states_]
    if [expressions[i].shape for i in chosen] != shapes:
        raise ValueError(f"the samples of {place} have {shapes} cells and genes, but the data "
                         f"{[expressions[i].shape for i in chosen]}; give those of the run")
    model.scaling_ = np.array([found.n_metagenes / expressions[i].sum(axis=1).mean() for i in chosen])
    model.latent_states_ = [x / c for x, c in zip(model.latent_states_, model.scaling_, strict=True)]
    model.feature_names_in_, model.sample_names_ = genes, [samples[i] for i in chosen]
    model.cell_names_ = [cells[i] for i in chosen]


def write_text(adata, folder, *, sample_key=None, graph_key="spatial_connectivities"):
    """Write an AnnData object as a new folder in the text layout of the authors' programs.

    :func:`spicemix_core.read_data` reads it back equal in expression, genes, cells and their names, samples,
    ``obsm["spatial"]``, ``obs["cell_type"]`` and neighbours; the cells lie sample by sample. Expression becomes dense
    and double; all else that AnnData can hold is left out.

    Parameters
    ----------
    adata : AnnData
    folder : path
    sample_key, graph_key
        As :func:`convert`.

    Raises
    ------
    ValueError, KeyError
        Names that cannot be file names or lines, coordinates that are not finite, or anything that
        :meth:`spicemix_core.SpiceMix.fit` refuses in samples and graph.
    FileExistsError
        There is such a folder already.
    """
    _check_new(Path(folder))
    check_names(adata)
    key = "sample" if sample_key is None and "sample" in adata.obs else sample_key
    expressions, graphs, rows = read_samples(adata, key, graph_key if graph_key in adata.obsp else None, None)
    genes, samples, cells = read_names(adata, key, rows)
    _check_lines(samples, "sample", forbidden="/\\\n\r\0")
    types = adata.obs["cell_type"].astype(str).to_numpy() if "cell_type" in adata.obs else None
    for names, kind in ((genes, "gene"), (adata.obs_names, "cell"), ([] if types is None else types, "cell type")):
        _check_lines(names, kind, forbidden="\n\r")
    places = coordinates_of(adata) if "spatial" in adata.obsm else None
    with replacing_any(folder) as place:
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


def write_data(adata, target):
    """Write an AnnData object as ``.h5ad`` or ``.zarr``, by the ending of ``target``, whole or not at all."""
    settings = anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False)
    with replacing_any(target) as place, settings, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        if Path(target).suffix.lower() == ".zarr":
            adata.write_zarr(place)
        else:
            adata.write_h5ad(place, compression="gzip")


def _check_new(target):
    if target.exists():
        raise FileExistsError(f"{target} is there already; remove it or choose another name")


def _check_lines(names, kind, forbidden):
    for name in names:
        if not name or name != name.strip() or any(c in name for c in forbidden):
            raise ValueError(f"the {kind} {name!r} cannot be written as text; rename it without line breaks, slashes "
                             "and surrounding spaces")


def _write_table(path, table, form):
    np.savetxt(path, table.astype(int if form == "%d" else float), fmt=form)


def _write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
