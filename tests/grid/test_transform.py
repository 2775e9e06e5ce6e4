"""Products of transforms, which must not depend on the version of affine."""

from __future__ import annotations

import operator
import warnings
from importlib.metadata import version

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from stacchip.grid.transform import compose, map_points

multiply = operator.matmul if int(version("affine").split(".")[0]) >= 3 else operator.mul
numbers = st.floats(-1e7, 1e7)
transforms = st.builds(Affine, *[numbers] * 6)


@given(transforms, transforms)
def test_compose_is_the_product_of_affine(outer, inner):
    assert compose(outer, inner)[:6] == multiply(outer, inner)[:6]


@given(transforms, numbers, numbers)
def test_points_go_where_affine_puts_them(transform, x, y):
    assert map_points(transform, x, y) == multiply(transform, (x, y))
    columns, rows = map_points(transform, np.array([x, 0.0]), np.array([y, 0.0]))
    assert (columns[0], rows[0]) == map_points(transform, x, y)
    assert (columns[1], rows[1]) == (transform.c, transform.f)


def test_neither_warns():
    with warnings.catch_warnings(action="error"):
        grid = compose(Affine.translation(5, 5), Affine.scale(2))
        assert map_points(grid, 1, 1) == pytest.approx((7, 7))
