r"""Projection onto the simplex :math:`\{z \ge 0, \sum_k z_k = 1\}`."""

import numpy as np

from spicemix_core.numerics.compiled import njit


@njit(nogil=True, error_model="numpy", fastmath={"reassoc"})
def project_in_place(v):
    """Project ``v`` onto the simplex in place, by Newton's method on the threshold: finite, and without sorting.

    The threshold t solves sum(max(v - t, 0)) = 1. Each step is exact on the current support, which only shrinks. The
    largest entry is shifted to zero first, so that wide spreads lose no digits. Sums may be reordered and contain no
    branch, so that the compiler can vectorise them.
    Source: C. Michelot, J. Optim. Theory Appl. 50, 195-200 (1986).
    """
    largest = v.max()
    for i in range(v.size):
        v[i] -= largest
    threshold = -1.0
    count = v.size + 1.0
    while True:
        total, support = 0.0, 0.0
        for i in range(v.size):
            above = 1.0 if v[i] > threshold else 0.0
            total += above * v[i]
            support += above
        if support >= count:
            break
        count = support
        threshold = (total - 1.0) / support
    for i in range(v.size):
        v[i] = max(v[i] - threshold, 0.0)


def project_to_simplex(v: np.ndarray) -> np.ndarray:
    """Nearest point of the simplex to each row of ``v``, in Euclidean distance.

    Parameters
    ----------
    v : array, shape (N, K) or (K,)

    Returns
    -------
    array of the same shape
        Rows are non-negative and sum to one.

    Raises
    ------
    ValueError
        If ``v`` has NaN or infinite entries.

    Examples
    --------
    >>> from spicemix_core import steps
    >>> steps.project_to_simplex([0.5, 1.0, -1.0])
    array([0.25, 0.75, 0.  ])
    """
    rows = np.array(np.atleast_2d(v), dtype=float, order="C")
    if not np.isfinite(rows).all():
        raise ValueError("v has NaN or infinite entries, which have no nearest point on the simplex: remove them.")
    for row in rows:
        project_in_place(row)
    return rows.reshape(np.shape(v))
