r"""The simplex integral and its mean for many cells at a time, on a PyTorch device.

The series of :mod:`spicemix_core.partition_function`, :math:`I(\eta) = e^{-\max \eta} \sum_n h_n(a) / (n + K -
1)!`, with the recursion :math:`h_n(a_1..a_k) = h_n(a_1..a_{k-1}) + a_k h_{n-1}(a_1..a_k)` along its diagonals: on
diagonal n + k, all k of all cells advance in one operation.
"""

import math

import torch

_BIG = 1e200
_CHECK = 8  # terms between two checks whether all series have ended


def log_integral_and_mean(eta: torch.Tensor, with_mean: bool = True) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logarithm of the simplex integral, and the mean of its density.

    Parameters
    ----------
    eta : tensor, shape (N, K)
        In double precision.
    with_mean : bool
        Whether the mean is computed.

    Returns
    -------
    log_integral : tensor, shape (N,)
    mean : tensor, shape (N, K), or None

    Raises
    ------
    ValueError
        If ``eta`` is not finite; the series would not end.
    """
    K = eta.shape[1]
    top = eta.max(dim=1).values
    r = top - eta.min(dim=1).values
    a = (top[:, None] - eta) / torch.where(r > 0.0, r, 1.0)[:, None]
    diagonal = torch.zeros_like(eta)  # column k: h_n(a_1..a_k) / r^n with n = number of the diagonal - k
    once, first = torch.zeros_like(eta), torch.zeros_like(eta)
    total = torch.zeros_like(r)
    weight = torch.ones_like(r)  # r^n (K - 1)! / (n + K - 1)!
    log_scale = torch.full_like(r, -math.lgamma(K))
    widest = float(r.max())
    if not math.isfinite(widest):
        raise ValueError("eta has NaN or infinite entries: pass finite fields.")
    grows = widest > 0.9 * math.log(_BIG)  # the sum is at most e^r
    for d in range(K - 1):
        diagonal = _advance(diagonal, a, first_column=1.0 if d == 0 else 0.0)
    n = 0
    while True:
        diagonal = _advance(diagonal, a, first_column=1.0 if n + K == 1 else 0.0)
        h = diagonal[:, -1]
        total += weight * h
        if with_mean:
            once.mul_(a).add_(h[:, None])
            first.addcmul_(once, (weight / (n + K))[:, None])
        if n % _CHECK == 0:
            ratio = r / (n + 1.0)
            if bool(((ratio < 0.9) & (weight * h * ratio <= 1e-17 * (1.0 - ratio) * total)).all()):
                break
        if grows:
            scale = torch.where(total > _BIG, torch.ones_like(r) / _BIG, 1.0)
            total, weight, first = total * scale, weight * scale, first * scale[:, None]
            log_scale = log_scale - scale.log()
        weight = weight * (r / (n + K))
        n += 1
    mean = first / total[:, None] if with_mean else None
    return total.log() + log_scale - top, mean


def _advance(diagonal, a, first_column):
    """The next diagonal: column k is column k - 1 of the last one plus a_k times its column k."""
    shifted = torch.roll(diagonal, 1, dims=1)
    shifted[:, 0] = first_column
    return shifted.addcmul_(a, diagonal)
