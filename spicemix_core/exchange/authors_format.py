"""The text and HDF5 files of the authors' program."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from spicemix_core.files.damaged import first_line, open_hdf5
from spicemix_core.inputs.checks import check_coordinates
from spicemix_core.inputs.graphs import graph_from_edges


def read_table(path: Path, shape: tuple[int | None, int | None] = (None, None), dtype=float) -> np.ndarray:
    """Numbers of a white-space separated text file, always two-dimensional.

    ``shape`` gives the expected rows and columns (None: any); ValueError names the file if it differs or is empty.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*input contained no data")
            table = np.loadtxt(path, dtype=dtype, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is not a table of numbers ({error}).") from error
    if not table.size:
        raise ValueError(f"{path} holds no numbers.")
    if any(want is not None and want != got for want, got in zip(shape, table.shape, strict=True)):
        wanted = " x ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{path} has {table.shape[0]} x {table.shape[1]} entries, expected {wanted} (rows x columns).")
    return table


@dataclass(frozen=True)
class SpiceMixResult:
    """One stored run of the authors' program, at one iteration (scaled units: mean total per cell = K).

    Attributes
    ----------
    metagenes : array of shape (n_genes, K)
    latent_states : dict of str to array of shape (n_cells, K), per sample
    affinity : array of shape (K, K)
        Sigma_x^-1; negative entries attract.
    noise : dict of str to float
        sigma_y per sample.
    objective : array of shape (n_stored,)
        Q at each of ``iterations``.
    iterations : array of shape (n_stored,), int
        Iterations of which the file has a Q.
    iteration : int
    n_metagenes : int
    affinity_penalty : float
        lambda_Sigma.
    """

    metagenes: np.ndarray
    latent_states: dict[str, np.ndarray]
    affinity: np.ndarray
    noise: dict[str, float]
    objective: np.ndarray
    iterations: np.ndarray
    iteration: int
    n_metagenes: int
    affinity_penalty: float


def load_spicemix_directory(path, samples: Iterable[str | int]) -> anndata.AnnData:
    """Read samples in the authors' text layout, one set of files per sample ``s``.

    ``expression_s.txt`` (cells x genes), ``genes_s.txt`` (one name per line), ``neighborhood_s.txt`` (two cell
    numbers per line, from 0; an edge listed in both directions counts once; empty for dissociated cells) and, if there,
    ``coordinates_s.txt`` (a sample without edges may lack it: NaN), ``celltypes_s.txt`` and ``cells_s.txt`` (names of
    the cells, which the authors' programs do not use; without it, cell i of sample s is called "s-i").

    Parameters
    ----------
    path : path
        Folder of the files.
    samples : iterable of str or int
        Names of the samples, in the order wanted.

    Returns
    -------
    AnnData
        ``X`` as stored (already normalised; simulated data hold a few negative values, which are kept);
        ``obs["sample"]``, ``obs["cell_type"]``; ``obsm["spatial"]``; ``obsp["spatial_connectivities"]``.

    Raises
    ------
    FileNotFoundError
        If a file that every sample needs is missing.
    ValueError
        If the files of a sample disagree in size or the samples in their genes.
    """
    folder, names = Path(path), [str(sample) for sample in samples]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"samples must name at least one sample and each once, not {names}.")
    parts = [_read_sample(folder, name) for name in names]
    for name, part in zip(names, parts, strict=True):
        if not part.var_names.equals(parts[0].var_names):
            raise ValueError(f"{folder / f'genes_{name}.txt'} differs from genes_{names[0]}.txt: all samples need the "
                             "same genes in the same order.")
    genes = parts[0].var_names
    if not genes.is_unique:
        raise ValueError(f"{folder / f'genes_{names[0]}.txt'}: gene names must differ, but "
                         f"{genes[genes.duplicated()][0]!r} occurs again.")
    if any("spatial" in part.obsm for part in parts):
        for part in parts:
            if "spatial" not in part.obsm and not part.obsp["spatial_connectivities"].nnz:
                part.obsm["spatial"] = np.full((part.n_obs, _dimension(parts)), np.nan)  # dissociated
    for name, part in zip(names, parts, strict=True):
        if set(part.obs) != set(parts[0].obs) or set(part.obsm) != set(parts[0].obsm):
            raise ValueError(f"Sample {name} of {folder} lacks cell types or coordinates that {names[0]} has, or the "
                             "reverse: give them for all samples or for none.")
    adata = anndata.concat(parts, pairwise=True)
    adata.obs["sample"] = pd.Categorical(adata.obs["sample"], names)
    if "cell_type" in adata.obs:
        adata.obs["cell_type"] = adata.obs["cell_type"].astype("category")
    graph = adata.obsp["spatial_connectivities"].tocsr()
    graph.sort_indices()
    adata.obsp["spatial_connectivities"] = graph
    return adata


