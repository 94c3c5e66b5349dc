"""The command line: ``spicemix COMMAND --help``.

Only typer and the standard library are imported before a command runs. The help appears at once, and the number of
threads is set before the libraries that read it are imported.
"""

import sys
import traceback
import warnings
from collections.abc import Sequence

import typer

from spicemix_core.command_line import analysing, converting, datasets, fitting, reporting, selecting
from spicemix_core.command_line.messages import Interrupted, one_line, tell, usage_message, with_present_names
from spicemix_core.command_line.process import end_process, has_open_hdf5_files, process_state, say
from spicemix_core.files.atomic import DiskFullError, is_disk_full

app = typer.Typer(
    name="spicemix", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Learn metagenes, their spatial affinity and cell types from spatial transcriptomics.\n\n"
         "\b\nFrom a file to figures:\n"
         "  spicemix fit tissue.h5ad --n-metagenes 20 -o model.h5 -a fitted.h5ad\n"
         "  spicemix cluster fitted.h5ad -o clustered.h5ad\n"
         "  spicemix report model.h5 clustered.h5ad -o report.html",
    epilog="Exit status: 0 success, 1 failure, 2 invalid command line, 130 interrupted.")
for command in (fitting.fit, fitting.transform, analysing.cluster, analysing.domains, analysing.plot, selecting.select,
                datasets.simulate, converting.convert):
    app.command()(command)
app.add_typer(datasets.app, name="data")
app.command()(reporting.report)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Show the version and exit.")):
    if version:
        from importlib.metadata import version as version_of

        print(version_of("spicemix-core"))
        raise typer.Exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    An error is printed to stderr on one line, after the traceback if ``--debug`` is given. Warnings of this package
    are printed when the data are prepared and after the command has succeeded, one line each.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the name of the program. By default, that of the process.

    Returns
    -------
    int
        Exit status: 0 success, 1 failure, 2 invalid command line, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in given
    with process_state(debug, quiet=not {"--quiet", "-q"}.isdisjoint(given)):
        try:
            return _run(given, debug)
        except DiskFullError as error:
            status = _fail(one_line(error), 1)
            if arguments is None and has_open_hdf5_files():
                end_process(status)
            return status


def _run(arguments, debug):
    try:
        with warnings.catch_warnings(record=not debug) as caught:
            warnings.simplefilter("default")
            status = typer.main.get_command(app).main(arguments, prog_name="spicemix", standalone_mode=False) or 0
    except Interrupted as stop:
        return _fail(str(stop), 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, DiskFullError):
            raise
        if is_disk_full(error):
            where = f" {error.filename} cannot be written." if getattr(error, "filename", None) else ""
            raise DiskFullError(f"The disk is full.{where} Free some space and try again.") from error
        if (present := with_present_names(arguments, error)) is not None:
            say(f"Warning: {usage_message(error)}")
            return _run(present, debug)
        if hasattr(error, "format_message"):  # an exception of typer
            return _fail(usage_message(error), 2)
        return _fail(one_line(error), 1)
    if status == 130:
        return _fail("The command was interrupted. Nothing was written.", 130)
    tell(caught or ())
    return status


def _fail(message, status):
    say(f"Error: {' '.join(message.split())}")
    return status
