"""The numbers for the ledger's claims about seqFISH+, for one clustering and for a way to fit with its repetitions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from paper.ledger import Measurement, holding, matching_sizes
from paper.seqfish_plus import findings as fd
from paper.shared.contacts import excess_contacts
from paper.shared.fits import Solution
from paper.shared.layers import compare_information, widespread
from paper.shared.two_ways import Naming, TypedWay, each_once
from paper.shared.typed_cells import TypedCells, specificity_against_level, type_counts

PAPER_COUNTS = {"excitatory": 5, "inhibitory": 2, "glia": 8}
PAPER_SIZE = {"cells": 523, "fields": 5, "genes": 2470}
MISSING = {"eng-oligo-2": "SpiceMix has no Oligo-2 to compare", "eng-smc": "SpiceMix has no SMC to compare",
           "oligo-affinity": "no metagene of oligodendrocytes or none of deep neurons", "opc-contacts": "no OPCs"}


def measure(cells: TypedCells, tissue: fd.Tissue, *, n_bootstrap: int = 1000, random_state: int = 0) -> dict:
    """The number of every claim that one clustering determines, by the claim's id without "seqfish-"."""
    counts = type_counts(cells)
    both = (cells.classes == "excitatory") & (tissue.classes == "excitatory")
    layers = compare_information(cells.names[both], tissue.clusters[both], tissue.fields[both],
                                 n_bootstrap=n_bootstrap, random_state=random_state)
    excess = excess_contacts(cells, tissue.graph, tissue.fields, random_state=random_state)
    excitatory = np.unique(cells.types[cells.classes == "excitatory"])
    differences = fd.contrasts(cells, tissue, n_bootstrap=n_bootstrap, random_state=random_state)
    counted = conditions(cells, tissue, differences)
    return {
        "types": float(sum(abs(counts[name] - number) for name, number in PAPER_COUNTS.items())),
        "major-types": float((cells.classes == tissue.classes)[tissue.classes != "other"].mean()),
        "layers": layers.share_first_higher,
        "vip-sst": float(cells.are("VIP").any()) + float(cells.are("SST").any()),
        "specific-metagenes": specificity_against_level(cells),
        "oligo-metagene": fd.oligodendrocytes_against_opcs(cells),
        "oligo-affinity": fd.deep_attraction(cells, fd.oligodendrocyte_metagene(cells)),
        "oligo-contacts": fd.partners(cells, excess, fd.OLIGODENDROCYTES, fd.DEEP),
        "opc-contacts": fd.partners(cells, excess, ("OPC",), excitatory) if cells.are("OPC").any() else float("nan"),
        "eng-oligo-2": fd.closest_overlap(fd.oligo_2_cells(cells), tissue.clusters),
        "eng-smc": fd.closest_overlap(cells.are("SMC"), tissue.clusters),
        **{name: float(sum(each.values())) for name, each in counted.items()},
    }


def conditions(cells: TypedCells, tissue: fd.Tissue, differences: pd.DataFrame) -> dict:
    """Conditions of the compound claims, by claim; ``differences`` are those of :func:`findings.contrasts`."""
    return {"oligo-2": fd.oligo_2_conditions(cells, tissue, differences),
            "smc-endo": fd.smc_endo_conditions(cells, differences),
            "el5b-el6": fd.el5b_el6_conditions(cells, tissue, differences)}


def oligo_2_by_number(solutions: Mapping[str, Sequence[Solution]], describe: Naming, tissue: fd.Tissue,
                      numbers: Sequence[int], *, random_state: int = 0) -> pd.DataFrame:
    """How many runs have all five conditions of the claim about Oligo-2, if their trees are cut at given numbers.

    Parameters
    ----------
    solutions : mapping of str to sequence of Solution
        The runs of each method.
    describe : callable
        ``describe(labels, solution)`` returns the cells with named clusters.
    tissue : Tissue
    numbers : sequence of int
        Numbers of clusters.
    random_state : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        Methods x numbers of clusters.
    """
    def holds(solution, number):
        cells = describe(solution.cut(number), solution)
        return all(fd.oligo_2_conditions(cells, tissue, fd.contrasts(
            cells, tissue, n_bootstrap=200, random_state=random_state)).values())

    return pd.DataFrame({number: {method: sum(holds(run, number) for run in runs)
                                  for method, runs in solutions.items()} for number in numbers})


