"""The paper's own fit: every piece against an independent reference."""

import numpy as np
import pytest
import scipy.sparse as sp
from models import Stopped, assert_same_model, small_samples
from sklearn.cluster import KMeans

from spicemix_core.baselines import published_fit
from spicemix_core.baselines.published_fit import Adam, AdamProblem, fit_as_published, update_affinity_by_adam
from spicemix_core.files import checkpoint
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.local_cells import LocalCells
from spicemix_core.partition_function import log_simplex_integral
from spicemix_core.steps import affinity_objective, update_affinity


@pytest.fixture(scope="module")
def samples():
    return check_samples(*small_samples(), 4)


@pytest.fixture(scope="module")
def proportions(samples):
    return np.random.default_rng(1).dirichlet(np.full(4, 0.4), size=samples.n_cells)


def test_adam_steps_equal_those_of_torch_with_its_step_decay():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours = Adam(rng.normal(size=(3, 3)))
    theirs = torch.tensor(ours.value.copy(), dtype=torch.float64)
    optimizer = torch.optim.Adam([theirs], lr=published_fit.LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, published_fit.CHECK_EVERY, gamma=published_fit.DECAY)
    for _ in range(2 * published_fit.CHECK_EVERY + 50):
        gradient = rng.normal(size=(3, 3)) + ours.value
        ours.step(gradient)
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(ours.value, theirs.numpy(), rtol=0, atol=1e-12)


def test_batch_steps_of_the_affinity_equal_those_of_torch_by_automatic_differentiation(samples, proportions):
    torch = pytest.importorskip("torch")
    penalty, K = 1e-3, 4
    problem, ours = AdamProblem(proportions, samples, penalty), Adam(np.zeros((K, K)))
    S = torch.zeros((K, K), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([S], lr=1e-2)
    neighbors = torch.tensor(samples.graph @ proportions)
    degrees = torch.tensor(np.diff(samples.graph.indptr))
    for step in range(20):
        ours.step(problem.sampled_gradient(ours.value, np.random.default_rng(step)))
        same = np.random.default_rng(step)
        loss = (torch.tensor(proportions) * (neighbors @ S)).sum()
        for first, last in zip(samples.offsets[:-1], samples.offsets[1:], strict=True):
            chosen = first + same.choice(last - first, min(64, last - first), replace=False)
            loss = loss + degrees[first:last].sum() / degrees[chosen].sum() * LogIntegral.apply(neighbors[chosen] @ S)
        loss = loss / samples.n_directed_edges + penalty / 2 * (S**2).sum()
        optimizer.zero_grad()
        loss.backward()
        S.grad = (S.grad + S.grad.T) / 2
        optimizer.step()
    np.testing.assert_allclose(ours.value, S.detach().numpy(), rtol=0, atol=1e-7)


try:
    import torch

    class LogIntegral(torch.autograd.Function):
        """Sum of log I over the rows, with its derivative by central differences."""

        @staticmethod
        def forward(ctx, eta):
            ctx.save_for_backward(eta)
            return torch.tensor(log_simplex_integral(eta.detach().numpy()).sum())

        @staticmethod
        def backward(ctx, upstream):
            eta, h = ctx.saved_tensors[0].detach().numpy(), 1e-5
            slopes = np.empty_like(eta)
            for k in range(eta.shape[1]):
                shift = h * np.eye(eta.shape[1])[k]
                slopes[:, k] = (log_simplex_integral(eta + shift) - log_simplex_integral(eta - shift)) / (2 * h)
            return upstream * torch.tensor(slopes)
except ImportError:
    pass


def test_the_full_gradient_is_that_of_the_objective_of_the_affinity_step(samples, proportions):
    problem = AdamProblem(proportions, samples, 1e-2)
    S = np.random.default_rng(0).normal(size=(4, 4))
    S, direction = S + S.T, np.ones((4, 4)) - 3 * np.eye(4)
    neighbors = samples.graph @ proportions

    def value(step):
        return affinity_objective(S + step * direction, proportions, neighbors, samples.n_directed_edges, 1e-2)

    found, gradient = problem.full(S)
    assert found == pytest.approx(value(0.0), rel=1e-12)
    assert (gradient * direction).sum() == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-6)


