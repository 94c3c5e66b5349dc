"""NMF: the model of SpiceMix without its spatial term, and everything else as in `spicemix_fit.py` (one fit).

Its domains are those of `tl.domains` too, so that the comparison shows what the spatial term adds to the averaging.
"""

import warnings

import hand_over
from spicemix_fit import groups

from spicemix_core import SpiceMix


def run(adata, seed, variant):
    facts = adata.uns.pop("facts")
    SpiceMix(facts["n_metagenes"], spatial=False, random_state=seed).fit(adata, sample_key="sample")
    yield from groups(adata, facts["n_groups"])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "spicemix-core", __doc__)
