"""The numbers for the ledger's claims about STARmap, for one clustering and for the consensus with its runs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from paper.ledger import Measurement, holding, matching_sizes
from paper.shared.effects import separation
from paper.shared.layers import InformationComparison, layer_specificity
from paper.shared.typed_cells import TypedCells
from paper.starmap import findings as sf
from spicemix_core.tl import differential_expression

PAPER_SIZE = {"cells": 930, "genes": 1020}
ON_LAYERS = ("layers", "upper-corrected", "reassigned-layer", "el4-metagene", "hmrf-layers")
NO_METAGENE = "no metagene of these cells, or no spatial affinity"


def measure(cells: TypedCells, section: sf.Section, *, n_bootstrap: int = 1000, random_state: int = 0) -> dict:
    """The number of every claim that one clustering determines, by the claim's id without "starmap-"."""
    resampling = {"n_bootstrap": n_bootstrap, "random_state": random_state}
    layers = sf.layer_information(cells, section.clusters, section, **resampling)
    astro_1, deep = section.clusters == "Astro-1", sf.upper_in_deep_layers(section)
    moved, fit = sf.upper_reassigned(cells, section)
    el4 = sf.type_metagene(cells, "eL4")
    return {
        "oligo-types": len(np.unique(cells.names[cells.are(*sf.OLIGODENDROCYTES, "Astro/Oligo")])),
        "layers": layers.share_first_higher if layers else 0.0,
        "upper-corrected": cells.are(*sf.DEEP)[deep].mean() if deep.any() else float("nan"),
        "reassigned": int(moved.sum()),
        "reassigned-layer": fit.share,
        "astro-1-el5": cells.are("eL5")[astro_1].mean() if astro_1.any() else float("nan"),
        "el4-metagene": 0.0 if el4 is None else sf.layer_share(cells.proportions[:, el4], section.layers, "L4"),
        "pvalb-metagene": sum(sf.pvalb_conditions(cells, section).values()),
        "self-affinity": sf.self_attraction(cells),
        "el6-pair": sum(sf.el6_conditions(cells).values()),
        "astro-affinity": sf.moderate_attractions(cells, "Astro"),
    }


def measure_against_hmrf(cells: TypedCells, section: sf.Section, hmrf: Mapping[float, np.ndarray], *,
                         n_bootstrap: int = 1000, random_state: int = 0) -> dict:
    """The two claims about HMRF, for its labels by beta; each at the beta that is best for HMRF in that claim."""
    informed, scattered = best_informed(cells, section, hmrf), best_scattered(section, hmrf)
    layers = informed and sf.layer_information(cells, hmrf[informed[0]], section, n_bootstrap=n_bootstrap,
                                               random_state=random_state)
    return {"hmrf-smooth": sf.scattered_share(cells.names, section) - scattered[1],
            "hmrf-layers": layers.share_first_higher if layers else 0.0}


def best_informed(cells: TypedCells, section: sf.Section,
                  hmrf: Mapping[float, np.ndarray]) -> tuple[float, InformationComparison] | None:
    """The beta at which HMRF has most information on the layer, and that of both methods; None without neurons."""
    informed = {beta: sf.layer_information(cells, labels, section, n_bootstrap=1) for beta, labels in hmrf.items()}
    if None in informed.values():
        return None
    return max(informed.items(), key=lambda entry: entry[1].second)


def best_scattered(section: sf.Section, hmrf: Mapping[float, np.ndarray]) -> tuple[float, float]:
    """The beta at which HMRF assigns most cells of scattered classes to their class, with their share."""
    return max(((beta, sf.scattered_share(labels, section)) for beta, labels in hmrf.items()), key=lambda e: e[1])


