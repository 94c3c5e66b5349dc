"""Separate pieces of tissue on one slide: which sides of a triangulation only bridge the space between them."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LONG = 5.0  # times the median length
PIECE = 10  # positions, at least


def bridging(pairs: np.ndarray, lengths: np.ndarray, n: int) -> np.ndarray:
    """Which sides join different pieces of tissue.

    A piece is a set of at least ``PIECE`` positions that are connected by sides of at most ``LONG`` times the median
    length. A triangulation covers the space between pieces with long sides; these are the sides that bridge. Long sides
    within a piece, and those to single distant cells, do not bridge.

    Parameters
    ----------
    pairs : int array of shape (n_sides, 2)
        Numbers of the positions that each side joins.
    lengths : array of shape (n_sides,)
        Lengths of the sides.
    n : int
        Number of positions.

    Returns
    -------
    bool array of shape (n_sides,)

    Examples
    --------
    >>> pairs = np.array([*zip(range(19), range(1, 20))])  # a chain of twenty positions with one gap
    >>> lengths = np.where(np.arange(19) == 9, 100.0, 1.0)
    >>> bridging(pairs, lengths, 20).nonzero()[0].tolist()
    [9]
    """
    short = lengths <= LONG * np.median(lengths)
    i, j = pairs[short].T
    _, piece = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)
    large = np.bincount(piece)[piece] >= PIECE
    first, second = pairs.T
    return (piece[first] != piece[second]) & large[first] & large[second]
