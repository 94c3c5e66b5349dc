"""Where the cells of a fit are: in this process, on a PyTorch device, or on the workers of a cluster."""

from functools import partial
from typing import TYPE_CHECKING

from spicemix_core.cells import Cells
from spicemix_core.local_cells import LocalCells
from spicemix_core.samples import Samples

if TYPE_CHECKING:
    from distributed import Client


def place_cells(samples: Samples, first_cells: list[int] | None = None, *, states: tuple | None = None,
                client: "Client | None" = None, device: str | None = None, solver: str = "active-set") -> Cells:
    """The cells of some samples, where a fit with these options wants them.

    Workers and devices hold the expression itself, which is loaded if it is not in memory.

    Parameters
    ----------
    samples : Samples
    first_cells, states
        As for :class:`spicemix_core.local_cells.LocalCells`.
    client : distributed.Client, optional
        The samples are distributed over its workers.
    device, solver
        As for :class:`spicemix_core.SpiceMix`.

    Returns
    -------
    Cells

    Raises
    ------
    ModuleNotFoundError, ValueError
        If PyTorch or the device does not exist where the cells would be.
    """
    if client is not None or device is not None:
        samples = samples.in_memory()
    if client is not None:
        from spicemix_core.backends.dask_cells import DaskCells

        return DaskCells(client, samples, partial(place_cells, device=device, solver=solver), states=states)
    if solver == "gurobi":
        from spicemix_core.backends import gurobi_states

        return LocalCells(samples, first_cells, states=states, update=gurobi_states.update_latent_states)
    if device is None:
        return LocalCells(samples, first_cells, states=states)
    try:
        from spicemix_core.backends.torch_cells import TorchCells
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"device={device!r} needs PyTorch: install torch, or leave out the device."
                                  ) from error
    return TorchCells(samples, first_cells, states=states, device=device)
