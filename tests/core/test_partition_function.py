"""The integral over the simplex and its moments, against high precision, finite differences, sampling, autograd."""

import math

import mpmath
import numpy as np
import pytest
import torch

from spicemix_core.partition_function import log_simplex_integral, simplex_moments


def textbook_log_integral(eta, digits):
    """sum_k exp(-eta_k) / prod_{j != k} (eta_j - eta_k) with ``digits`` digits; ties are separated by 1e-200."""
    with mpmath.workdps(digits):
        nodes = [mpmath.mpf(float(e)) + mpmath.mpf(10) ** -200 * i for i, e in enumerate(eta)]
        total = mpmath.mpf(0)
        for k, node in enumerate(nodes):
            total += mpmath.exp(-node) / mpmath.fprod(other - node for j, other in enumerate(nodes) if j != k)
        return mpmath.log(total)


def series_log_integral(eta, digits=80):
    """The positive series in high precision, which needs no separation of ties and far fewer digits."""
    with mpmath.workdps(digits):
        nodes = [mpmath.mpf(float(e)) for e in eta]
        top, K = max(nodes), len(nodes)
        gaps = [top - e for e in nodes]
        partial, total, weight, n = [mpmath.mpf(0)] * K, mpmath.mpf(0), 1 / mpmath.factorial(K - 1), 0
        while True:
            h = mpmath.mpf(n == 0)
            for k in range(K):
                h += gaps[k] * partial[k]
                partial[k] = h
            total += weight * h
            if n > 2 * max(gaps) and weight * h < total * mpmath.mpf(10) ** -40:
                return mpmath.log(total) - top
            n += 1
            weight /= n + K - 1


def relative_error(eta, reference):
    with mpmath.workdps(60):
        return abs(mpmath.expm1(mpmath.mpf(log_simplex_integral(eta)) - reference))


def spread_to(values, spread):
    """``values`` shifted and scaled to a range of exactly ``spread``."""
    width = np.ptp(values)
    return (values - values.min()) * (spread / width if width else 0.0)


def test_high_precision_series_agrees_with_textbook_sum():
    rng = np.random.default_rng(0)
    for K in (2, 5, 12):
        for spread in (0.0, 1e-6, 3.0, 200.0):
            eta = spread_to(rng.normal(size=K), spread)
            assert abs(series_log_integral(eta) - textbook_log_integral(eta, 4000)) < 1e-30


@pytest.mark.parametrize("K", [2, 3, 10, 20, 40, 60])
@pytest.mark.parametrize("spread", [0.0, 1e-14, 1e-10, 1e-6, 1e-2, 1.0, 30.0, 200.0, 1000.0])
def test_integral_has_twelve_digits(K, spread):
    rng = np.random.default_rng(K)
    eta = rng.normal() + spread_to(rng.normal(size=K), spread)
    assert relative_error(eta, series_log_integral(eta)) < 1e-12


@pytest.mark.parametrize("gap", [0.0, 1e-14, 1e-12, 1e-9, 1e-6])
def test_ties_and_near_ties_cost_no_accuracy(gap):
    eta = np.repeat(np.random.default_rng(1).normal(size=10) * 5.0, 2)
    eta[::2] += gap
    assert relative_error(eta, series_log_integral(eta)) < 1e-12


def test_two_metagenes_have_the_closed_form():
    assert log_simplex_integral([0.0, 2.0]) == pytest.approx(math.log((1 - math.exp(-2.0)) / 2.0), rel=1e-14)


def test_no_field_gives_the_volume_of_the_simplex():
    for K in (1, 2, 7, 30):
        assert log_simplex_integral(np.zeros(K)) == pytest.approx(-math.lgamma(K), rel=1e-14)


