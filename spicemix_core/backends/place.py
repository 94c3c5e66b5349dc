"""Where the cells of a fit are: on the processor, on a graphics card, or with another solver."""

from spicemix_core.cells import Part


def part_of(samples, first_cells=None, *, device=None, solver="active-set"):
    """The :class:`Part` for a ``device`` and a ``solver``, as :class:`spicemix_core.SpiceMix` names them.

    Raises
    ------
    ModuleNotFoundError, ValueError
        There is no PyTorch, or no such device where the part is made.
    """
    if solver == "gurobi":
        from spicemix_core.backends import gurobi_states as gurobi_solver

        return Part(samples, first_cells, update=gurobi_solver.update_latent_states)
    if device is None:
        return Part(samples, first_cells)
    try:
        from spicemix_core.backends import torch_cells as torch_backend
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"device={device!r} needs PyTorch: pip install torch, or leave out the "
                                  "device") from error
    return torch_backend.TorchPart(samples, first_cells, device)
