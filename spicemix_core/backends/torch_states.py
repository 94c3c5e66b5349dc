"""The state step on a PyTorch device: all waiting cells of one colour in one batch.

The mathematics and the symbols are those of :mod:`spicemix_core.numerics.active_set`: size and proportions of a cell
alternate on a fixed set of positive proportions, and an active-set method changes the set. Here every cell of a batch
has its own set, as a mask, and cells leave the batch when they have converged.
"""

import torch

from spicemix_core.latent_states import MAX_SWEEPS, SWEEP_TOL
from spicemix_core.numerics.active_set import CELL_TOL, MAX_ALTERNATIONS, RELEASE

ROWS = 65_536  # cells of a batch; the linear systems of more cells would need too much memory


def update_cells(colors: list, graph: torch.Tensor, A: torch.Tensor, B: torch.Tensor, affinity: torch.Tensor,
                 state_penalty: float, z: torch.Tensor, s: torch.Tensor) -> int:
    """Sweep over the cells, in place, until none is waiting; returns the number of sweeps.

    Parameters
    ----------
    colors : list of tuples of tensors
        The cells of each colour and their rows of the graph.
    graph : sparse tensor, shape (N, N)
    A, B, affinity : tensors, shapes (K, K), (N, K) and (K, K)
    state_penalty : float
    z, s : tensors, shapes (N, K) and (N,)
        Proportions and sizes, which are updated.

    Returns
    -------
    int
    """
    waiting = torch.ones(len(s), dtype=torch.bool, device=z.device)
    n_sweeps = 0
    while n_sweeps < MAX_SWEEPS and bool(waiting.any()):
        n_sweeps += 1
        for cells, rows in colors:
            chosen = waiting[cells]
            fields = ((rows @ z) @ affinity)[chosen]
            visited = cells[chosen]
            waiting[visited] = False
            moved = torch.zeros_like(s)
            for part, field in zip(visited.split(ROWS), fields.split(ROWS), strict=True):
                moved[part] = _visit(A, B, field, state_penalty, z, s, part)
            waiting |= graph @ moved > 0.0
        if not bool(affinity.any()):
            break
    return n_sweeps


def _visit(A, B, field, state_penalty, z, s, cells):
    """Update ``cells``; returns 1 for each cell that moved by more than ``SWEEP_TOL`` and 0 for the others."""
    b, old_z, old_s = B[cells], z[cells], s[cells]
    new_z, new_s = old_z.clone(), old_s.clone()
    pulled = (field != 0.0).any(dim=1)
    for group, solve in ((pulled, _in_field), (~pulled, _free)):
        if bool(group.any()):
            new_z[group], new_s[group] = solve(A, b[group], field[group], state_penalty, old_z[group], old_s[group])
    lower = _energy(A, b, field, state_penalty, new_z, new_s) <= _energy(A, b, field, state_penalty, old_z, old_s)
    z[cells] = torch.where(lower[:, None], new_z, old_z)
    s[cells] = torch.where(lower, new_s, old_s)
    return (lower & ((new_z - old_z).abs().amax(dim=1) > SWEEP_TOL)).to(s.dtype)


def _energy(A, b, field, state_penalty, z, s):
    """:func:`spicemix_core.latent_states.cell_energy` of a batch."""
    quadratic = ((z @ A) * z).sum(dim=1)
    return 0.5 * s * s * quadratic + (z * (field + s[:, None] * (state_penalty - b))).sum(dim=1)


def _best_size(A, b, state_penalty, z):
    return (((z * b).sum(dim=1) - state_penalty) / ((z @ A) * z).sum(dim=1)).clamp(min=0.0)


def _free(A, b, field, state_penalty, z, s):
    """Non-negative least squares: an active set without the constraint on the sum."""
    x, mask, c = s[:, None] * z, s[:, None] * z > 0.0, b - state_penalty
    batch = torch.arange(len(x), device=x.device)
    for _ in range(20 * x.shape[1] + 20):
        target = _solve_free(A, mask[batch], c[batch][:, :, None])[:, :, 0]
        infeasible = (target < 0.0).any(dim=1)
        stepped, kept = _step_to_bound(x[batch], mask[batch], target)
        x[batch] = torch.where(infeasible[:, None], stepped, target)
        gradient = x[batch] @ A - c[batch]
        no_level = gradient.new_zeros(len(batch))
        entering = _entering(x[batch], mask[batch], gradient, c[batch].abs().amax(dim=1), no_level)
        mask[batch] = torch.where(infeasible[:, None], kept, mask[batch] | entering)
        batch = batch[infeasible | entering.any(dim=1)]
        if not len(batch):
            break
    size = x.sum(dim=1)
    equal = torch.full_like(x, 1.0 / x.shape[1])
    return torch.where(size[:, None] > 0.0, x / torch.where(size > 0.0, size, 1.0)[:, None], equal), size