def sample_names(path) -> list[str]:
    """The samples of a folder in the authors' text layout, numbers first and in their order; may be none."""
    files = sorted(Path(path).glob("expression_*.txt"))
    names = [file.stem.removeprefix("expression_") for file in files]
    return sorted(names, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name))


def read_spicemix_result(path, iteration: int | None = None) -> SpiceMixResult:
    """Read a result file (HDF5) of the authors' 2022 program.

    Parameters
    ----------
    path : path
    iteration : int, optional
        A stored iteration (the program keeps every tenth); by default the last.

    Raises
    ------
    ValueError
        If the file is no such result or the iteration was not stored.
    """
    try:
        with open_hdf5(path) as file:
            return _read_iteration(file, iteration)
    except (FileNotFoundError, PermissionError):
        raise
    except KeyError as error:
        raise ValueError(f"{path} is not a SpiceMix result: {first_line(error)}.") from error
    except (ValueError, ArithmeticError, IndexError, MemoryError, OSError, RuntimeError, TypeError) as error:
        told = first_line(error) if str(path) in str(error) else f"{path} is a damaged SpiceMix result: {error}"
        raise ValueError(f"{first_line(told)}.") from error


def _read_iteration(file, iteration) -> SpiceMixResult:
    stored = sorted(int(key) for key in file["parameters/M"])
    at = stored[-1] if iteration is None else iteration
    if at not in stored:
        raise ValueError(f"Iteration {at} is not in {file.filename}, which stores {stored}.")
    names = [bytes(name).decode() for name in file["hyperparameters/repli_list"]]
    states = {name: file[f"latent_states/XT/{i}/{at}"][()] for i, name in enumerate(names)}
    noise = {name: 1 / float(file[f"parameters/sigma_yx_invs/{i}/{at}"][()]) for i, name in enumerate(names)}
    objective = file["progress/Q"]
    steps = sorted(map(int, objective))
    return SpiceMixResult(
        metagenes=file[f"parameters/M/{at}"][()], latent_states=states,
        affinity=file[f"parameters/Sigma_x_inv/{at}"][()], noise=noise, iteration=at,
        objective=np.array([float(objective[str(step)][()]) for step in steps]), iterations=np.array(steps, dtype=int),
        n_metagenes=int(file["hyperparameters/K"][()]),
        affinity_penalty=float(file["hyperparameters/lambda_SigmaXInv"][()]))


def _dimension(parts) -> int:
    return next(part.obsm["spatial"].shape[1] for part in parts if "spatial" in part.obsm)


def _read_sample(folder: Path, name: str) -> anndata.AnnData:
    for kind in ("expression", "genes", "neighborhood"):
        path = folder / f"{kind}_{name}.txt"
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}, which sample {name} needs.")
    expression = read_table(folder / f"expression_{name}.txt")
    if not np.isfinite(expression).all():
        raise ValueError(f"{folder / f'expression_{name}.txt'} holds a value that is not finite.")
    n_cells, n_genes = expression.shape
    types, places, cells = (folder / f"{kind}_{name}.txt" for kind in ("celltypes", "coordinates", "cells"))
    named = _read_names(cells, n_cells) if cells.exists() else [f"{name}-{i}" for i in range(n_cells)]
    obs = pd.DataFrame({"sample": name}, index=named)
    if types.exists():
        obs["cell_type"] = _read_names(types, n_cells)
    genes = pd.DataFrame(index=_read_names(folder / f"genes_{name}.txt", n_genes))
    adata = anndata.AnnData(expression, obs=obs, var=genes)
    if places.exists():
        adata.obsm["spatial"] = check_coordinates(read_table(places, (n_cells, None)))
    edges = folder / f"neighborhood_{name}.txt"
    adata.obsp["spatial_connectivities"] = _read_graph(edges, n_cells)
    return adata


def _read_graph(path: Path, n_cells: int):
    if path.is_file() and not path.read_bytes().strip():
        return graph_from_edges(np.empty((0, 2), dtype=int), n_cells)
    edges = read_table(path, (None, 2), dtype=int)
    if edges.min() >= 1 and edges.max() == n_cells:
        raise ValueError(f"{path} seems to number the cells from 1 to {n_cells}: number them from 0.")
    try:
        return graph_from_edges(edges, n_cells)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_names(path: Path, n: int) -> list[str]:
    try:
        names = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}): convert it.") from error
    if len(names) != n:
        raise ValueError(f"{path} has {len(names)} lines, but the expression file needs {n}.")
    return names
