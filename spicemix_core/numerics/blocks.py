"""Matrices of cells x genes that stay where they are stored, and are read in blocks of cells in every pass.

A pass visits one block after the other, while a thread reads the next one. The blocks fit into the groups of cells in
which :mod:`spicemix_core.numerics.products` adds, so the sums are those of the same matrix in memory, bit for bit.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.sparse as sp

from spicemix_core.numerics.threads import BLOCK


class Blocks:
    """A matrix that is read in blocks of rows.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` returns these rows in memory, as an array or a CSR array.
    shape : tuple of int
        Cells and genes.
    dtype : dtype
        Type of the entries.
    size : int
        Number of rows of a block. Dense rows are read in multiples of ``BLOCK``, because the rounding of their products
        depends on the number of rows.
    is_sparse : bool
        Whether ``read`` returns CSR arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> stored = sp.csr_array(np.eye(5))
    >>> blocks = Blocks(lambda start, stop: stored[start:stop], stored.shape, stored.dtype, 2, is_sparse=True)
    >>> [(first, block.shape[0]) for first, block in blocks.pieces()]
    [(0, 2), (2, 2), (4, 1)]
    """

    ndim = 2

    def __init__(self, read: Callable[[int, int], Any], shape: tuple[int, int], dtype: Any, size: int, *,
                 is_sparse: bool) -> None:
        self.read, self.shape, self.dtype, self.is_sparse = read, shape, np.dtype(dtype), is_sparse
        self.size = max(1, size) if is_sparse else BLOCK * max(1, size // BLOCK)

    def pieces(self, group: int = BLOCK) -> Iterator[tuple[int, Any]]:
        """First row and content of consecutive blocks, which hold whole groups of rows or lie within one group."""
        return _read_ahead(self.read, _bounds(self.shape[0], group, self.size))

    def map(self, function: Callable[[Any], Any], dtype: Any = None, n_genes: int | None = None) -> "Blocks":
        """The matrix with the blocks ``function(block)``, of ``dtype`` and with ``n_genes`` columns if these change."""
        return Blocks(lambda start, stop: function(self.read(start, stop)), (self.shape[0], n_genes or self.shape[1]),
                      dtype or self.dtype, self.size, is_sparse=self.is_sparse)

    def take(self, rows: np.ndarray) -> "Blocks":
        """The matrix of some rows, in ascending order. Rows between them are read too, and dropped."""
        if len(rows) == self.shape[0]:
            return self
        return Blocks(lambda start, stop: self.rows(rows[start:stop]), (len(rows), self.shape[1]), self.dtype,
                      self.size, is_sparse=self.is_sparse)

    def rows(self, rows: np.ndarray) -> Any:
        """These rows in memory, in the given order."""
        order = np.argsort(rows, kind="stable")
        wanted, found = rows[order], []
        while len(wanted):
            first = int(wanted[0])
            n = int(np.searchsorted(wanted, first + self.size))
            block = self.read(first, int(wanted[n - 1]) + 1)
            found.append(block if (np.diff(wanted[:n]) == 1).all() else block[wanted[:n] - first])
            wanted = wanted[n:]
        stacked = found[0] if len(found) == 1 else sp.csr_array(sp.vstack(found, format="csr")) if self.is_sparse else (
            np.concatenate(found))
        return stacked if (np.diff(order) == 1).all() else stacked[np.argsort(order)]

    def loaded(self) -> Any:
        """The whole matrix in memory."""
        return self.rows(np.arange(self.shape[0]))


def pieces(matrix: Any, group: int = BLOCK) -> Iterator[tuple[int, Any]]:
    """First row and content of the blocks of a matrix: :meth:`Blocks.pieces`, or all of a matrix that is in memory."""
    return matrix.pieces(group) if isinstance(matrix, Blocks) else iter([(0, matrix)])


def rows_of(matrix: Any, rows: np.ndarray) -> Any:
    """Some rows of a matrix, in memory."""
    return matrix.rows(rows) if isinstance(matrix, Blocks) else matrix[rows]


def columns_of(matrix: Any, columns: np.ndarray) -> Any:
    """Some columns of a matrix."""
    if not isinstance(matrix, Blocks):
        return matrix[:, columns]
    return matrix.map(lambda block: block[:, columns], n_genes=len(columns))


def stored_values(matrix: Any) -> np.ndarray:
    """The entries of a matrix in memory: all of an array, or those that a sparse matrix stores."""
    return matrix.data if sp.issparse(matrix) else np.asarray(matrix)


def _bounds(n, group, size):
    """Consecutive (start, stop) of at most ``size`` rows: of several whole groups, or of parts of one group."""
    if size >= group:
        step = size // group * group
        return [(start, min(start + step, n)) for start in range(0, n, step)]
    ends = [(start, min(start + group, n)) for start in range(0, n, group)]
    return [(at, min(at + size, stop)) for start, stop in ends for at in range(start, stop, size)]


def _read_ahead(read, bounds):
    """First row and content of each block; a thread reads the next block while the caller works."""
    with ThreadPoolExecutor(1, thread_name_prefix="spicemix-reader") as reader:
        coming = reader.submit(read, *bounds[0])
        for (start, _), following in zip(bounds, [*bounds[1:], None], strict=True):
            block = coming.result()
            coming = following and reader.submit(read, *following)
            yield start, block
            del block
