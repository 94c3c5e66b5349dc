r"""How well the clusters of each cut of a tree are separated, and which number of clusters follows from it.

The *separation* of a cut is the mean over the cells of the simplified silhouette (book ``eq-separation``),

.. math:: \frac1N \sum_i \frac{b_i - a_i}{\max(a_i, b_i)},

with :math:`a_i` the distance of a cell to the mean of its own cluster and :math:`b_i` the distance to the nearest mean
of another cluster. The criterion measures the data, not the agreement between runs: all runs see the same noise, so
they can agree on clusters that are too many, and they agree best on clusters that are too few.

References
----------
E. R. Hruschka, L. N. de Castro and R. J. G. B. Campello, ICDM 2004, 403-406.
"""

import numpy as np
import pandas as pd

from spicemix_core.tl.branches import Split

TOLERANCE = 0.01  # of the separation, which lies between -1 and 1
FLAT = 1.25  # a wider range of numbers within the tolerance is reported


class ClusteringWarning(UserWarning):
    """What a reader must know about a number of cell types that was chosen, for example that the curve is flat.

    Examples
    --------
    >>> import warnings
    >>> from spicemix_core import tl
    >>> warnings.simplefilter("ignore", tl.ClusteringWarning)
    """


def separation_curve(rows: np.ndarray, splits: list[Split]) -> pd.Series:
    """Separation of the clusters after each split.

    Parameters
    ----------
    rows : array, shape (N, D)
        What was clustered.
    splits : list of Split
        From :func:`spicemix_core.tl.branches.accepted_splits`.

    Returns
    -------
    Series
        By number of clusters, from 2.
    """
    labels = np.zeros(len(rows), dtype=int)
    distances = np.empty((len(rows), len(splits) + 1))
    every, values = np.arange(len(rows)), []
    for number, split in enumerate(splits, start=1):
        labels[split.smaller] = number
        for label, members in ((labels[split.larger[0]], split.larger), (number, split.smaller)):
            distances[:, label] = np.linalg.norm(rows - rows[members].mean(axis=0), axis=1)
        own = distances[every, labels]
        others = distances[:, : number + 1].copy()
        others[every, labels] = np.inf
        nearest = others.min(axis=1)
        farther = np.maximum(own, nearest)
        values.append(((nearest - own) / np.where(farther > 0.0, farther, 1.0)).mean())
    return pd.Series(values, index=pd.RangeIndex(2, len(splits) + 2, name="n_clusters"), name="separation")


def choose_number(separation: pd.Series) -> int:
    """The largest number of clusters whose separation is within ``TOLERANCE`` of the highest."""
    return int(_within(separation)[-1])


def remarks(separation: pd.Series, largest: int) -> list[str]:
    """Sentences about a chosen number at the end of the range or on a flat curve; none in a clear case.

    Parameters
    ----------
    separation : Series
        By number of clusters.
    largest : int
        Largest number that was considered.

    Returns
    -------
    list of str
    """
    within = _within(separation)
    first, chosen = int(within[0]), int(within[-1])
    sentences = []
    if chosen >= largest:
        sentences.append(f"The number of cell types, {chosen}, is the largest that was considered, and the clusters "
                         "are still well separated there. Consider a wider range, or give their number.")
    if chosen > FLAT * first + 1:
        sentences.append(f"The separation of the clusters hardly differs between {first} and {chosen} clusters, "
                         f"so the data do not decide between these numbers. The finest, {chosen}, is used; see the "
                         "support of each branch and the coarse cell types.")
    return sentences


def _within(separation):
    """Numbers of clusters whose separation is within the tolerance, in ascending order."""
    return separation.index[separation >= separation.max() - TOLERANCE]
