"""``spicemix simulate``, and ``spicemix data`` for the data sets of the book."""

from typing import Annotated

import typer

from spicemix_core.command_line.options import Debug, Force, RandomState, Threads, output_option
from spicemix_core.command_line.outputs import DATA_SUFFIXES, check_outputs, check_suffix, write_data

app = typer.Typer(rich_markup_mode=None, help="""Manage the data sets of the book.

\b
Examples:
  spicemix data list
  spicemix data fetch starmap
  spicemix data check""")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set in the output of `spicemix data list`.")]


def simulate(
    output: output_option("File or store to write the simulated data to: .h5ad or .zarr."),
    n_samples: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 1,
    n_cells: Annotated[int, typer.Option(min=2, help="Number of cells per sample.")] = 500,
    n_genes: Annotated[int, typer.Option(min=1, help="Number of genes.")] = 100,
    sigma_x: Annotated[float, typer.Option(min=0, help="Scale of the variation between cells of one type.")] = 3.0,
    sigma_y: Annotated[float, typer.Option(min=0, help="Scale of the measurement noise.")] = 2.0,
    random_state: RandomState = 0,
    force: Force = False,
    threads: Threads = None,
    debug: Debug = False,
):
    """Simulate the cortex of the paper.

    The tissue has four layers, eight cell types and thirteen metagenes; the true values are written with the data.

    \b
    Example:
      spicemix simulate --n-samples 2 --n-cells 500 --random-state 1 -o simulated.h5ad
    """
    check_suffix(output, DATA_SUFFIXES)
    check_outputs(force, output)
    from spicemix_core.datasets.simulation import simulate_cortex

    adata = simulate_cortex(n_samples, sigma_x=sigma_x, sigma_y=sigma_y, n_cells=n_cells, n_genes=n_genes,
                            random_state=random_state)
    write_data(adata, output)
    print(f"{adata.n_obs:,} cells in {n_samples} sample{'s' * (n_samples > 1)}, {adata.n_vars:,} genes: {output}")


@app.command("list")
def list_all(debug: Debug = False):
    """List all data sets and show which are on this machine.

    \b
    Example:
      spicemix data list
    """
    from spicemix_core.datasets.registry import available, read_registry

    for name, facts in read_registry().items():
        print(f"{name:22} {'present' if available(name) else 'missing'} {facts['title']}")


@app.command()
def path(name: Name, debug: Debug = False):
    """Print the folder of a data set on this machine.

    The command downloads nothing.

    \b
    Example:
      spicemix data path starmap
    """
    from spicemix_core.datasets.registry import locate

    print(locate(name, download=False)[1])


@app.command()
def fetch(name: Name, debug: Debug = False):
    """Download a data set and verify its checksums.

    The files go to the user's cache. A data set that is on this machine is not downloaded again.

    \b
    Example:
      spicemix data fetch starmap
    """
    from spicemix_core.datasets.registry import entry, locate

    print(locate(name)[1])
    print(f"Cite: {entry(name)['citation']}")


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(
        metavar="[NAME]", help="Name of a data set. By default, all data sets on this machine.")] = None,
    debug: Debug = False,
):
    """Verify sizes and checksums of data sets.

    The expected values are those of the registry.

    \b
    Example:
      spicemix data check
    """
    from spicemix_core.datasets.registry import available, locate, read_registry

    names = [name] if name else [known for known in read_registry() if available(known)]
    for one in names:
        layout, folder = locate(one, download=False)
        print(f"{one:22} complete {layout} layout, {folder}")
    if not names:
        print("No data set is on this machine. `spicemix data fetch NAME` downloads one.")
