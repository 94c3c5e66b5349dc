"""A report of a fit: a chapter that is executed on the user's data and written as one HTML page.

``chapter.md`` is the chapter, ``page.html`` the frame around it. Errors in the input are found before the chapter is
executed.
"""

from __future__ import annotations

import html
import importlib
import os
import re
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spicemix_core.exchange.readers import read_data
from spicemix_core.files.atomic import replacing
from spicemix_core.files.temporary import temporary_folder
from spicemix_core.inputs.positions import spatial_key_of
from spicemix_core.model import SpiceMix
from spicemix_core.pl.names import readable
from spicemix_core.report.data import complete

HERE = Path(__file__).parent


def write_report(model: str | os.PathLike, data: str | os.PathLike, output: str | os.PathLike, *,
                 sample_key: str | None = None, graph_key: str | None = None, layer: str | None = None,
                 spatial_key: str | None = None, normalize: bool = False, title: str | None = None,
                 random_state: int = 0) -> None:
    """Write a report of a fitted model and its data as one HTML page, which needs no network.

    The page shows cell types, maps, metagenes, affinity, marker genes, agreement between seeds and diagnostics.

    Parameters
    ----------
    model : path
        A file that :meth:`spicemix_core.SpiceMix.save` wrote.
    data : path
        Data that :func:`spicemix_core.read_data` can read. The page shows the states in ``obsm["X_spicemix"]``, their
        embedding in ``obsm["X_spicemix_umap"]``, the clusters in ``obs["spicemix_cluster"]`` and the consensus in
        ``uns["spicemix"]``. If the data do not hold them, they are computed, except for the consensus.
    output : path
        The page, written whole or not at all.
    sample_key : str, optional
        Column of ``obs`` with the sample of each cell. By default, that of the fit.
    graph_key : str, optional
        Key of ``obsp`` with the neighbour graph, by default that of the fit. For data without states and graph, it is
        built from the positions as for the fit.
    layer : str, optional
        Layer that holds the expression, by default that of the fit.
    spatial_key : str, optional
        Where the positions are: a key of ``obsm``, or columns of ``obs`` separated by commas. By default as in the fit.
    normalize : bool, default=False
        Treat the expression as counts and log-normalise it, also if the fit did not. This applies to data without
        states.
    title : str, optional
        Title of the page. By default, the name of the data.
    random_state : int, default=0
        Seed of the embedding and of the permutations.

    Raises
    ------
    ModuleNotFoundError
        A package of the extra ``book`` is not installed.
    ValueError, KeyError
        Model or data cannot be read, or do not belong together.
    RuntimeError
        The execution of the chapter failed.

    Examples
    --------
    >>> from spicemix_core import write_report
    >>> write_report("model.h5", "fitted.h5ad", "report.html", sample_key="sample")  # doctest: +SKIP
    """
    _check_packages()
    adata, sample_key, graph_key = complete(read_data(data), SpiceMix.load(model), sample_key, normalize, layer=layer,
                                            graph_key=graph_key, spatial_key=spatial_key)
    spatial_key = spatial_key or spatial_key_of(adata)
    with temporary_folder() as folder, _kernel_environment(folder):
        adata.write_h5ad(folder / "data.h5ad")
        body = _execute(folder, {
            "model": str(Path(model).resolve()), "data": f"{folder}/data.h5ad", "data_name": Path(data).name,
            "sample_key": sample_key, "graph_key": graph_key, "spatial_key": spatial_key,
            "random_state": random_state})
    page = readable(framed(body, title or Path(data).stem))
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _check_packages():
    try:
        for name in ("jupytext", "nbconvert", "papermill"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"The report needs the package {error.name}, which is not installed. Install it with "
                                  "pip install 'spicemix-core[book]'.") from error


def _execute(folder, parameters):
    """The executed chapter as HTML, without its code."""
    import jupytext
    import papermill
    from nbconvert import HTMLExporter

    notebook = jupytext.read(HERE / "chapter.md", fmt="md:myst")
    try:
        executed = papermill.execute_notebook(
            notebook, None, parameters, kernel_name="python3", cwd=folder, progress_bar=sys.stderr.isatty(),
            extra_arguments=["--IPKernelApp.log_level=50"])
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(f"The execution of the report failed ({error.ename}: {error.evalue}).") from error
    for number, cell in enumerate(executed.cells):
        cell.id = str(number)  # random otherwise; equal input gives equal pages
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_input_prompt=True,
                            exclude_output_prompt=True)
    return exporter.from_notebook_node(executed)[0]


@contextmanager
def _kernel_environment(folder: Path) -> Iterator[None]:
    """Environment of the chapter's kernel: this package, no progress bars, and no settings of the user."""
    package = str(HERE.parents[1])
    own = {"PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])), "TQDM_DISABLE": "1",
           "MPLBACKEND": "agg", "IPYTHONDIR": f"{folder}/ipython", "PYTHONWARNINGS": "ignore"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def framed(body: str, title: str) -> str:
    """The page: the executed chapter in the frame of ``page.html``, with a list of its sections."""
    body = re.sub(r'<a class="anchor-link"[^>]*>.*?</a>', "", body, flags=re.DOTALL)
    sections = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', body, flags=re.DOTALL)
    links = "".join(f'<li><a href="#{name}">{text.strip()}</a></li>' for name, text in sections)
    frame = string.Template((HERE / "page.html").read_text(encoding="utf-8"))
    return frame.substitute(title=html.escape(title), sections=links, body=body)
