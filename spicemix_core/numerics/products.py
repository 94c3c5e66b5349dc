"""The two passes over the data of an iteration, Y M and Y'X, for dense and CSR expression of either precision.

They run over blocks of cells (:mod:`spicemix_core.numerics.threads`), are summed in double precision in a fixed order,
and copy at most one block. Expression that is not in memory is read once for each product. SciPy's sparse products use
one thread and convert all single-precision data at each call.
"""

import numpy as np
import scipy.sparse as sp

from spicemix_core.numerics.blocks import Blocks, pieces
from spicemix_core.numerics.compiled import njit
from spicemix_core.numerics.threads import BLOCK, over_blocks

MOST_PARTS = 32  # partial sums of Y'X in memory at one time


def times_metagenes(expression: np.ndarray | sp.csr_array | Blocks, metagenes: np.ndarray) -> np.ndarray:
    """Y M, shape (N, K), from ``expression`` (N, G) and ``metagenes`` (G, K)."""
    product = np.empty((expression.shape[0], metagenes.shape[1]))
    for first, block in pieces(expression):
        _fill(block, metagenes, product[first : first + block.shape[0]])
    return product


def _fill(expression, metagenes, product):
    # BLAS is faster if the small dimension of a product comes first
    columns = np.ascontiguousarray(metagenes if sp.issparse(expression) else metagenes.T)

    def fill(start, stop):
        if sp.issparse(expression):
            _csr_times(expression.indptr, expression.indices, expression.data, columns, start, stop, product)
        else:
            product[start:stop] = (columns @ expression[start:stop].astype(float, copy=False).T).T

    over_blocks(fill, len(product))


def times_states(expression: np.ndarray | sp.csr_array | Blocks, states: np.ndarray) -> np.ndarray:
    """Y'X, shape (G, K), from ``expression`` (N, G) and ``states`` (N, K)."""
    group = group_of(len(states))
    totals = _zeros(expression, group, states.shape[1])
    for first, block in pieces(expression, group):
        _add(block, states[first : first + block.shape[0]], first // group, totals, group)
    return sum(totals)


def _zeros(expression, group, n_columns):
    """Totals of Y'X of groups of cells, shape (groups, G, columns), ordered in memory as the products that they add."""
    n_groups, n_genes = -(-expression.shape[0] // group), expression.shape[1]
    if sp.issparse(expression) or (isinstance(expression, Blocks) and expression.is_sparse):
        return np.zeros((n_groups, n_genes, n_columns))
    return np.zeros((n_groups, n_columns, n_genes)).transpose(0, 2, 1)


def group_of(n_cells: int) -> int:
    """Number of consecutive cells that a partial sum of Y'X is over."""
    return max(BLOCK, -(-n_cells // MOST_PARTS))


def gram_times(expression: np.ndarray | sp.csr_array | Blocks, columns: np.ndarray, scale: float) -> np.ndarray:
    """c^2 Y'Y B, shape (G, n), for ``columns`` B (G, n) and the ``scale`` c."""
    columns = scale * columns
    if not (isinstance(expression, Blocks) and expression.is_sparse):
        return scale * times_states(expression, times_metagenes(expression, columns))
    group = group_of(expression.shape[0])  # one pass, and the product with a block of cells at a time
    totals = _zeros(expression, group, columns.shape[1])
    for first, block in pieces(expression, group):
        _add(block, times_metagenes(block, columns), first // group, totals, group)
    return scale * sum(totals)


def _add(expression, states, first, totals, group):
    """Add Y'X of some cells to the totals of their groups, of which ``first`` is the first."""
    def add(start, stop):
        total = totals[first + start // group]
        if sp.issparse(expression):
            _csr_transposed_times(expression.indptr, expression.indices, expression.data, states, start, stop, total)
        else:
            for a in range(start, stop, BLOCK):
                b = min(a + BLOCK, stop)
                total += (states[a:b].T @ expression[a:b].astype(float, copy=False)).T

    over_blocks(add, len(states), group)


@njit(nogil=True)
def _csr_times(indptr, indices, data, columns, start, stop, product):
    for i in range(start, stop):
        product[i] = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            for k in range(columns.shape[1]):
                product[i, k] += data[e] * columns[indices[e], k]


@njit(nogil=True)
def _csr_transposed_times(indptr, indices, data, rows, start, stop, total):
    for i in range(start, stop):
        for e in range(indptr[i], indptr[i + 1]):
            for k in range(rows.shape[1]):
                total[indices[e], k] += data[e] * rows[i, k]


def row_summary(expression: np.ndarray | sp.csr_array | Blocks) -> np.ndarray:
    """Sum, sum of squares, smallest and largest entry of each row, shape (N, 4).

    The sum of a row with NaN or infinite entries is not finite.
    """
    summary = np.empty((expression.shape[0], 4))
    for first, block in pieces(expression):
        _summarise_block(block, summary[first : first + block.shape[0]])
    return summary


def _summarise_block(expression, summary):
    if sp.issparse(expression):
        indptr, values = expression.indptr, expression.data
    else:
        n_cells, n_genes = expression.shape
        indptr, values = np.arange(n_cells + 1) * n_genes, expression.ravel()
    full = indptr[1:] - indptr[:-1] == expression.shape[1]  # the other rows hold zeros that are not stored
    over_blocks(lambda start, stop: _summarise(indptr, values, full, start, stop, summary), len(summary))


@njit(nogil=True)
def _summarise(indptr, values, full, start, stop, summary):
    for i in range(start, stop):
        total, squares = 0.0, 0.0
        smallest, largest = (np.inf, -np.inf) if full[i] else (0.0, 0.0)
        for e in range(indptr[i], indptr[i + 1]):
            value = np.float64(values[e])
            total += value
            squares += value * value
            smallest = min(smallest, value)
            largest = max(largest, value)
        summary[i, 0], summary[i, 1], summary[i, 2], summary[i, 3] = total, squares, smallest, largest
