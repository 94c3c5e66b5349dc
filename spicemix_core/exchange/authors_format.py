"""The text files and the HDF5 result files of the authors' own programs."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from spicemix_core.files.damaged import first_line, open_hdf5
from spicemix_core.files.outside import check_part
from spicemix_core.inputs.checks import check_coordinates
from spicemix_core.inputs.edges import graph_from_edges


def read_table(path: Path, shape: tuple[int | None, int | None] = (None, None), dtype: type = float) -> np.ndarray:
    """Read a white-space separated text file of numbers as a two-dimensional array.

    ``shape`` is the expected number of rows and columns (None: any). Any other shape and an empty file are refused.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*input contained no data")
            table = np.loadtxt(path, dtype=dtype, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is not a table of numbers ({error}); correct the file.") from error
    if not table.size:
        raise ValueError(f"{path} holds no numbers; write the file again.")
    if any(want is not None and want != got for want, got in zip(shape, table.shape, strict=True)):
        wanted = " x ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{path} has {table.shape[0]} x {table.shape[1]} entries, expected {wanted} (rows x columns); "
                         "correct the file.")
    return table


@dataclass(frozen=True)
class SpiceMixResult:
    """A result of the authors' 2022 program at one iteration, in scaled units (the mean total of a cell is K).

    Attributes
    ----------
    metagenes : array of shape (n_genes, K)
        Columns sum to one.
    latent_states : dict of str to array of shape (n_cells, K)
        Latent states of the cells of each sample.
    affinity : array of shape (K, K)
        Sigma_x^-1; negative entries attract.
    noise : dict of str to float
        sigma_y of each sample.
    objective : array of shape (n_stored,)
        Objective Q at each of ``iterations``.
    iterations : int array of shape (n_stored,)
        Iterations at which the file stores Q.
    iteration : int
        Iteration of the parameters and states.
    n_metagenes : int
        K.
    affinity_penalty : float
        lambda_Sigma.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> if datasets.available("synthetic_cortex_nmf"):
    ...     result = datasets.load_synthetic_cortex_nmf()
    ...     assert result.metagenes.shape == (100, result.n_metagenes)
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


def load_spicemix_directory(path: str | Path, samples: Iterable[str | int]) -> anndata.AnnData:
    """Read samples in the text layout of the authors' programs.

    Each sample ``s`` has the files ``expression_s.txt`` (cells x genes), ``genes_s.txt`` (one name per line) and
    ``neighborhood_s.txt`` (the numbers of two cells per line, from 0; an edge listed in both directions counts once;
    empty for dissociated cells). Three files are optional: ``coordinates_s.txt`` (only a sample without edges may lack
    it if others have it), ``celltypes_s.txt``, and ``cells_s.txt`` with the names of the cells, which the authors'
    programs do not use. Without names, cell i of sample s is called "s-i".

    Parameters
    ----------
    path : str or Path
        Folder with the files.
    samples : iterable of str or int
        Names of the samples, in the order of the result.

    Returns
    -------
    AnnData
        ``X`` as stored (already normalised; simulated data have a few negative values, which are kept);
        ``obs["sample"]``, ``obs["cell_type"]``; ``obsm["spatial"]``; ``obsp["spatial_connectivities"]``.

    Raises
    ------
    FileNotFoundError
        If a file that every sample needs does not exist.
    ValueError
        If the files of a sample differ in size, or the samples in their genes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from spicemix_core import convert, datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data, text = Path(folder, "data.h5ad"), Path(folder, "text")
    ...     datasets.simulate_cortex(2, n_cells=50, n_genes=20, random_state=0).write_h5ad(data)
    ...     convert(data, text)
    ...     adata = datasets.load_spicemix_directory(text, samples=[1])
    >>> adata.shape
    (50, 20)
    """
    folder, names = Path(path), [str(sample) for sample in samples]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"samples is {names}; name at least one sample, and each once.")
    parts = [_read_sample(folder, name) for name in names]
    for name, part in zip(names, parts, strict=True):
        if not part.var_names.equals(parts[0].var_names):
            raise ValueError(f"{folder / f'genes_{name}.txt'} differs from genes_{names[0]}.txt; give all samples the "
                             "same genes in the same order.")
    genes = parts[0].var_names
    if not genes.is_unique:
        raise ValueError(f"{folder / f'genes_{names[0]}.txt'} names the gene {genes[genes.duplicated()][0]!r} again; "
                         "make the gene names unique.")
    if any("spatial" in part.obsm for part in parts):
        for part in parts:
            if "spatial" not in part.obsm and not part.obsp["spatial_connectivities"].nnz:
                part.obsm["spatial"] = np.full((part.n_obs, _dimension(parts)), np.nan)  # dissociated
    for name, part in zip(names, parts, strict=True):
        if set(part.obs) != set(parts[0].obs) or set(part.obsm) != set(parts[0].obsm):
            raise ValueError(f"Sample {name} of {folder} lacks cell types or coordinates that sample {names[0]} "
                             "has, or the reverse; give them for all samples or for none.")
    adata = anndata.concat(parts, pairwise=True)
    adata.obs["sample"] = pd.Categorical(adata.obs["sample"], names)
    if "cell_type" in adata.obs:
        adata.obs["cell_type"] = adata.obs["cell_type"].astype("category")
    graph = adata.obsp["spatial_connectivities"].tocsr()
    graph.sort_indices()
    adata.obsp["spatial_connectivities"] = graph
    return adata


def sample_names(path: str | Path) -> list[str]:
    """Names of the samples of a folder in the text layout; numbers come first and in their order."""
    files = sorted(Path(path).glob("expression_*.txt"))
    names = [file.stem.removeprefix("expression_") for file in files]
    return sorted(names, key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name))


def read_spicemix_result(path: str | Path, iteration: int | None = None) -> SpiceMixResult:
    """Read a result file (HDF5) of the authors' 2022 program.

    Parameters
    ----------
    path : str or Path
        The file.
    iteration : int, optional
        A stored iteration (the program stores every tenth); by default the last.

    Returns
    -------
    SpiceMixResult

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not such a result, is damaged, or does not store the iteration.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> from spicemix_core import datasets
    >>> with tempfile.NamedTemporaryFile(suffix=".h5") as file:
    ...     with h5py.File(file.name, "w") as content:  # what the authors' program writes, at its smallest
    ...         content.update({
    ...             "hyperparameters/K": 2, "hyperparameters/lambda_SigmaXInv": 1e-3,
    ...             "hyperparameters/repli_list": [b"a"], "parameters/M/10": [[0.5, 0.2], [0.5, 0.8]],
    ...             "parameters/Sigma_x_inv/10": [[0, 0], [0, 0]], "parameters/sigma_yx_invs/0/10": 5.0,
    ...             "latent_states/XT/0/10": [[1, 2], [3, 4], [0, 1]], "progress/Q/10": -7.0})
    ...     result = datasets.read_spicemix_result(file.name)
    >>> result.iteration, result.noise, result.latent_states["a"].shape
    (10, {'a': 0.2}, (3, 2))
    """
    try:
        with open_hdf5(path) as file:
            return _read_iteration(file, iteration)
    except (FileNotFoundError, PermissionError):
        raise
    except KeyError as error:
        raise ValueError(f"{path} is not a result of the authors' program: {first_line(error)}.") from error
    except (ValueError, ArithmeticError, IndexError, MemoryError, OSError, RuntimeError, TypeError) as error:
        damage = "" if str(path) in str(error) else f"{path} is a damaged result of the authors' program: "
        raise ValueError(f"{damage}{first_line(error)}.") from error


def _read_iteration(file, iteration) -> SpiceMixResult:
    stored = sorted(int(key) for key in file["parameters/M"])
    at = stored[-1] if iteration is None else iteration
    if at not in stored:
        raise ValueError(f"Iteration {at} is not in {file.filename}; choose one of {stored}.")
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
    for kind in ("expression", "genes", "neighborhood", "celltypes", "coordinates", "cells"):
        check_part(folder / f"{kind}_{name}.txt")
    for kind in ("expression", "genes", "neighborhood"):
        path = folder / f"{kind}_{name}.txt"
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}, which sample {name} needs.")
    expression = read_table(folder / f"expression_{name}.txt")
    if not np.isfinite(expression).all():
        raise ValueError(f"{folder / f'expression_{name}.txt'} holds a value that is not finite; remove the cell, or "
                         "correct the value.")
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
        raise ValueError(f"{path} seems to number the cells from 1 to {n_cells}; number them from 0.")
    try:
        return graph_from_edges(edges, n_cells)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_names(path: Path, n: int) -> list[str]:
    try:
        names = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}); convert it.") from error
    if len(names) != n:
        raise ValueError(f"{path} has {len(names)} lines, but the expression file needs {n}; correct the file.")
    return names
