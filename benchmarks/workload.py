"""Simulated tissue of any size for the benchmarks: counts, log-normalised, made one piece at a time.

Cells lie on a jittered square lattice; each has a type, mostly that of the nearest of 20 domain centres, whose
metagene makes up 70 % of its state, and counts are Poisson. The sparse form stores only the positive counts.
"""

import numpy as np
import scipy.sparse as sp

from spicemix_core.inputs import delaunay_graph

N_TYPES = 20


def simulate_tissue(n_cells, n_genes, *, counts=1000.0, sparse=False, dtype=float, piece=50_000, random_state=0):
    """Expressions (dense or CSR, one per piece of at most ``piece`` cells) and their Delaunay graphs.

    ``counts`` is the mean total of a cell: 100 over 500 genes leaves about 85 % of the entries zero.
    """
    rng = np.random.default_rng(random_state)
    metagenes = rng.dirichlet(np.full(n_genes, 0.3), size=N_TYPES)
    sizes = [min(piece, n_cells - start) for start in range(0, n_cells, piece)]
    pieces = [_piece(rng, n, metagenes, counts, sparse, dtype) for n in sizes]
    return [y for y, _ in pieces], [g for _, g in pieces]


def write_counts(path, n_cells, n_genes, *, counts=100.0, piece=50_000, random_state=0):
    """Write counts of a tissue, their positions and pieces to an .h5ad file, one piece in memory at a time."""
    import anndata
    import h5py
    import pandas as pd

    rng = np.random.default_rng(random_state)
    metagenes = rng.dirichlet(np.full(n_genes, 0.3), size=N_TYPES)
    sizes = [min(piece, n_cells - start) for start in range(0, n_cells, piece)]
    genes = pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
    names = pd.Categorical(np.repeat(np.arange(len(sizes)).astype(str), sizes))
    cells = pd.DataFrame({"sample": names}, index=[f"cell{i}" for i in range(n_cells)])
    positions = []
    with h5py.File(path, "w") as file:
        anndata.io.write_elem(file, "/", anndata.AnnData(obs=cells, var=genes))
        for n in sizes:
            places, types = _tissue(rng, n)
            positions.append(places)
            chunks = np.array_split(types, -(-n // 5000))
            block = sp.vstack([sp.csr_matrix(_counts(rng, chunk, metagenes, counts).astype(np.float32))
                               for chunk in chunks], format="csr")
            if "X" in file:
                anndata.io.sparse_dataset(file["X"]).append(block)
                continue
            block.indptr = block.indptr.astype(np.int64)
            anndata.io.write_elem(file, "X", block, dataset_kwargs={"compression": "lzf"})
        anndata.io.write_elem(file["obsm"], "spatial", np.concatenate(positions))


def _tissue(rng, n_cells):
    """Positions and types of cells."""
    side = int(np.ceil(np.sqrt(n_cells)))
    lattice = np.stack(np.divmod(np.arange(n_cells), side), axis=1)
    positions = (lattice + 0.8 * rng.random((n_cells, 2))) / side
    centres = rng.random((N_TYPES, 2))
    types = ((positions[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    return positions, np.where(rng.random(n_cells) < 0.7, types, rng.integers(N_TYPES, size=n_cells))


def _piece(rng, n_cells, metagenes, counts, sparse, dtype):
    positions, types = _tissue(rng, n_cells)
    chunks = np.array_split(types, -(-n_cells // 5000))
    blocks = [_cells(rng, chunk, metagenes, counts, sparse, dtype) for chunk in chunks]
    expression = sp.vstack(blocks, format="csr") if sparse else np.concatenate(blocks)
    return expression, delaunay_graph(positions)


def _counts(rng, types, metagenes, counts):
    proportions = 0.3 * rng.dirichlet(np.full(N_TYPES, 0.2), size=types.size)
    proportions[np.arange(types.size), types] += 0.7
    depth = counts * rng.gamma(8.0, 1.0 / 8.0, size=(types.size, 1))
    drawn = rng.poisson(depth * (proportions @ metagenes))
    drawn[drawn.sum(axis=1) == 0, 0] = 1  # no cell without a count
    return drawn


def _cells(rng, types, metagenes, counts, sparse, dtype):
    drawn = _counts(rng, types, metagenes, counts)
    expression = np.log1p(1e4 * drawn / drawn.sum(axis=1, keepdims=True)).astype(dtype)
    return sp.csr_array(expression) if sparse else expression
