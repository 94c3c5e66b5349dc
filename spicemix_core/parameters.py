"""What the parameters of :class:`spicemix_core.SpiceMix` may be."""

import numbers

import numpy as np


def check_parameters(model):
    """Raise ValueError, in one sentence, for parameters of the estimator with which there is no fit."""
    for name, lowest in (("n_metagenes", 2), ("max_iter", 1)):
        value = getattr(model, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < lowest:
            raise ValueError(f"{name} must be an integer of at least {lowest}, not {value!r}")
    if model.affinity_iterations is not None and (
        not isinstance(model.affinity_iterations, (int, np.integer)) or model.affinity_iterations < 0
    ):
        raise ValueError(f"affinity_iterations must be None or an integer of at least 0, not "
                         f"{model.affinity_iterations!r}")
    for name, positive in (("affinity_penalty", True), ("state_penalty", False), ("tol", False)):
        value = getattr(model, name)
        if not isinstance(value, numbers.Real) or not np.isfinite(value) or value < 0 or (positive and value == 0):
            raise ValueError(f"{name} must be a {'positive' if positive else 'non-negative'} number, not {value!r}")

    if model.solver not in ("active-set", "gurobi"):
        raise ValueError(f"solver must be 'active-set' or 'gurobi', not {model.solver!r}")
    if model.solver == "gurobi" and model.device is not None:
        raise ValueError(f"solver='gurobi' works without a device; leave out device={model.device!r}")