def _in_field(A, b, field, state_penalty, z, s):
    z, mask = z.clone(), z > 0.0
    s = _best_size(A, b, state_penalty, z)
    batch = torch.arange(len(z), device=z.device)
    for _ in range(20 * z.shape[1] + 20):
        empty = batch[s[batch] == 0.0]
        if len(empty):  # only the field is left: the best proportions are a corner
            z[empty] = torch.nn.functional.one_hot(field[empty].argmin(dim=1), z.shape[1]).to(z.dtype)
            mask[empty] = z[empty] > 0.0
            s[empty] = _best_size(A, b[empty], state_penalty, z[empty])
            batch = batch[s[batch] > 0.0]
        if not len(batch):
            break
        in_batch = A, b[batch], field[batch], state_penalty, z[batch], s[batch], mask[batch]
        z[batch], s[batch], target, feasible = _alternate(*in_batch)
        stepped, kept = _step_to_bound(z[batch], mask[batch], target)
        z[batch] = torch.where(feasible[:, None], z[batch], stepped)
        t = 1.0 / torch.where(s[batch] > 0.0, s[batch], 1.0)[:, None]
        c = t * (b[batch] - t * field[batch])
        gradient = z[batch] @ A - c
        level = (gradient * z[batch]).sum(dim=1)
        entering = _entering(z[batch], mask[batch], gradient, c.abs().amax(dim=1), level)
        mask[batch] = torch.where(feasible[:, None], mask[batch] | entering, kept)
        batch = batch[~feasible | entering.any(dim=1) | (s[batch] == 0.0)]
    return z, s


def _alternate(A, b, field, state_penalty, z, s, mask):
    """Alternate sizes and proportions while the same proportions are positive.

    Returns z, s (0 where the best size is 0), the last best proportions, and whether they are feasible and in z.
    """
    p, q, v = _solve_free(A, mask, torch.stack([b, field, torch.ones_like(b)], dim=2)).unbind(dim=2)
    sum_p, sum_q, sum_v = p.sum(dim=1), q.sum(dim=1), v.sum(dim=1)
    z0 = v / sum_v[:, None]
    z1, z2 = p - sum_p[:, None] * z0, q - sum_q[:, None] * z0
    b0, b1, b2 = ((b * part).sum(dim=1) for part in (z0, z1, z2))
    f0, f1, f2 = ((field * part).sum(dim=1) for part in (z0, z1, z2))
    live, feasible = torch.ones_like(s, dtype=torch.bool), torch.ones_like(s, dtype=torch.bool)
    target = z
    for _ in range(MAX_ALTERNATIONS):
        t = 1.0 / s
        best = z0 + t[:, None] * (z1 - t[:, None] * z2)
        target = torch.where(live[:, None], best, target)
        outside = live & (target < 0.0).any(dim=1)
        feasible, live = feasible & ~outside, live & ~outside
        z = torch.where(live[:, None], target, z)
        z_b, z_field = b0 + t * (b1 - t * b2), f0 + t * (f1 - t * f2)
        multiplier = (t * (sum_p - t * sum_q) - 1.0) / sum_v
        size = (z_b - state_penalty) / (t * (z_b - t * z_field) - multiplier)  # the divisor is z'Az
        gone = live & ~(size > 0.0)
        live = live & ~gone & ((size - s).abs() >= CELL_TOL * s)
        s = torch.where(live, size, torch.where(gone, 0.0, s))
        if not bool(live.any()):
            break
    return z, s, target, feasible


def _solve_free(A, mask, sides):
    """Solve ``A x = c`` on each row's free coordinates, (n, K, sides); zero elsewhere.

    Uses two triangular solves, because ``cholesky_solve`` on a GPU solves the systems of a batch one by one.
    """
    both = mask[:, :, None] & mask[:, None, :]
    top = A.diagonal().max()
    system = torch.where(both, A, torch.zeros_like(A))
    system.diagonal(dim1=1, dim2=2).add_(torch.where(mask, 1e-12 * top, top))
    factor, failed = torch.linalg.cholesky_ex(system)
    if bool(failed.any()):  # linearly dependent metagenes: pick one of the tied solutions
        system[failed > 0] += 1e-8 * top * torch.eye(len(A), dtype=A.dtype, device=A.device)
        factor = torch.linalg.cholesky(system)
    half = torch.linalg.solve_triangular(factor, sides * mask[:, :, None], upper=False)
    return torch.linalg.solve_triangular(factor.mT, half, upper=True)


def _step_to_bound(z, mask, target):
    """Move towards ``target`` until the first coordinate is zero; returns the point and the mask without it."""
    falls = mask & (target < 0.0)
    step = torch.where(falls, z / (z - target), 1.0).amin(dim=1, keepdim=True)
    moved = z + step * (target - z)
    blocked = falls & (moved <= 1e-15)
    return torch.where(blocked | ~mask, 0.0, moved.clamp(min=0.0)), mask & ~blocked


def _entering(z, mask, gradient, scale, level):
    """Mask of the coordinate of each row with the most negative multiplier, if there is a negative one."""
    multipliers = torch.where(~mask & (z == 0.0), gradient - level[:, None], 0.0)
    worst, k = multipliers.min(dim=1)
    one_hot = torch.nn.functional.one_hot(k, z.shape[1]).bool()
    return one_hot & (worst < -RELEASE * (scale + level.abs()))[:, None]
