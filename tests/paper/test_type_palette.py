"""Colours of cell types: equal for equal types in all chapters, and different within a chapter."""

import pytest
from paper.shared.annotation import FEW
from paper.shared.markers import is_marker
from paper.shared.type_palette import type_colors
from paper.simulation.figures import NO_TYPE_COLOR, TYPE_COLORS

from spicemix_core.pl import GREY

SEQFISH = ["Astro", "Endo", "Inhibitory", "Micro", "Micro/OPC", "Oligo", "eL2", "eL3", "eL4", "eL5a", "eL5b", "eL6",
           "VIP"]
STARMAP = ["eL2/3-1", "eL2/3-2", "eL4", "eL5", "eL6", "HPC", "VIP", "Astro", "Astro/Micro", "Oligo-1", "Oligo-2", "SMC"]


@pytest.mark.parametrize("names", [SEQFISH, STARMAP, [*STARMAP, FEW], list(TYPE_COLORS)])
def test_types_of_a_chapter_have_different_colours(names):
    colors = type_colors(names)
    assert list(colors) == names and len(set(colors.values())) == len(names)


def test_a_type_has_the_same_colour_in_every_chapter_whatever_the_order():
    one, other = type_colors(SEQFISH), type_colors(STARMAP[::-1])
    assert all(one[name] == other[name] for name in set(SEQFISH) & set(STARMAP))
    assert one["Oligo"] == other["Oligo-1"] and one["eL5a"] == other["eL5"] and one["eL2"] == other["eL2/3-1"]
    assert TYPE_COLORS["eL4"] == one["eL4"] and NO_TYPE_COLOR not in TYPE_COLORS.values()


def test_classes_of_other_authors_are_recognised():
    ours = type_colors(["Astro", "Oligo", "SMC", "Micro"])
    assert type_colors(["Astrocyte", "Oligodendrocyte", "Smc", "Microglia"]) == dict(
        zip(["Astrocyte", "Oligodendrocyte", "Smc", "Microglia"], ours.values(), strict=True))


def test_small_clusters_are_grey_and_nothing_else_is():
    colors = type_colors([*STARMAP, FEW])
    assert colors[FEW] == GREY and "#7f7f7f" not in colors.values()


def test_too_many_types_are_refused():
    many = type_colors(f"cluster {k}" for k in range(60))
    assert len(set(many.values())) == 60 and GREY not in many.values()
    with pytest.raises(ValueError, match="There are 200 types but too few colours"):
        type_colors(f"cluster {k}" for k in range(200))


def test_markers_are_genes_and_types_are_not():
    assert is_marker("Cux2") and is_marker("Reln") and not is_marker("Oligo") and not is_marker("metagene 1")
