"""CellCharter: a latent space, averaged over three rings of neighbours, and a mixture of Gaussians.

As in the authors' tutorial: scVI with its defaults for counts (batch: sample), a Delaunay graph without its longest
links, `aggregate_neighbors` over three layers, `Cluster`. The simulated data are not counts, so scVI does not apply;
they get ten principal components, as many as scVI has latent dimensions. The own number is the most stable one of
`ClusterAutoK` between 2 and 20 with five runs, as in its example; the seconds are without that search.
"""

import logging
import warnings

import cellcharter as cc
import hand_over
import scanpy as sc
import squidpy as sq

TRAINER = {"accelerator": "cpu", "enable_progress_bar": False}


def run(adata, seed, variant):
    if "counts" in adata.layers:
        import scvi

        scvi.settings.seed = seed
        scvi.model.SCVI.setup_anndata(adata, layer="counts", batch_key="sample")
        model = scvi.model.SCVI(adata)
        model.train(early_stopping=True, enable_progress_bar=False, accelerator="cpu")
        adata.obsm["latent"] = model.get_latent_representation()
    else:
        sc.pp.pca(adata, n_comps=10, random_state=seed)
        adata.obsm["latent"] = adata.obsm["X_pca"]
    sq.gr.spatial_neighbors(adata, library_key="sample", coord_type="generic", delaunay=True)
    cc.gr.remove_long_links(adata)
    cc.gr.aggregate_neighbors(adata, n_layers=3, use_rep="latent", out_key="X_cellcharter", sample_key="sample")
    for target, n_groups in adata.uns["facts"]["n_groups"].items():
        model = cc.tl.Cluster(n_groups, random_state=seed, trainer_params=TRAINER)
        model.fit(adata, use_rep="X_cellcharter")
        yield f"{target}/same", model.predict(adata, use_rep="X_cellcharter")
    stable = cc.tl.ClusterAutoK(n_clusters=(2, 20), max_runs=5,
                                model_params={"random_state": seed, "trainer_params": TRAINER})
    stable.fit(adata, use_rep="X_cellcharter")
    labels = stable.predict(adata, use_rep="X_cellcharter")
    for target in adata.uns["facts"]["n_groups"]:
        yield f"{target}/own", labels


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    hand_over.main(run, "cellcharter", __doc__)
