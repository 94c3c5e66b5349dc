"""The numbers for the ledger's claims about STARmap, for one clustering and for a way to fit with its repetitions."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from paper.ledger import Measurement, holding, matching_sizes
from paper.shared.effects import separation
from paper.shared.layers import layer_specificity
from paper.shared.two_ways import TypedWay
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
        "astro-1-el5": sf.with_most_el5(cells, section)[astro_1].mean() if astro_1.any() else float("nan"),
        "el4-metagene": 0.0 if el4 is None else sf.layer_share(cells.proportions[:, el4], section.layers, "L4"),
        "pvalb-metagene": sum(sf.pvalb_conditions(cells, section).values()),
        "self-affinity": sf.self_attraction(cells),
        "el6-pair": sum(sf.el6_conditions(cells).values()),
        "astro-affinity": sf.moderate_attractions(cells, "Astro"),
    }


def measure_against_hmrf(cells: TypedCells, section: sf.Section, labels: np.ndarray, *, n_bootstrap: int = 1000,
                         random_state: int = 0) -> dict:
    """The two claims about HMRF, for its labels at the beta of :func:`paper.starmap.findings.best_beta`."""
    layers = sf.layer_information(cells, labels, section, n_bootstrap=n_bootstrap, random_state=random_state)
    return {"hmrf-smooth": sf.scattered_share(cells.names, section) - sf.scattered_share(labels, section),
            "hmrf-layers": layers.share_first_higher if layers else 0.0}


def measurements(way: TypedWay, section: sf.Section, slanted: sf.Section, expression: pd.DataFrame,
                 hmrf: Mapping[float, np.ndarray], *, n_bootstrap: int = 1000,
                 random_state: int = 0) -> dict[str, Measurement]:
    """Every claim of the chapter, by the ledger's id.

    Parameters
    ----------
    way : TypedWay
        The paper's procedure or the recommended fit.
    section, slanted : Section
        ``slanted`` has other layers of the same cells; the comments state the numbers that these would give.
    expression : DataFrame, cells x genes
        Log-normalised, with all genes of the model.
    hmrf : dict of float to (N,) array of int
        Labels by beta.
    n_bootstrap : int
        Resamples for the solution of SpiceMix that is judged; all others have a fifth as many.
    random_state : int
        Seed of the bootstraps.
    """
    cells, nmf_cells, beta = way.cells, way.nmf_cells, sf.best_beta(section, hmrf)
    few = {"n_bootstrap": max(1, n_bootstrap // 5), "random_state": random_state}

    def numbers(which, where, **options):
        return measure(which, where, **options) | measure_against_hmrf(which, where, hmrf[beta], **options)

    value = numbers(cells, section, n_bootstrap=n_bootstrap, random_state=random_state)
    nmf_value, other_layers = numbers(nmf_cells, section, **few), numbers(cells, slanted, **few)
    spread = pd.DataFrame([numbers(run, section, **few) for run in way.repeats])
    comments = _comments(cells, nmf_cells, section, value, nmf_value) | _comments_on_hmrf(
        cells, nmf_cells, section, hmrf[beta], beta)
    comments |= {key: NO_METAGENE for key, number in value.items() if not np.isfinite(number)}
    for key in ON_LAYERS:
        comments[key] = _joined(comments.get(key, ""), f"slanted borders: {other_layers[key]:.3g}")
    found = {key: _measurement(value[key], spread[key].tolist(), comments.get(key, "")) for key in value}
    new, equal = sf.new_types(cells, nmf_cells), sf.new_types(cells, way.equal_cells)
    pairs = list(zip(way.repeats, way.nmf_repeats, strict=True))
    found["new-types"] = Measurement(
        float(sum(new.values())), [float(sum(sf.new_types(*pair).values())) for pair in pairs],
        f"{holding(new)}; with NMF cut at as many clusters: {sum(equal.values())}")
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


def _comments(cells, nmf_cells, section, value, nmf_value):
    """Further facts about the numbers of the solution that is judged."""
    compared = ("oligo-types", "layers", "upper-corrected", "reassigned", "reassigned-layer", "astro-1-el5",
              "el4-metagene", "pvalb-metagene")
    comments = {key: f"NMF: {nmf_value[key]:.3g}" for key in compared if np.isfinite(nmf_value[key])}
    _, fit = sf.upper_reassigned(cells, section)
    comments["reassigned-layer"] = (f"{fit.into} of {fit.into + fit.out_of}, sign test p = {fit.p_value:.2g}; "
                                    + comments.get("reassigned-layer", "NMF moved none"))
    held = sf.with_most_el5(cells, section)
    if held.any():
        comments["astro-1-el5"] = (f"the cluster is named {cells.names[held][0]}; by name, "
                                   f"{cells.are('eL5')[section.clusters == 'Astro-1'].mean():.2f} are eL5; "
                                   + comments.get("astro-1-el5", "NMF: none"))
    conditions = sf.pvalb_conditions(cells, section)
    comments["pvalb-metagene"] = f"{holding(conditions)}; {comments['pvalb-metagene']}"
    comments["el6-pair"] = holding(sf.el6_conditions(cells))
    if np.isfinite(value["self-affinity"]):
        own, layered = np.diag(cells.affinity), sf.layer_metagenes(cells)
        comments["self-affinity"] = f"{layered.sum()} such metagenes"
        if 0 < layered.sum() < len(own):
            comments["self-affinity"] += (
                f"; against all other metagenes with themselves: {separation(-own, layered, ~layered):.2f}")
    return comments


def _comments_on_hmrf(cells, nmf_cells, section, labels, beta):
    both = sf.layer_information(cells, labels, section, n_bootstrap=1)
    comments = {"hmrf-smooth": f"SpiceMix {sf.scattered_share(cells.names, section):.2f}, HMRF "
                               f"{sf.scattered_share(labels, section):.2f} at beta = {beta:g}; NMF "
                               f"{sf.scattered_share(nmf_cells.names, section):.2f}"}
    if both is not None:
        comments["hmrf-layers"] = (f"adjusted mutual information: SpiceMix {both.first:.2f}, HMRF {both.second:.2f} at "
                                   f"beta = {beta:g}")
    return comments


def _measurement(value, runs, comment):
    return Measurement(float(value), [float(run) for run in runs], comment)


def _joined(*texts):
    return "; ".join(text for text in texts if text)


def _counts(classes):
    return ", ".join(f"{number} {name}*" for name, number in pd.Series(classes).value_counts().items())
