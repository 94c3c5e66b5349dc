"""Checks of a fitted model whose arrays come from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spicemix_core.model import SpiceMix


def check_model(model: SpiceMix) -> None:
    """Check that shapes, numbers and names of a fitted model agree with each other.

    Parameters
    ----------
    model : SpiceMix
        A model with all attributes of a fit.

    Raises
    ------
    ValueError
        Two parts disagree, or a number is one that no fit gives.

    Examples
    --------
    >>> from spicemix_core import SpiceMix, datasets
    >>> adata = datasets.simulate_cortex(n_cells=40, n_genes=20, random_state=0)
    >>> model = SpiceMix(3, max_iter=20, tol=1.0, random_state=0).fit(adata)
    >>> check_model(model)
    >>> model.noise_ = 0.0
    >>> check_model(model)
    Traceback (most recent call last):
    ValueError: Noise and scaling must be positive.
    """
    _check_shapes(model)
    _check_numbers(model)
    if hasattr(model, "feature_names_in_"):
        _check_names(model)
    if not isinstance(getattr(model, "input_", {}), dict):
        raise ValueError("What the file says about the data of the fit is not a table.")


def _check_shapes(model):
    K = model.n_metagenes
    if not isinstance(K, int) or model.metagenes_.ndim != 2 or model.metagenes_.shape[1] != K:
        raise ValueError(f"The metagenes have shape {model.metagenes_.shape}, but n_metagenes is {K!r}.")
    if model.affinity_.shape != (K, K):
        raise ValueError(f"The affinity has shape {model.affinity_.shape} instead of ({K}, {K}).")
    n_samples = len(model.latent_states_)
    if n_samples == 0 or model.scaling_.shape != (n_samples,):
        raise ValueError(f"There are states of {n_samples} samples, but the scaling has shape {model.scaling_.shape}.")
    for states in model.latent_states_:
        if states.ndim != 2 or states.shape[1] != K or not len(states):
            raise ValueError(f"The states of a sample have shape {states.shape} instead of (cells, {K}).")


def _check_numbers(model):
    arrays = {"metagenes": model.metagenes_, "affinity": model.affinity_, "noise": np.array([model.noise_]),
              "scaling": model.scaling_} | {f"latent_states/{i}": x for i, x in enumerate(model.latent_states_)}
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"The dataset {name} holds values that are not finite numbers.")
        if name != "affinity" and (array < 0).any():
            raise ValueError(f"The dataset {name} holds negative numbers.")
    if model.noise_ == 0 or not model.scaling_.all():
        raise ValueError("Noise and scaling must be positive.")


def _check_names(model):
    n_genes, n_samples = len(model.metagenes_), len(model.latent_states_)
    if len(model.feature_names_in_) != n_genes:
        raise ValueError(f"The file names {len(model.feature_names_in_)} genes, but its metagenes have {n_genes} rows.")
    if len(model.sample_names_) != n_samples or len(model.cell_names_) != n_samples:
        raise ValueError(f"The file names {len(model.sample_names_)} samples and the cells of "
                         f"{len(model.cell_names_)} samples, but holds states of {n_samples}.")
    for sample, names, states in zip(model.sample_names_, model.cell_names_, model.latent_states_, strict=True):
        if len(names) != len(states):
            raise ValueError(f"The file names {len(names)} cells of the sample {sample!r}, but holds states of "
                             f"{len(states)}.")
