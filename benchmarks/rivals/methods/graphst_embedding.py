"""GraphST, self-supervised contrastive learning on a graph, in the distribution ``graphst-modern``, on a processor.

As in the tutorial: log-normalised expression scaled to unit variance and cut at ten, the three nearest neighbours, 600
epochs, 20 principal components of the reconstruction, a mixture with one covariance matrix (mclust's model EEE, fitted
by scikit-learn instead of R) and, for domains, each label replaced by that of most of the 50 nearest cells. The method
has no number of its own.
"""

import contextlib
import io
import warnings

import hand_over
import numpy as np
import scanpy as sc
from GraphST.GraphST import GraphST
from GraphST.utils import refine_label
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture


def run(adata, seed, variant):
    n_groups = adata.uns.pop("facts")["n_groups"]
    adata.var["highly_variable"] = True
    adata.X = adata.X.astype(np.float32)
    sc.pp.scale(adata, zero_center=False, max_value=10)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        adata = GraphST(adata, device="cpu", random_seed=seed).train()
    rows = PCA(n_components=20, random_state=seed).fit_transform(adata.obsm["emb"])
    for target, n in n_groups.items():
        mixture = GaussianMixture(n, covariance_type="tied", n_init=5, random_state=seed)
        labels = mixture.fit_predict(rows).astype(str)
        if target == "domains":
            adata.obs["found"] = labels
            labels = refine_label(adata, 50, key="found")
        yield f"{target}/same", labels


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "graphst-modern", __doc__)
