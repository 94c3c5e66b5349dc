"""STAGATE, a graph attention autoencoder, in the maintained distribution ``stagate-modern``, on a processor.

Log-normalised expression of all genes (no data set has more than the 3,000 of the tutorial), six nearest neighbours (as
many as the tutorial's radius gives on Visium), 1,000 epochs. The tutorial clusters the embedding with mclust's model
EEE, a mixture with one covariance matrix, from R; here scikit-learn fits this mixture. The method has no number of its
own.
"""

import warnings

import hand_over
from sklearn.mixture import GaussianMixture
from STAGATE_pyG import Cal_Spatial_Net, train_STAGATE


def run(adata, seed, variant):
    n_groups = adata.uns.pop("facts")["n_groups"]
    Cal_Spatial_Net(adata, k_cutoff=6, model="KNN", verbose=False)
    train_STAGATE(adata, random_seed=seed, verbose=False, device="cpu")
    for target, n in n_groups.items():
        mixture = GaussianMixture(n, covariance_type="tied", n_init=5, random_state=seed)
        yield f"{target}/same", mixture.fit_predict(adata.obsm["STAGATE"].astype(float))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "stagate-modern", __doc__)
