"""The command line: ``spicemix COMMAND --help``.

Nothing but typer and the standard library is imported before a command runs, so that help comes at once and the number
of threads can be set before the libraries that read it.
"""

import sys
import traceback
import warnings
from pathlib import Path

import typer

from spicemix_core.command_line import analysing, datasets, files, fitting, reporting, selecting
from spicemix_core.command_line.running import Interrupted, one_line

PACKAGE = Path(__file__).parents[1]
app = typer.Typer(
    name="spicemix", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Metagenes, their spatial affinity and cell types from spatial transcriptomics.\n\n"
         "\b\nFrom a file to figures:\n"
         "  spicemix fit tissue.h5ad --metagenes 20 -o model.h5 -a fitted.h5ad\n"
         "  spicemix cluster fitted.h5ad -o clustered.h5ad\n"
         "  spicemix report model.h5 clustered.h5ad -o report.html",
    epilog="Exit status: 0 done, 1 failed, 2 the request was not understood, 130 interrupted.")
for command in (fitting.fit, fitting.transform, analysing.cluster, analysing.plot, selecting.select, files.simulate,
                files.convert):
    app.command()(command)
app.add_typer(datasets.app, name="data")
app.command()(reporting.report)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Show the version and exit.")):
    if version:
        from spicemix_core import __version__

        print(__version__)
        raise typer.Exit()


def main(arguments=None) -> int:
    """Run one command; return its exit status.

    A failure prints one line to stderr, and the traceback where ``--debug`` is among the arguments. Warnings of the
    package are printed after a command that succeeded, one line each.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in arguments
    try:
        with warnings.catch_warnings(record=not debug) as told:
            warnings.simplefilter("default")
            status = typer.main.get_command(app).main(arguments, prog_name="spicemix", standalone_mode=False) or 0
    except Interrupted as stop:
        return _fail(str(stop), 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if hasattr(error, "format_message"):  # of typer: the request was not understood
            place = getattr(getattr(error, "ctx", None), "command_path", "spicemix")
            return _fail(f"{error.format_message().rstrip('.')}; {place} --help says more", 2)
        return _fail(one_line(error), 1)
    if status == 130:
        return _fail("interrupted; nothing was written", 130)
    own = (warning.message for warning in told or () if Path(warning.filename).is_relative_to(PACKAGE))
    for message in dict.fromkeys(map(str, own)):  # those of other libraries are not about the user's data
        print(f"Warning: {' '.join(message.split())}", file=sys.stderr)
    return status


def _fail(text, status):
    print(f"Error: {' '.join(text.split())}", file=sys.stderr)
    return status
