"""``spicemix data``: the measured and simulated data sets of the book."""

from typing import Annotated

import typer

from spicemix_core.command_line.running import Debug

app = typer.Typer(rich_markup_mode=None, help="""The data sets of the book.

What there is, where it is, and whether it is whole.

\b
Examples:
  spicemix data list
  spicemix data fetch starmap
  spicemix data check""")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set, as `spicemix data list` shows it.")]


@app.command("list")
def list_all(debug: Debug = False):
    """List all data sets, and which are here.

    \b
    Example:
      spicemix data list
    """
    from spicemix_core.datasets.registry import available, read_registry

    for name, facts in read_registry().items():
        print(f"{name:22} {'here   ' if available(name) else 'missing'} {facts['title']}")


@app.command()
def path(name: Name, debug: Debug = False):
    """Show the folder of a data set.

    Nothing is downloaded.

    \b
    Example:
      spicemix data path starmap
    """
    from spicemix_core.datasets.registry import locate

    print(locate(name, download=False)[1])


@app.command()
def fetch(name: Name, debug: Debug = False):
    """Download a data set and check it.

    It goes into the user's cache, unless it is here already.

    \b
    Example:
      spicemix data fetch starmap
    """
    from spicemix_core.datasets.registry import entry, locate

    print(locate(name)[1])
    print(f"Cite: {entry(name)['citation']}")


@app.command()
def check(name: Annotated[str | None, typer.Argument(
        metavar="[NAME]", help="Name of a data set; default: all that are here.")] = None, debug: Debug = False):
    """Check that files are the published ones.

    Their sizes and checksums are compared with the registry.

    \b
    Example:
      spicemix data check
    """
    from spicemix_core.datasets.registry import available, locate, read_registry

    names = [name] if name else [known for known in read_registry() if available(known)]
    for one in names:
        layout, folder = locate(one, download=False)
        print(f"{one:22} whole   {layout} layout, {folder}")
    if not names:
        print("no data set is here; `spicemix data fetch NAME` downloads one")
