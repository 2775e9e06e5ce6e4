"""Quantiles of values that come in parts are those of numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.selection.quantiles import find_quantiles

SHARES = (0, 0.2, 0.4, 0.5, 0.8, 1)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=60),
    st.integers(1, 10),
    st.randoms(use_true_random=False),
)
def test_they_are_those_of_numpy_for_any_order_and_parts(values, parts, random) -> None:
    expected = np.quantile(np.array(values), SHARES)
    random.shuffle(values)
    pieces = np.array_split(np.array([*values, np.nan, np.inf, -np.inf]), parts)
    np.testing.assert_allclose(find_quantiles(lambda: pieces, SHARES), expected, rtol=1e-15)


@pytest.mark.parametrize(
    "make",
    [lambda r: 2024 + r.beta(2, 8, 300_000), lambda r: 1.7e9 + r.uniform(0, 432_000, 300_000),
     lambda r: np.append(np.full(300_000, 1e6), 1e6 + np.arange(10.0))],
)  # fmt: skip
def test_many_values_that_lie_close_together_are_told_apart(make) -> None:
    values = make(np.random.default_rng(0))
    found = find_quantiles(lambda: np.array_split(values, 7), SHARES)
    np.testing.assert_allclose(found, np.quantile(values, SHARES), rtol=1e-15)


def test_no_values_have_no_quantiles() -> None:
    assert not len(find_quantiles(lambda: [np.array([np.nan])], SHARES))
    assert not len(find_quantiles(list, SHARES))
