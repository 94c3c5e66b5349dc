"""SpiceMix, this package, with its defaults; K and the affinity penalty are those of the book.

Variants: ``consensus`` is `fit_consensus` with six runs instead of 20, and domains are the vote of its runs;
``single`` is one fit. Types are those of `tl.cluster_states`, domains those of `tl.domains`.
"""

import warnings

import hand_over

from spicemix_core import SpiceMix, fit_consensus, tl
from spicemix_core.tl.regions import states_of_run

RUNS = 6


def run(adata, seed, variant):
    facts = adata.uns.pop("facts")
    options, runs = {"affinity_penalty": facts["penalty"], "random_state": seed}, None
    if variant == "consensus":
        runs = fit_consensus(adata, facts["n_metagenes"], n_runs=RUNS, sample_key="sample", **options).runs
    else:
        SpiceMix(facts["n_metagenes"], **options).fit(adata, sample_key="sample")
    yield from groups(adata, facts["n_groups"], runs)


def groups(adata, n_groups, runs=None):
    """Types and domains of a fitted object, with their own number and the one wanted."""
    states = adata.obsm["X_spicemix"] if runs is None else [states_of_run(run, adata) for run in runs]
    if "types" in n_groups:
        yield "types/own", tl.cluster_states(states).labels
        yield "types/same", tl.cluster_states(states, n_clusters=n_groups["types"]).labels
    if "domains" in n_groups:
        yield "domains/own", tl.domains(adata, runs=runs).labels
        yield "domains/same", tl.domains(adata, runs=runs, n_domains=n_groups["domains"]).labels


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "spicemix-core", __doc__)
