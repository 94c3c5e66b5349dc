"""Colours of cell types: the same type has the same colour in every chapter."""

import re
from collections.abc import Iterable

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from paper.shared.annotation import FEW
from spicemix_core.pl import GREY, palette

# Numbers of the colours of `pl.palette`; a family with several types (Oligo-1, Oligo-2) takes them in this order.
FAMILIES = {
    "eL1": (36,), "eL2": (0, 5), "eL2/3": (0, 5), "eL3": (5,), "eL4": (2, 33), "eL5": (3, 1), "eL5a": (3,),
    "eL5b": (1,), "eL6": (4, 21), "HPC": (15,), "VIP": (6,), "PVALB": (8,), "SST": (17,), "Reln": (18,),
    "Inhibitory": (23,), "Astro": (9, 34), "Oligo": (11, 12, 13), "OPC": (37,), "Micro": (10,),
    "Endo": (16,), "SMC": (14,)}
ALIASES = {"astrocyte": "Astro", "oligodendrocyte": "Oligo", "microglia": "Micro", "endothelial": "Endo",
           "interneuron": "Inhibitory"}
_BY_LOWER = {name.lower(): name for name in FAMILIES} | ALIASES
_TAKEN = {place for places in FAMILIES.values() for place in places}


def type_colors(names: Iterable[str]) -> dict[str, str]:
    """Colour of each type.

    Types that the chapters share have fixed colours. Others, such as a type with two names (Micro/OPC), take the
    colours that no shared type has, in order, and after them all colours darker and lighter. Grey is reserved for the
    pooled small clusters.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    dict of str to str

    Raises
    ------
    ValueError
        If there are more types than colours.
    """
    names = list(dict.fromkeys(names))
    colors = list(palette(range(40)).values())
    own = [color for place, color in enumerate(colors) if place not in (7, 39)]
    free = iter([color for place, color in enumerate(colors) if place not in _TAKEN and place not in (7, 39)]
                + [_mixed(color, other) for other in ("black", "white") for color in own])
    found = {FEW: GREY} if FEW in names else {}
    for name in names:
        if name not in found:
            color = next((colors[place] for place in _places(str(name)) if colors[place] not in found.values()), None)
            found[name] = color or next(free, None)
    if None in found.values():
        raise ValueError(f"There are {len(names)} types but too few colours: pool the smallest types.")
    return {name: found[name] for name in names}


def _mixed(color, other, share=0.4):
    """A colour with a share of another one."""
    return to_hex((1 - share) * np.array(to_rgb(color)) + share * np.array(to_rgb(other)))


def _places(name: str) -> tuple[int, ...]:
    """Numbers of the colours of a type, the best first: of its own number in its family, then of the others."""
    base, number = re.fullmatch(r"(.*?)(?:-(\d+))?\*?", name).groups()
    places = FAMILIES.get(_BY_LOWER.get(base.lower(), ""), ())
    first = (int(number or 1) - 1) % max(len(places), 1)
    return (*places[first:], *places[:first])
