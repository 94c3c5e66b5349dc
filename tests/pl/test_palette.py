"""The colours of the palette follow their rule, and differ."""

import numpy as np
import pytest
from palette_rule import BACKGROUND, VISION, channels, computed, distances, oklab, views

from spicemix_core import pl
from spicemix_core.pl.style import N_COLORS

COLORS = list(pl.palette(range(N_COLORS)).values())


def smallest(gaps):
    return gaps[np.triu_indices(len(gaps), 1)].min()


def test_the_rule_gives_the_colours_of_the_palette():
    assert computed(N_COLORS) == COLORS
    assert BACKGROUND[2] == pl.GREY


def test_all_colours_differ_by_the_distance_of_the_rule():
    seen = views(channels(COLORS))
    assert smallest(distances(seen, seen)) > 0.04


@pytest.mark.parametrize("vision", VISION)
def test_the_first_seven_colours_differ_in_any_colour_vision(vision):
    seen = oklab(channels(COLORS[:7]), vision)
    assert smallest(np.linalg.norm(seen[:, None] - seen, axis=2)) > 0.07


def test_more_names_than_colours_are_refused():
    with pytest.raises(ValueError, match="There are 41 names but only 40 colours: group the rarest names"):
        pl.palette(range(41))
