from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stacchip.statistics import Moments

numbers = st.floats(-1e6, 1e6, width=32)
arrays = hnp.arrays(np.float32, st.integers(0, 50), elements=numbers)


def assert_describe(moments: Moments, values: np.ndarray) -> None:
    exact = values.astype(np.float64)
    assert moments.count == len(exact)
    if not len(exact):
        assert math.isnan(moments.std)
        return
    assert (moments.minimum, moments.maximum) == (exact.min(), exact.max())
    scale = np.abs(exact).max() or 1.0
    assert moments.mean == pytest.approx(exact.mean(), rel=1e-9, abs=1e-12 * scale)
    assert moments.std == pytest.approx(exact.std(), rel=1e-9, abs=1e-12 * scale)


@settings(deadline=None)  # a busy machine is not an error
@given(st.lists(arrays, max_size=6))
def test_merged_parts_are_what_the_whole_is(parts):
    merged = Moments()
    for part in parts:
        merged = merged.merge(Moments.of(part))
    assert_describe(merged, np.concatenate([*parts, np.zeros(0, np.float32)]))


@settings(deadline=None)  # a busy machine is not an error
@given(arrays, arrays, arrays)
def test_it_does_not_matter_how_parts_are_grouped(one, two, three):
    a, b, c = (Moments.of(each) for each in (one, two, three))
    assert_describe(a.merge(b.merge(c)), np.concatenate([one, two, three]))
    assert_describe(c.merge(a).merge(b), np.concatenate([one, two, three]))


def test_a_small_deviation_beside_a_large_mean_keeps_its_digits():
    # here, a sum of squares in float64 would give 0 or nonsense
    values = np.random.default_rng(0).normal(1e6, 1e-2, 400_000)
    merged = Moments()
    for part in np.array_split(values, 37):
        merged = merged.merge(Moments.of(part))
    centred = values - 1e6  # exact: the numbers are close
    assert merged.mean == pytest.approx(1e6 + centred.mean(), rel=1e-15)
    assert merged.std == pytest.approx(centred.std(), rel=1e-9)


def test_millions_of_floats_agree_with_numpy():
    values = np.random.default_rng(1).gamma(0.5, 0.2, 3_000_000).astype(np.float32)
    assert_describe(Moments.of(values), values)
