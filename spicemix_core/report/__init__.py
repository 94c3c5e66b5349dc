"""A page on a fit: a chapter executed on the user's data, as one HTML file that needs no network.

``chapter.md`` is the chapter, ``page.html`` the frame around it. Everything that can be wrong with the input is found
here, before the chapter is executed.
"""

import html
import os
import re
import string
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from spicemix_core.exchange.readers import read_data
from spicemix_core.files.atomic import replacing
from spicemix_core.inputs.anndata import column_of, expression_of, states_of
from spicemix_core.inputs.prepare import prepare
from spicemix_core.model import SpiceMix

HERE = Path(__file__).parent
STATES, CLUSTERS = "X_spicemix", "spicemix_cluster"


def write_report(model, data, output, *, sample_key=None, graph_key="spatial_connectivities", layer=None,
                 normalize=False, title=None, random_state=0):
    """Execute the report's chapter on a fitted model and its data, and write the page.

    Parameters
    ----------
    model : path
        A model that :meth:`spicemix_core.SpiceMix.save` wrote.
    data : path
        As :func:`spicemix_core.exchange.readers.read_data`. States in ``obsm["X_spicemix"]``, their embedding in
        ``obsm["X_spicemix_umap"]``, clusters in ``obs["spicemix_cluster"]`` and a consensus in ``uns["spicemix"]`` are
        shown as they are; what is missing, but for a consensus, is computed.
    output : path
        The page, one HTML file; there whole or not at all.
    sample_key : str, optional
        Column of ``obs`` that names the samples.
    graph_key : str
        Key of ``obsp`` with the graph of neighbours; built from the positions for data without states and graph.
    layer : str, optional
        Layer with the expression, if it is not ``X``.
    normalize : bool
        As :func:`spicemix_core.inputs.prepare.prepare`, for data without states.
    title : str, optional
        By default the name of the data.
    random_state : int
        Seed of the embedding and of the permutations.

    Raises
    ------
    ModuleNotFoundError
        A package of the extra ``book`` is missing.
    ValueError, KeyError
        Model or data cannot be read, or do not belong together.
    RuntimeError
        The chapter failed.
    """
    try:
        import jupytext
        import papermill
        from nbconvert import HTMLExporter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"the report needs the package {error.name}, which is not installed: pip install "
                                  "'spicemix-core[book]'") from error
    title = title or Path(data).stem
    adata = complete(read_data(data), SpiceMix.load(model), sample_key, normalize, layer=layer, graph_key=graph_key)
    with tempfile.TemporaryDirectory() as folder, _kernel_environment(folder):
        adata.write_h5ad(f"{folder}/data.h5ad")
        notebook = jupytext.read(HERE / "chapter.md", fmt="md:myst")
        parameters = {"model": str(Path(model).resolve()), "data": f"{folder}/data.h5ad", "data_name": Path(data).name,
                      "sample_key": sample_key, "graph_key": graph_key, "random_state": random_state}
        try:
            executed = papermill.execute_notebook(
                notebook, None, parameters, kernel_name="python3", cwd=folder, progress_bar=sys.stderr.isatty(),
                extra_arguments=["--IPKernelApp.log_level=50"])
        except papermill.PapermillExecutionError as error:
            raise RuntimeError(f"the report's chapter failed: {error.ename}: {error.evalue}") from error
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_input_prompt=True,
                            exclude_output_prompt=True)
    page = framed(exporter.from_notebook_node(executed)[0], title)
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def complete(adata, model, sample_key, normalize=False, *, layer=None, graph_key="spatial_connectivities"):
    """Data with all that the chapter shows: the model's states, metagenes, affinity and history where they lack.

    Genes that the model does not know are left out.
    """
    K = model.metagenes_.shape[1]
    if STATES not in adata.obsm:
        adata = prepare(adata, sample_key=sample_key, normalize=normalize, layer=layer, graph_key=graph_key,
                        graph="delaunay" if "spatial" in adata.obsm else None)
        model.transform(adata, sample_key=sample_key, graph_key=graph_key if graph_key in adata.obsp else None)
    elif layer is not None:
        adata.X = expression_of(adata, layer)
    if states_of(adata).shape[1] != K:
        raise ValueError(f"obsm[{STATES!r}] has states of {states_of(adata).shape[1]} metagenes, but the model has "
                         f"{K}; give the data that this model was fitted to, or some without states")
    if sample_key is not None:
        column_of(adata, sample_key)
    genes = {name: row for row, name in enumerate(getattr(model, "feature_names_in_", adata.var_names))}
    known = adata.var_names.isin(list(genes))
    if not known.any() or (len(genes) != adata.n_vars and not hasattr(model, "feature_names_in_")):
        raise ValueError("the data and the model have no gene in common; give the data that this model was fitted to")
    adata = adata[:, known].copy()
    adata.varm["metagenes"] = model.metagenes_[[genes[name] for name in adata.var_names]]
    told = adata.uns.setdefault("spicemix", {})
    told.update(affinity=model.affinity_, history=model.history_.reset_index(),
                parameters={"tol": model.tol})
    return adata


@contextmanager
def _kernel_environment(folder):
    """What the chapter's kernel inherits: this package, no bars of progress, nothing of the user's own settings."""
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


def framed(body, title):
    """The executed chapter in the page's frame, with a list of its sections."""
    body = re.sub(r'<a class="anchor-link"[^>]*>.*?</a>', "", body, flags=re.DOTALL)
    sections = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', body, flags=re.DOTALL)
    links = "".join(f'<li><a href="#{name}">{text.strip()}</a></li>' for name, text in sections)
    frame = string.Template((HERE / "page.html").read_text(encoding="utf-8"))
    return frame.substitute(title=html.escape(title), sections=links, body=body)
