"""Popari, the authors' successor of SpiceMix, in one sample mode or several samples that share metagenes and affinity.

Release 1.3.4: affinity penalty and K as for SpiceMix, single precision, its own neighbour graph (Delaunay without the
longest 5.5 % of the sides), five rounds of NMF and 200 iterations as in its tutorial. The start is its option ``svd``:
with the default, ``leiden``, five rounds and three iterations on 800 cells and 100 genes took 88 processor seconds.

Types are Leiden clusters of its normalised embeddings (20 neighbours), as its `tl.leiden`, at a searched resolution;
the own number is that of resolution 1. Domains are its `_cluster_domains`: embeddings smoothed over neighbours, Leiden
clusters (40 neighbours), smoothed labels. Samples are clustered together.
"""

import warnings

import anndata
import hand_over
import numpy as np
import scanpy as sc
import torch
from popari.analysis import preprocess_embeddings
from popari.components import PopariDataset
from popari.model import Popari
from popari.train import Trainer, TrainParameters
from popari.util import smooth_metagene_expression, spatially_smooth_feature
from scipy import sparse

NMF_ROUNDS, ITERATIONS = 5, 200


def run(adata, seed, variant):
    torch.set_num_threads(1)
    facts = adata.uns.pop("facts")
    rows, fields = fit(adata, facts, seed)
    for target, n_groups in facts["n_groups"].items():
        cells = cells_of(fields, target)

        def cluster(resolution, cells=cells, target=target):
            sc.tl.leiden(cells, resolution=resolution, random_state=seed)
            labels = np.empty(len(rows), dtype=object)
            found = cells.obs["leiden"].to_numpy()
            labels[rows] = smoothed(found, fields) if target == "domains" else found
            return labels

        yield f"{target}/own", cluster(1.0)
        yield f"{target}/same", hand_over.at_number(cluster, n_groups)


def fit(adata, facts, seed):
    """Rows of the cells in the order of the samples, and Popari's fitted samples."""
    names, rows, fields = list(adata.obs["sample"].cat.categories), [], []
    for name in names:
        chosen = np.flatnonzero((adata.obs["sample"] == name).to_numpy())
        field = anndata.AnnData(sparse.csr_matrix(np.asarray(adata.X[chosen], dtype=float)), obs=adata.obs.iloc[chosen],
                                var=adata.var, obsm={"spatial": adata.obsm["spatial"][chosen]})
        field = PopariDataset(field, name)
        field.compute_spatial_neighbors()
        rows.append(chosen)
        fields.append(field)
    model = Popari(K=facts["n_metagenes"], replicate_names=names, datasets=fields, random_state=seed,
                   lambda_Sigma_x_inv=facts["penalty"], initialization_method="svd")
    Trainer(TrainParameters(NMF_ROUNDS, ITERATIONS, None), model).train()
    model.synchronize_datasets()
    preprocess_embeddings(model)
    return np.concatenate(rows), model.datasets


def cells_of(fields, target):
    """All cells with the graph of their embeddings, which for domains are smoothed over neighbours."""
    smooth = target == "domains"
    if smooth:
        for field in fields:
            smooth_metagene_expression(field, processed_key="normalized_X")
    cells = anndata.AnnData(np.concatenate([field.obsm["smoothed_expression" if smooth else "normalized_X"]
                                            for field in fields]))
    sc.pp.neighbors(cells, use_rep="X", n_neighbors=40 if smooth else 20)
    return cells


def smoothed(labels, fields):
    """Labels smoothed over the neighbours of each sample."""
    pieces = np.split(labels.astype(int), np.cumsum([field.n_obs for field in fields])[:-1])
    return np.concatenate([spatially_smooth_feature(piece, field.obsm["adjacency_list"])
                           for piece, field in zip(pieces, fields, strict=True)]).astype(str)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "popari", __doc__)