def measurements(spicemix: tuple[TypedCells, Sequence[TypedCells]], nmf: tuple[TypedCells, Sequence[TypedCells]],
                 section: sf.Section, slanted: sf.Section, expression: pd.DataFrame, hmrf: Mapping[float, np.ndarray],
                 *, n_bootstrap: int = 1000, random_state: int = 0) -> dict[str, Measurement]:
    """Every claim of the chapter, by the ledger's id.

    Parameters
    ----------
    spicemix, nmf : (TypedCells, list of TypedCells)
        The consensus and the single runs of each method; run i of both has the same seed.
    section, slanted : Section
        ``slanted`` has other layers of the same cells; the comments state the numbers that these would give.
    expression : DataFrame, cells x genes
        Log-normalised, with all genes of the model.
    hmrf : dict of float to (N,) array of int
        Labels by beta, without beta = 0.
    n_bootstrap : int
        Resamples for the consensus of SpiceMix; each run and NMF have a fifth as many.
    random_state : int
        Seed of the bootstraps.
    """
    (cells, runs), (nmf_cells, nmf_runs) = spicemix, nmf
    few = {"n_bootstrap": max(1, n_bootstrap // 5), "random_state": random_state}

    def numbers(which, where, **options):
        return measure(which, where, **options) | measure_against_hmrf(which, where, hmrf, **options)

    value = numbers(cells, section, n_bootstrap=n_bootstrap, random_state=random_state)
    nmf_value, other_layers = numbers(nmf_cells, section, **few), numbers(cells, slanted, **few)
    spread = pd.DataFrame([numbers(run, section, **few) for run in runs])
    comments = _comments(cells, nmf_cells, section, value, nmf_value, hmrf)
    for key in ON_LAYERS:
        comments[key] = _joined(comments.get(key, ""), f"slanted borders: {other_layers[key]:.3g}")
    found = {key: _measurement(value[key], spread[key].tolist(), comments.get(key, "")) for key in value}
    new = sf.new_types(cells, nmf_cells)
    pairs = list(zip(runs, nmf_runs, strict=True))
    found["new-types"] = Measurement(float(sum(new.values())), [
        float(sum(sf.new_types(*pair).values())) for pair in pairs], holding(new))
    found["nmf-diffuse"] = Measurement(sf.coherence_gain(cells, nmf_cells, section.graph),
                                       [sf.coherence_gain(*pair, section.graph) for pair in pairs])
    found |= _of_the_data(section, slanted, expression, random_state)
    return {f"starmap-{key}": each for key, each in found.items()}


def _of_the_data(section, slanted, expression, random_state):
    """Claims about the data and the classes of Wang et al., which do not depend on a model."""
    size = {"cells": len(expression), "genes": expression.shape[1]}
    astro_1, astro_2 = (section.clusters == f"Astro-{i}" for i in (1, 2))
    genes = differential_expression(expression, astro_1, astro_2)
    means = expression.groupby(section.clusters).mean()
    conditions, higher = sf.astro_gene_conditions(genes, means), sf.neuron_genes_higher(genes)
    inside = section.layers != ""
    in_l5 = {i: (section.layers == "L5")[group & inside].mean() for i, group in ((1, astro_1), (2, astro_2))}
    in_slanted_l5 = (slanted.layers == "L5")[astro_1 & (slanted.layers != "")].mean()
    specificity = layer_specificity(section.clusters[inside], section.layers[inside], random_state=random_state)
    upper, outside = sf.upper_in_deep_layers(section), sf.el5_outside(section)
    where = pd.Series(section.layers[outside]).replace("", "no layer").value_counts()
    return {
        "data": matching_sizes(size, PAPER_SIZE),
        "upper-deep": Measurement(float(upper.sum()), comment=_joined(
            _counts(section.types[upper]), f"slanted borders: {sf.upper_in_deep_layers(slanted).sum()}")),
        "el5-outside": Measurement(float(outside.sum()), comment=_joined(
            ", ".join(f"{n} in {k}" for k, n in where.items()), f"slanted borders: {sf.el5_outside(slanted).sum()}")),
        "astro-1-local": Measurement(
            float(in_l5[1]), comment=f"Astro-2*: {in_l5[2]:.2f}; effective number of layers "
            f"{specificity.loc['Astro-1', 'effective_positions']:.1f} and "
            f"{specificity.loc['Astro-2', 'effective_positions']:.1f}; slanted borders: {in_slanted_l5:.2f}"),
        "astro-genes": Measurement(float(sum(conditions.values())), comment=holding(conditions)),
        "neuron-genes": Measurement(float(len(higher)), comment="higher: " + (", ".join(higher) or "none")),
    }


def _comments(cells, nmf_cells, section, value, nmf_value, hmrf):
    """Further facts about the numbers of the consensus."""
    compared = ("oligo-types", "layers", "upper-corrected", "reassigned", "reassigned-layer", "astro-1-el5",
              "el4-metagene", "pvalb-metagene")
    comments = {key: f"NMF: {nmf_value[key]:.3g}" for key in compared if np.isfinite(nmf_value[key])}
    _, fit = sf.upper_reassigned(cells, section)
    comments["reassigned-layer"] = (f"{fit.into} of {fit.into + fit.out_of}, sign test p = {fit.p_value:.2g}; "
                                    + comments.get("reassigned-layer", "NMF moved none"))
    becomes = pd.Series(cells.names[section.clusters == "Astro-1"]).value_counts()
    comments["astro-1-el5"] = f"most often {becomes.index[0]}, {becomes.iloc[0]} of {becomes.sum()}; " + comments.get(
        "astro-1-el5", "NMF: none")
    conditions = sf.pvalb_conditions(cells, section)
    comments["pvalb-metagene"] = f"{holding(conditions)}; {comments['pvalb-metagene']}"
    comments["el6-pair"] = holding(sf.el6_conditions(cells))
    if np.isfinite(value["self-affinity"]):
        own, layered = np.diag(cells.affinity), sf.layer_metagenes(cells)
        comments["self-affinity"] = f"{layered.sum()} such metagenes"
        if 0 < layered.sum() < len(own):
            comments["self-affinity"] += (
                f"; against all other metagenes with themselves: {separation(-own, layered, ~layered):.2f}")
    if found := best_informed(cells, section, hmrf):
        beta, both = found
        comments["hmrf-layers"] = (f"adjusted mutual information: SpiceMix {both.first:.2f}, HMRF {both.second:.2f} "
                                   f"at beta = {beta:g}")
    beta, share = best_scattered(section, hmrf)
    comments["hmrf-smooth"] = (f"SpiceMix {sf.scattered_share(cells.names, section):.2f}, HMRF {share:.2f} at "
                               f"beta = {beta:g}; NMF {sf.scattered_share(nmf_cells.names, section):.2f}")
    return comments | {key: NO_METAGENE for key, number in value.items() if not np.isfinite(number)}


def _measurement(value, runs, comment):
    return Measurement(float(value), [float(run) for run in runs], comment)


def _joined(*texts):
    return "; ".join(text for text in texts if text)


def _counts(classes):
    return ", ".join(f"{number} {name}*" for name, number in pd.Series(classes).value_counts().items())