def measurements(way: TypedWay, tissue: fd.Tissue, n_genes: int, *, random_state: int = 0) -> dict[str, Measurement]:
    """Every claim of the chapter, by the ledger's id.

    Parameters
    ----------
    way : TypedWay
        The paper's procedure or the recommended fit.
    tissue : Tissue
    n_genes : int
        Number of genes in the model.
    random_state : int
        Seed of bootstrap and permutations.
    """
    cells, nmf_cells = way.cells, way.nmf_cells
    few = {"n_bootstrap": 200, "random_state": random_state}
    value = measure(cells, tissue, random_state=random_state)
    spread = pd.DataFrame([measure(run, tissue, **few) for run in way.repeats])
    comments = _comments(cells, tissue, value, random_state)
    found = {key: Measurement(value[key], spread[key].tolist(), comments.get(key, "")) for key in value}
    pairs = list(zip(spread["major-types"], way.repeats, way.nmf_repeats, strict=True))
    found["major-types"] = Measurement(
        min(value["major-types"], _agreement(cells, nmf_cells)), [min(m, _agreement(a, b)) for m, a, b in pairs],
        f"with Eng et al. {value['major-types']:.2f}, with NMF {_agreement(cells, nmf_cells):.2f}")
    found |= _of_nmf(way, tissue, value, few)
    size = {"cells": len(cells.names), "fields": len(np.unique(tissue.fields)), "genes": n_genes}
    found["data"] = matching_sizes(size, PAPER_SIZE)
    excitatory = tissue.classes == "excitatory"
    wide = widespread(tissue.clusters[excitatory], tissue.fields[excitatory])
    found["eng-dispersed"] = Measurement(float(len(wide)), comment="; ".join(map(str, wide)))
    return {f"seqfish-{key}": measurement for key, measurement in found.items()}


def _of_nmf(way, tissue, value, few):
    """The claims that NMF does not find a type, at its own number of clusters and at that of SpiceMix."""
    def counted(cells):
        each = conditions(cells, tissue, fd.contrasts(cells, tissue, **few))
        return {key: float(sum(holds.values())) for key, holds in each.items()}

    own, equal = ([*each_once(counted, [first, *repeats])] for first, repeats in (
        (way.nmf_cells, way.nmf_repeats), (way.equal_cells, way.equal_repeats)))
    claims = {"nmf-oligo-2": ("oligo-2", own), "nmf-oligo-2-reason": ("oligo-2", equal), "nmf-smc": ("smc-endo", own)}
    return {claim: Measurement(numbers[0][key], [each[key] for each in numbers[1:]],
                               f"SpiceMix: {value[key]:.0f}; NMF has {len(np.unique(cells.names))} clusters")
            for claim, (key, numbers) in claims.items()
            for cells in [way.equal_cells if numbers is equal else way.nmf_cells]}


def _comments(cells, tissue, value, random_state):
    """Further facts about the numbers of the solution that is judged."""
    differences = fd.contrasts(cells, tissue, random_state=random_state)
    comments = {key: holding(each) for key, each in conditions(cells, tissue, differences).items()}
    comments["layers"] = "fields are used in place of layers; they also differ as images"
    comments["types"] = ", ".join(f"{number} {name}" for name, number in type_counts(cells).items())
    areas = fd.attraction_by_type(cells).drop("Oligo").dropna()
    comments["oligo-affinity"] = "metagenes of other types: " + ", ".join(
        f"{name} {area:.2f}" for name, area in areas.items())
    comments["opc-contacts"] = f"{cells.are('OPC').sum()} OPCs, too few to conclude that contacts are absent"
    return comments | {key: text for key, text in MISSING.items() if np.isnan(value[key])}


def _agreement(a, b):
    return float((a.classes == b.classes).mean())
