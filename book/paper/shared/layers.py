r"""Measures of how closely cell types follow layers, which the paper judges by eye.

The cells of a type have shares :math:`p_f` over the positions f (layers, or fields of view at increasing depth). Their
entropy gives the *effective number of positions* :math:`\exp(-\sum_f p_f \log p_f)`. It is 1 for a type of one layer
and the number of layers for a type that is everywhere. Two labellings of the same cells are compared by their adjusted
mutual information with the position, which does not grow with the number of clusters alone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics.cluster import expected_mutual_information

from spicemix_core.inputs.parameters import check_integer
from spicemix_core.tl.resampling import bootstrap_interval, permutation_p_value


@dataclass(frozen=True)
class InformationComparison:
    """Adjusted mutual information of two labellings with the position, and the bootstrap of their difference.

    Attributes
    ----------
    first, second : float
        Adjusted mutual information of each labelling, over all cells.
    low, high : float
        95 % percentile interval of first minus second over resamples of the cells.
    share_first_higher : float
        Share of the resamples in which the first is higher.
    """

    first: float
    second: float
    low: float
    high: float
    share_first_higher: float


def position_shares(labels: ArrayLike, positions: ArrayLike) -> pd.DataFrame:
    """Share of each label's cells at each position, labels x positions; every row sums to one.

    Raises
    ------
    ValueError
        If a label or position is missing, or their numbers differ.
    """
    labels, positions = _paired(labels, positions)
    return pd.crosstab(labels, positions, normalize="index").rename_axis(index=None, columns=None)


def effective_positions(shares: ArrayLike) -> pd.Series:
    """exp(entropy) of each row of shares: the number of positions over which a type is effectively spread."""
    p = np.asarray(shares, dtype=float)
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0)
    return pd.Series(np.exp(-terms.sum(axis=1)), index=getattr(shares, "index", None), name="effective_positions")


def layer_specificity(labels: ArrayLike, positions: ArrayLike, *, n_permutations: int = 1000,
                      random_state: int | np.random.Generator | None = None) -> pd.DataFrame:
    """Compare the effective number of positions of each label with that of labels permuted over the cells.

    Parameters
    ----------
    labels, positions : (N,) array_like
    n_permutations : int
    random_state : int, numpy Generator or None

    Returns
    -------
    DataFrame
        By label: ``cells``, ``effective_positions``, ``expected`` (mean under permutation, the same number of cells
        drawn from all) and ``p_value`` (as concentrated or more).

    Raises
    ------
    ValueError
        As :func:`position_shares`, or fewer than one permutation.
    """
    check_integer("n_permutations", n_permutations, 1)
    labels, positions = _paired(labels, positions)
    rng = np.random.default_rng(random_state)
    observed = effective_positions(position_shares(labels, positions))
    codes, names = pd.factorize(labels, sort=True)
    place, places = pd.factorize(positions, sort=True)
    permuted = np.array([_effective(codes, rng.permutation(place), len(names), len(places))
                         for _ in range(n_permutations)])
    hits = (permuted <= observed.to_numpy() + 1e-9).sum(axis=0)
    return pd.DataFrame({
        "cells": np.bincount(codes), "effective_positions": observed.to_numpy(), "expected": permuted.mean(axis=0),
        "p_value": permutation_p_value(hits, n_permutations),
    }, index=names)


def compare_information(first: ArrayLike, second: ArrayLike, positions: ArrayLike, *, n_bootstrap: int = 1000,
                        random_state: int | np.random.Generator | None = None) -> InformationComparison:
    """Compare how much information two labellings of the same cells have on the position.

    Parameters
    ----------
    first, second, positions : (N,) array_like
    n_bootstrap : int
        Resamples of the cells.
    random_state : int, numpy Generator or None

    Raises
    ------
    ValueError
        Missing labels, different numbers of cells, or fewer than one resample.
    """
    check_integer("n_bootstrap", n_bootstrap, 1)
    first, place = _codes(first, positions)
    second, _ = _codes(second, positions)
    rng = np.random.default_rng(random_state)
    resamples = rng.integers(len(place), size=(n_bootstrap, len(place)))
    differences = np.array([_information(first[i], place[i]) - _information(second[i], place[i]) for i in resamples])
    low, high = bootstrap_interval(differences)
    return InformationComparison(_information(first, place), _information(second, place), low, high,
                                 float((differences > 0).mean()))


def shared_position_profile(expression: ArrayLike, positions: ArrayLike, first: ArrayLike, second: ArrayLike, *,
                            n_permutations: int = 1000,
                            random_state: int | np.random.Generator | None = None) -> pd.DataFrame:
    r"""Test whether two groups of cells change together from position to position.

    For each position and group, the profile is the mean expression of the group's cells at the position minus the mean
    of the group's position means, gene by gene. Layers change neurons; a change that neurons and glia share from one
    image to the next is a property of the image. The correlation of the two groups' profiles is compared with that
    after permuting the positions of the second group's cells.

    Parameters
    ----------
    expression : (N, G) array
    positions : (N,) array_like
    first, second : (N,) arrays of bool
        Two groups without a common cell, each with cells at every position.
    n_permutations : int
    random_state : int, numpy Generator or None

    Returns
    -------
    DataFrame
        By position: ``cells_first``, ``cells_second``, ``correlation`` over genes, ``expected`` (mean under
        permutation) and ``p_value`` (as high or higher, never 0).

    Raises
    ------
    ValueError
        If a group has no cell at some position, or a cell is in both.
    """
    expression, (place, names) = np.asarray(expression, dtype=float), pd.factorize(np.asarray(positions), sort=True)
    groups = [np.asarray(group, bool) for group in (first, second)]
    sizes = [np.bincount(place[group], minlength=len(names)) for group in groups]
    if min(size.min() for size in sizes) == 0 or (groups[0] & groups[1]).any():
        raise ValueError("The groups share cells or lack cells at some position: separate them or merge positions.")
    rng = np.random.default_rng(random_state)
    fixed = _profiles(expression[groups[0]], place[groups[0]], len(names))
    own, own_place = expression[groups[1]], place[groups[1]]
    observed = (fixed * _profiles(own, own_place, len(names))).sum(axis=1)
    permuted = np.array([(fixed * _profiles(own, rng.permutation(own_place), len(names))).sum(axis=1)
                         for _ in range(n_permutations)])
    hits = (permuted >= observed - 1e-12).sum(axis=0)
    return pd.DataFrame({"cells_first": sizes[0], "cells_second": sizes[1], "correlation": observed,
                         "expected": permuted.mean(axis=0), "p_value": permutation_p_value(hits, n_permutations)},
                        index=names)


def _profiles(expression, place, n_places):
    """Profile of each position, centred and scaled over genes, so that the product of two is their correlation."""
    member = np.equal.outer(np.arange(n_places), place).astype(float)
    means = (member / member.sum(axis=1, keepdims=True)) @ expression
    profiles = means - means.mean(axis=0)
    profiles -= profiles.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(profiles, axis=1, keepdims=True)
    return profiles / np.where(norm > 0, norm, 1.0)


def widespread(labels: ArrayLike, positions: ArrayLike, *, min_share: float = 0.1, min_positions: int = 3) -> list:
    """Labels with at least ``min_share`` of their cells at each of ``min_positions`` or more positions."""
    shares = position_shares(labels, positions)
    return shares.index[(shares >= min_share).sum(axis=1) >= min_positions].tolist()


def _paired(labels, positions):
    labels, positions = pd.Series(np.asarray(labels)), pd.Series(np.asarray(positions))
    if len(labels) != len(positions) or len(labels) == 0:
        raise ValueError(f"There are {len(labels)} labels and {len(positions)} positions: pass one of each per cell.")
    missing = (labels.isna() | positions.isna()).to_numpy()
    if missing.any():
        raise ValueError(f"Cell {int(missing.argmax())} has no label or no position: leave such cells out.")
    return labels, positions


def _codes(labels, positions):
    labels, positions = _paired(labels, positions)
    return pd.factorize(labels)[0], pd.factorize(positions)[0]


def _effective(codes, place, n_labels, n_places):
    counts = np.bincount(codes * n_places + place, minlength=n_labels * n_places).reshape(n_labels, n_places)
    return effective_positions(counts / counts.sum(axis=1, keepdims=True)).to_numpy()


def _information(codes, place):
    """`sklearn.metrics.adjusted_mutual_info_score` of integer labels, without its checks: resamples call it thousands
    of times."""
    counts = np.bincount(codes * (place.max() + 1) + place, minlength=(codes.max() + 1) * (place.max() + 1))
    counts = counts.reshape(codes.max() + 1, -1)
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    counts, rows, columns = counts[np.ix_(rows > 0, columns > 0)], rows[rows > 0], columns[columns > 0]
    if min(counts.shape) == 1:
        return float(max(counts.shape) == 1)
    joint, n_cells = counts[counts > 0], len(codes)
    mutual = (joint / n_cells * np.log(joint * n_cells / np.outer(rows, columns)[counts > 0])).sum()
    expected = expected_mutual_information(counts, n_cells)
    highest = (_entropy(rows / n_cells) + _entropy(columns / n_cells)) / 2
    gain, range_ = (np.copysign(max(abs(value), np.finfo(float).eps), value)  # a perfect match is one, not 0 / 0
                    for value in (mutual - expected, highest - expected))
    return float(gain / range_)


def _entropy(shares):
    """Entropy of positive shares; :func:`scipy.stats.entropy` takes ten times as long for so few."""
    return -(shares * np.log(shares)).sum()
