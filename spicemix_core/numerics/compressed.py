"""The arrays of compressed sparse matrices: compiled code reads and writes where they point, without looking."""

import numpy as np


def check_compressed(matrix, name: str) -> None:
    """Raise ValueError, which begins with ``name``, if the indices of a CSR, CSC or BSR matrix do not fit its shape."""
    indptr, indices = np.asarray(matrix.indptr), np.asarray(matrix.indices)
    n_rows, n_columns = (n // b for n, b in zip(matrix.shape, getattr(matrix, "blocksize", (1, 1)), strict=True))
    n_rows, n_columns = (n_columns, n_rows) if matrix.format == "csc" else (n_rows, n_columns)
    if not indptr.dtype.kind == indices.dtype.kind == "i":
        wrong = f"they are of type {indptr.dtype} and {indices.dtype}"
    elif indptr.shape != (n_rows + 1,) or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        wrong = f"the index pointers are not {n_rows + 1} ascending numbers from 0"
    elif indices.shape != matrix.data.shape[:1] or indptr[-1] > len(indices):
        wrong = "their number is not that of the values"
    elif (used := indices[: indptr[-1]]).size and not 0 <= used.min() <= used.max() < n_columns:
        wrong = f"the smallest is {used.min()} and the largest {used.max()}"
    else:
        return
    raise ValueError(f"{name} is corrupt: its indices do not fit its shape {tuple(matrix.shape)}, {wrong}. Build it or "
                     "read it again.")
