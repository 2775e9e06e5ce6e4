from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stacchip.errors import UsageError
from stacchip.statistics import Histogram

DTYPES = ("uint8", "int8", "uint16", "int16")
arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, st.integers(1, 60)))
PERCENTS = [0, 0.5, 1, 25, 50, 66.6, 99, 100]


@settings(deadline=None)  # a busy machine is not an error
@given(arrays, st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_percentiles_are_numpys(values, percents):
    found = Histogram.of(values).percentile(percents)
    np.testing.assert_allclose(found, np.percentile(values.astype(float), percents), atol=1e-9)


@settings(deadline=None)  # a busy machine is not an error
@given(arrays, st.integers(0, 60))
def test_merged_parts_are_what_the_whole_is(values, cut):
    merged = Histogram.of(values[:cut]).merge(Histogram.of(values[cut:]))
    np.testing.assert_array_equal(merged.counts, Histogram.of(values).counts)
    assert merged.moments == Histogram.of(values).moments


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_agree_with_numpy_in_float64(dtype):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, 1_000_003, dtype, True)
    moments = Histogram.of(values).moments
    exact = values.astype(np.float64)
    assert moments.count == len(values)
    assert (moments.minimum, moments.maximum) == (exact.min(), exact.max())
    assert moments.mean == pytest.approx(exact.mean(), rel=1e-9, abs=1e-9)
    assert moments.std == pytest.approx(exact.std(), rel=1e-9)
    np.testing.assert_allclose(
        Histogram.of(values).percentile(PERCENTS), np.percentile(exact, PERCENTS), atol=1e-6
    )


def test_of_nothing_nothing_is_known():
    histogram = Histogram.empty("uint16")
    assert histogram.moments.count == 0
    assert all(math.isnan(value) for value in histogram.percentile([0, 50]))


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "complex64"])
def test_other_types_are_refused(dtype):
    with pytest.raises(UsageError, match=dtype):
        Histogram.empty(dtype)


def test_values_of_another_type_are_refused():
    with pytest.raises(UsageError, match="uint8"):
        Histogram.empty("uint8").add(np.zeros(3, np.uint16))
    with pytest.raises(UsageError, match="merged"):
        Histogram.empty("uint8").merge(Histogram.empty("int8"))