def test_large_spreads_give_finite_integrals():
    eta = np.random.default_rng(2).normal(size=(20, 30)) * 5e3
    log_integral, mean, second = simplex_moments(eta, order=2)
    assert np.isfinite(log_integral).all() and np.isfinite(second).all()
    assert (mean >= 0).all() and mean.sum(axis=1) == pytest.approx(1.0, abs=1e-9)


def test_moments_are_derivatives_of_the_log_integral():
    rng = np.random.default_rng(3)
    eta, step = rng.normal(size=(5, 6)) * 4.0, 1e-4
    _, mean, second = simplex_moments(eta, order=2)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    for k in range(6):
        shift = step * np.eye(6)[k]
        up, mean_up = simplex_moments(eta + shift)
        down, mean_down = simplex_moments(eta - shift)
        np.testing.assert_allclose(-(up - down) / (2 * step), mean[:, k], atol=1e-7)
        np.testing.assert_allclose(-(mean_up - mean_down) / (2 * step), covariance[:, k], atol=1e-7)


def test_moments_agree_with_automatic_differentiation():
    """torch differentiates the closed form for well separated nodes, where it is accurate enough in float64."""
    eta = torch.tensor([0.0, 3.0, 7.0, 12.0], dtype=torch.float64, requires_grad=True)

    def closed_form(e):
        gaps = e[None, :] - e[:, None] + torch.eye(4, dtype=e.dtype)
        return torch.log((torch.exp(-e) / gaps.prod(dim=1)).sum())

    gradient = torch.autograd.functional.jacobian(closed_form, eta)
    hessian = torch.autograd.functional.hessian(closed_form, eta)
    log_integral, mean, second = simplex_moments(eta.detach().numpy()[None], order=2)
    assert log_integral[0] == pytest.approx(closed_form(eta).item(), rel=1e-12)
    np.testing.assert_allclose(mean[0], -gradient.numpy(), atol=1e-11)
    np.testing.assert_allclose(second[0] - np.outer(mean[0], mean[0]), hessian.numpy(), atol=1e-10)


def test_moments_agree_with_monte_carlo():
    rng = np.random.default_rng(4)
    eta, draws = rng.normal(size=5) * 2.0, rng.dirichlet(np.ones(5), size=400_000)
    weights = np.exp(-draws @ eta)
    log_integral, mean, second = simplex_moments(eta[None], order=2)
    assert log_integral[0] == pytest.approx(np.log(weights.mean()) - math.lgamma(5), abs=5e-3)
    np.testing.assert_allclose(mean[0], weights @ draws / weights.sum(), atol=3e-3)
    np.testing.assert_allclose(second[0], (draws * weights[:, None]).T @ draws / weights.sum(), atol=3e-3)


@pytest.mark.parametrize("eta", [[[np.nan, 0.0]], [[np.inf, 1.0]], np.zeros((2, 2, 2)), np.zeros((3, 0))])
def test_unusable_fields_are_refused(eta):
    with pytest.raises(ValueError, match="eta"):
        log_simplex_integral(eta)
    with pytest.raises(ValueError, match="order"):
        simplex_moments(np.zeros((1, 2)), order=3)


def test_authors_run_has_the_stated_partition_functions(real_data):
    run = np.load(real_data / "reference_run" / "master_fov0_K10.npz")
    edges = np.loadtxt(real_data / "synthetic_cortex" / "files" / "neighborhood_0.txt", dtype=int)
    graph = np.zeros((500, 500))
    graph[edges[:, 0], edges[:, 1]] = graph[edges[:, 1], edges[:, 0]] = 1.0
    for t in (0, 1, 10, 50):
        z = run[f"X{t}_0"] / run[f"X{t}_0"].sum(axis=1, keepdims=True)
        fields = graph @ z @ run[f"Sigma_x_inv{t}"]
        assert (z * fields).sum() == pytest.approx(float(run[f"pair{t}"]), rel=1e-12)
        np.testing.assert_allclose(log_simplex_integral(fields), run[f"logZ_exact{t}"].ravel(), atol=1e-12)
