"""The steps in PyTorch on the processor, against the compiled ones."""

import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from models import random_affinity_problem, random_state_problem, small_samples
from sklearn.exceptions import ConvergenceWarning
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from spicemix_core import SpiceMix, backends
from spicemix_core import affinity as affinity_module
from spicemix_core.backends import torch_cells as torch_backend
from spicemix_core.backends.torch_series import log_integral_and_mean
from spicemix_core.numerics.coloring import color_classes
from spicemix_core.partition_function import simplex_moments
from spicemix_core.samples import Samples
from spicemix_core.steps import states_energy, update_affinity, update_latent_states


def on_device(problem):
    samples = Samples([np.ones((len(problem["sizes"]), 1))], np.ones(1), problem["graph"])
    placed = torch_backend.TorchSamples(samples, torch.device("cpu"))
    tensors = {name: placed.tensor(problem[name]) for name in ("linear", "proportions", "sizes")}
    return problem | tensors | dict(graph=placed.graph, colors=placed.colors)


class SecondDevice(TorchFunctionMode):
    """Treats tensors made with ``device=`` as those of another device: an operation must not mix them with tensors made
    without it, and only ``.cpu()`` makes them arrays."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        there = [hasattr(t, "is_there") for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        assert all(there) or not any(there), f"{name} of tensors of two devices"
        assert not any(there) or name not in ("numpy", "__array__"), "an array of a tensor on the device"
        result = function(*args, **kwargs)
        if name == "cpu":
            return result.clone()
        if any(there) or kwargs.get("device") is not None:
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    tensor.is_there = True
                    self.dtypes.add(tensor.dtype)
        return result


@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_all_tensors_of_a_fit_are_on_the_device_and_none_is_single_by_accident(kind, dtype, monkeypatch):
    monkeypatch.setattr(affinity_module, "SUBSET", 60)
    expressions, graphs = small_samples(0)
    data = [(sp.csr_array(y) if kind == "csr" else y).astype(dtype) for y in expressions]
    with warnings.catch_warnings(), SecondDevice() as seen:
        warnings.simplefilter("ignore", ConvergenceWarning)
        SpiceMix(4, random_state=0, max_iter=4, tol=0.0, device="cpu").fit_arrays(data, graphs)
    single = {torch.float32} if dtype == np.float32 else set()
    assert {d for d in seen.dtypes if d.is_floating_point} == {torch.float64} | single


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strength", [0.0, 0.3, 5.0, 100.0])
def test_states_are_those_of_the_compiled_step(seed, strength):
    problem = random_state_problem(seed, strength=strength)
    z, s, n_sweeps = torch_backend.update_latent_states(**on_device(problem))
    expected, sizes, sweeps = update_latent_states(**problem)
    energy = states_energy(**problem | dict(proportions=z.numpy(), sizes=s.numpy()))
    assert energy == pytest.approx(states_energy(**problem | dict(proportions=expected, sizes=sizes)), rel=1e-8)
    assert n_sweeps == sweeps
    np.testing.assert_allclose(z, expected, atol=1e-5)
    np.testing.assert_allclose(s, sizes, rtol=1e-5, atol=1e-8)


def test_a_cell_that_the_data_do_not_support_follows_the_field_alone():
    problem = random_state_problem(4, strength=0.5)
    problem["linear"][7] = 0.5
    z, s, _ = torch_backend.update_latent_states(**on_device(problem))
    field = (problem["graph"] @ z.numpy())[7] @ problem["affinity"]
    assert s[7] == 0.0 and z[7, np.argmin(field)] == 1.0


def test_dependent_metagenes_still_lower_the_energy():
    problem = random_state_problem(6, strength=0.3)
    for array in (problem["gram"], problem["gram"].T, problem["linear"].T):
        array[1] = array[0]
    z, s, _ = torch_backend.update_latent_states(**on_device(problem))
    ours = states_energy(**problem | dict(proportions=z.numpy(), sizes=s.numpy()))
    assert np.isfinite(ours) and ours < states_energy(**problem)


@pytest.mark.parametrize("K", [1, 2, 7, 20])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1.0, 40.0, 700.0])
def test_series_is_that_of_the_compiled_code(K, spread):
    rng = np.random.default_rng(K)
    eta = 3.0 + spread * rng.random((50, K))
    log_integral, mean = log_integral_and_mean(torch.as_tensor(eta))
    expected, expected_mean = simplex_moments(eta)
    np.testing.assert_allclose(log_integral, expected, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_series_that_would_not_end_is_refused(wrong):
    with pytest.raises(ValueError, match="NaN or infinite"):
        log_integral_and_mean(torch.tensor([[0.0, 1.0], [wrong, 1.0]], dtype=torch.float64))


@pytest.mark.parametrize("subset", [8192, 60])
def test_affinity_is_that_of_the_compiled_step(monkeypatch, subset):
    start, z, nu, n_edges = random_affinity_problem(3, n_cells=300)
    expected = update_affinity(start, z, nu, n_edges, affinity_penalty=1e-3)
    monkeypatch.setattr(affinity_module, "SUBSET", subset)
    (_,), (graph,) = small_samples(3, n_cells=(300,))
    cells = torch_backend.TorchCells(Samples([np.ones((300, 1))], np.ones(1), graph), device="cpu")
    cells.proportions, cells._neighbor_sums = torch.as_tensor(z), torch.as_tensor(nu)
    ours = affinity_module.AffinityProblem(cells.affinity_sums, 300, n_edges, 1e-3).minimize(start)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 1e-4)])
def test_fit_reaches_the_objective_of_the_compiled_code(kind, dtype, tolerance):
    expressions, graphs = small_samples(0)
    data = [(sp.csr_array(y) if kind == "csr" else y).astype(dtype) for y in expressions]
    options = dict(n_metagenes=4, random_state=0, max_iter=25, tol=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = SpiceMix(**options, device="cpu").fit_arrays(data, graphs)
        compiled = SpiceMix(**options).fit_arrays(expressions, graphs)
    for name in ("energy", "Q", "noise"):
        assert ours.history_[name].iloc[-1] == pytest.approx(compiled.history_[name].iloc[-1], rel=tolerance), name
    np.testing.assert_allclose(ours.metagenes_, compiled.metagenes_, atol=100 * tolerance)
    assert [type(x) for x in ours.latent_states_] == [np.ndarray, np.ndarray]
    assert [x.shape for x in ours.latent_states_] == [x.shape for x in compiled.latent_states_]


def test_non_spatial_fit_is_that_of_the_compiled_code():
    expressions, _ = small_samples(1)
    ours, compiled = (SpiceMix(3, spatial=False, random_state=0, device=device).fit_arrays(expressions)
                      for device in ("cpu", None))
    assert ours.n_iter_ == compiled.n_iter_ and ours.converged_
    np.testing.assert_allclose(ours.metagenes_, compiled.metagenes_, atol=1e-8)


@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_a_missing_device_is_refused(device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here") as error:
        SpiceMix(4, device=device).fit_arrays(*small_samples(0))
    assert "\n" not in str(error.value)


def test_missing_torch_is_refused(monkeypatch):

    monkeypatch.delattr(backends, "torch_cells")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "spicemix_core.backends.torch_cells")
    with pytest.raises(ModuleNotFoundError, match="device='cpu' needs PyTorch"):
        SpiceMix(4, device="cpu").fit_arrays(*small_samples(0))


def test_colors_on_the_device_are_those_of_the_graph():
    problem = random_state_problem(0)
    placed = on_device(problem)
    for (cells, rows), expected in zip(placed["colors"], color_classes(problem["graph"]), strict=True):
        np.testing.assert_array_equal(cells, expected)
        np.testing.assert_array_equal(rows.to_dense(), problem["graph"][expected].toarray())