def test_batches_estimate_the_full_gradient_without_bias_where_all_degrees_are_equal(proportions):
    ring = np.roll(np.eye(140), 1, axis=0)
    expressions, _ = small_samples(n_cells=(140,))
    samples = check_samples(expressions, [sp.csr_array(ring + ring.T)], 4)
    problem, S = AdamProblem(proportions, samples, 1e-3), -np.eye(4)
    rng = np.random.default_rng(0)
    mean = np.mean([problem.sampled_gradient(S, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, problem.full(S)[1], atol=3e-4)


def test_the_step_ends_at_the_first_check_where_the_gradient_is_small(samples, proportions):
    optimum = update_affinity(np.zeros((4, 4)), proportions, samples.graph @ proportions, samples.n_directed_edges,
                              affinity_penalty=1e-2)
    step = update_affinity_by_adam(optimum, proportions, samples, 1e-2, np.random.default_rng(0))
    assert step.n_steps == 0 and np.array_equal(step.affinity, optimum)


def test_the_step_ends_at_a_check_that_meets_the_rule_and_at_none_before(samples, proportions, monkeypatch):
    checks, full = [], AdamProblem.full

    def recorded(self, S):
        value, gradient = full(self, S)
        checks.append((S, value * samples.n_directed_edges / samples.n_cells, gradient))
        return value, gradient

    monkeypatch.setattr(AdamProblem, "full", recorded)
    smooth = proportions
    for _ in range(3):
        smooth = samples.graph @ smooth + 0.1 * smooth
    step = update_affinity_by_adam(np.zeros((4, 4)), np.eye(4)[smooth.argmax(axis=1)], samples, 1e-4,
                                   np.random.default_rng(0))
    values = [value for _, value, _ in checks]
    met = []
    for i, (S, value, gradient) in enumerate(checks):
        flat = (abs(gradient) / (abs(S) + 0.1)).max() < 1e-2
        slow = i == 0 or value > values[i - 1] - 0.331
        met.append((flat and slow) or i - int(np.argmin(values[: i + 1])) >= 2)
    assert len(checks) > 2 and met[-1] and not any(met[:-1])
    assert step.n_steps == 331 * (len(checks) - 1)
    assert np.array_equal(step.affinity, checks[int(np.argmin(values))][0])


def test_the_start_is_kmeans_on_the_scaled_expression_and_no_affinity(samples, monkeypatch):
    monkeypatch.setattr(published_fit, "NMF_ROUNDS", 1)
    cells = LocalCells(samples)
    solved = []
    monkeypatch.setattr(cells, "solve_states", lambda M: solved.append(M) or LocalCells.solve_states(cells, M))
    theta = published_fit.start(cells, 4, 7)
    scaled = np.concatenate([c * y for c, y in zip(samples.scaling, samples.expressions, strict=True)])
    centers = KMeans(4, n_init=10, tol=1e-8, random_state=7).fit(scaled).cluster_centers_
    np.testing.assert_allclose(solved[0], (centers / centers.sum(axis=1, keepdims=True)).T, atol=1e-12)
    assert not theta.affinity.any() and theta.affinity.shape == (4, 4)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    data = small_samples()
    first, second, other = (fit_as_published(*data, 4, max_iter=4, random_state=seed) for seed in (3, 3, 4))
    assert_same_model(first, second)
    assert not np.array_equal(first.metagenes_, other.metagenes_)


def test_a_stopped_fit_resumes_to_the_same_bits(tmp_path, monkeypatch):
    data, options = small_samples(), {"n_metagenes": 4, "max_iter": 6, "random_state": 2}
    whole = fit_as_published(*data, **options)
    iterate, done = published_fit.iterate, []

    def stopping(*arguments):
        if len(done) == 3:
            raise Stopped
        done.append(None)
        return iterate(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(checkpoint, "SECONDS", 0.0)
        patch.setattr(published_fit, "iterate", stopping)
        fit_as_published(*data, **options, checkpoint=tmp_path / "fit")
    assert (tmp_path / "fit").exists()
    assert_same_model(fit_as_published(*data, **options, checkpoint=tmp_path / "fit"), whole)
    assert not (tmp_path / "fit").exists()


def test_without_a_graph_there_is_no_affinity():
    expressions, _ = small_samples()
    model = fit_as_published(expressions, None, 4, max_iter=2)
    assert not model.affinity_.any() and (model.history_["adam_steps"] == 0).all()
