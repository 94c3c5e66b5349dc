"""Projection onto the simplex."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicemix_core.numerics.simplex import project_to_simplex


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_projection_is_the_nearest_point(values):
    v = np.array(values)
    p = project_to_simplex(v)
    scale = 1.0 + abs(v).max()
    assert (p >= 0).all() and p.sum() == pytest.approx(1.0, abs=1e-12)
    # optimal iff (v - p)'(q - p) <= 0 for every corner q
    assert ((v - p) - (v - p) @ p).max() <= 1e-9 * scale**2


def test_projection_of_a_point_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        project_to_simplex([0.0, np.nan])


def test_projection_ends_where_rounding_hides_the_threshold():
    v = np.array([999999.9999999998, 1e6, 0.1000000000791308, 9.999981679082842e-06, 999999.5])
    assert project_to_simplex(v).sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_array_equal(project_to_simplex(np.array([0.0, 1e20, -3.0])), [0.0, 1.0, 0.0])
