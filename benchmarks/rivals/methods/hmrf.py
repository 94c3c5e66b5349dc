"""Hidden Markov random field as in Giotto, from `spicemix_core.baselines`, with the neighbour graph of the book.

Genes are z-scored, as Giotto's manual recommends, and reduced to ten principal components. The number of states is the
number of groups; there is none of its own. The manual leaves beta to the eye, over a grid. Every beta of a coarse grid
is a candidate here, and the score is that of the best candidate by the labels: a best case that no user has.
"""

import warnings

import hand_over
import numpy as np

from spicemix_core import baselines

BETAS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def run(adata, seed, variant):
    genes = adata.X - adata.X.mean(axis=0)
    spread = genes.std(axis=0)
    genes = genes[:, spread > 0] / spread[spread > 0]
    for target, n_groups in adata.uns["facts"]["n_groups"].items():
        fits = baselines.fit_hmrf_grid(np.asarray(genes, dtype=float), adata.obsp["spatial_connectivities"], n_groups,
                                       betas=BETAS, random_state=seed)
        for beta, fit in fits.items():
            yield f"{target}/same/beta {beta:g}", fit.labels_


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "spicemix-core", __doc__)
