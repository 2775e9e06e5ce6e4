"""One band, counted value by value or sketched, by its type."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stacchip.errors import UsageError
from stacchip.statistics import NonFinite, new_statistics
from stacchip.statistics.band import CountedBand, SketchedBand, from_state

COUNTED = ("uint8", "int8", "uint16", "int16")
SKETCHED = ("uint32", "int64", "float32", "float64")
PERCENTS = [0, 10, 50, 99, 100]

some = st.sampled_from(COUNTED + SKETCHED).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.integers(1, 40),
        elements=st.integers(0, 100).map(float)
        if np.dtype(dtype).kind == "f"
        else st.integers(0, 100),
    )
)


@pytest.mark.parametrize("dtype", COUNTED)
def test_integers_of_8_and_16_bits_are_counted(dtype):
    statistics = new_statistics(dtype)
    assert isinstance(statistics, CountedBand)
    assert (statistics.dtype, statistics.rank_error) == (np.dtype(dtype), 0)


@pytest.mark.parametrize("dtype", SKETCHED)
def test_other_numbers_are_sketched(dtype):
    statistics = new_statistics(dtype)
    assert isinstance(statistics, SketchedBand)
    assert statistics.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["bool", "complex64", "U3", "2024-01-01", "no type"])
def test_what_is_not_a_number_has_no_statistics(dtype):
    with pytest.raises(UsageError, match=r"integers or floats|no type of pixels"):
        new_statistics(dtype)


@settings(deadline=None)
@given(some, st.integers(0, 40))
def test_both_ways_agree_with_numpy_in_parts_or_as_a_whole(values, cut):
    whole, merged, other = (new_statistics(values.dtype) for _ in range(3))
    whole.add(values)
    merged.add(values[:cut])
    other.add(values[cut:])
    merged.merge(other)
    for statistics in (whole, merged):
        assert statistics.moments.count == len(values)
        assert statistics.moments.mean == pytest.approx(values.mean(dtype="f8"), abs=1e-9)
        assert statistics.moments.std == pytest.approx(values.std(dtype="f8"), abs=1e-9)
        least, *_, most = statistics.percentile(PERCENTS)
        assert (least, most) == (values.min(), values.max())


@settings(deadline=None)
@given(some)
def test_a_state_gives_the_same_statistics(values):
    statistics = new_statistics(values.dtype)
    statistics.add(values)
    again = from_state(values.dtype, statistics.to_state())
    assert type(again) is type(statistics)
    assert again.moments == statistics.moments
    assert again.percentile(PERCENTS) == statistics.percentile(PERCENTS)
    again.merge(statistics)
    assert again.moments.count == 2 * len(values)


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint8", 300.0), ("uint8", 0.5), ("int16", -4e4), ("uint16", np.inf)]
)
def test_floats_that_are_not_values_of_the_type_are_refused(dtype, value):
    statistics = new_statistics(dtype)
    statistics.add(np.array([3.0, 4.0], np.float32))
    with pytest.raises(UsageError, match="float32"):
        statistics.add(np.array([value], np.float32))
    assert statistics.moments.count == 2


@pytest.mark.parametrize(("one", "two"), [("uint8", "float32"), ("float32", "uint8")])
def test_bands_of_different_types_do_not_merge(one, two):
    with pytest.raises(UsageError, match=f"{one} and of {two}"):
        new_statistics(one).merge(new_statistics(two))


def test_values_that_are_not_finite_are_counted_apart_in_parts_or_as_a_whole():
    values = np.array([1, np.nan, 5, np.inf, -np.inf, np.nan], np.float32)
    whole, part, rest = (new_statistics("float32") for _ in range(3))
    whole.add(values)
    part.add(values[:3])
    rest.add(values[3:])
    part.merge(from_state(np.dtype("float32"), rest.to_state()))
    for statistics in (whole, part):
        assert statistics.nonfinite == NonFinite(nan=2, positive=1, negative=1)
        assert (statistics.moments.count, statistics.moments.mean) == (2, 3)
        assert statistics.percentile([0, 100]) == [1, 5]


def test_a_band_of_which_nothing_is_finite_has_no_percentiles():
    statistics = new_statistics("float64")
    statistics.add(np.array([np.inf, np.nan]))
    assert statistics.moments.count == 0
    assert np.isnan(statistics.percentile([0, 50, 100])).all()


def test_states_of_earlier_versions_merge_unless_infinity_is_in_them():
    one = new_statistics("float32")
    one.add(np.array([1, 3], np.float32))
    state = one.to_state()
    del state["nonfinite"]
    again = from_state(np.dtype("float32"), state)
    assert (again.moments.mean, again.nonfinite) == (2, NonFinite())
    state["moments"] = np.array([-np.inf, np.nan, -np.inf, 3])
    with pytest.raises(UsageError, match="not finite"):
        from_state(np.dtype("float32"), state)


def test_values_too_large_for_a_deviation_keep_count_and_extremes_and_merge():
    """-1.797e308 is GDAL's usual nodata value of float64, which some files do not declare."""
    values = np.array([-1.7976931348623157e308, 2, 4, -1.7976931348623157e308])
    statistics = new_statistics("float64")
    statistics.add(values)
    other = new_statistics("float64")
    other.add(np.array([7.0]))
    again = from_state(np.dtype("float64"), statistics.to_state())
    other.merge(again)
    assert again.moments.is_beyond_float64
    assert other.moments.is_beyond_float64
    assert (other.moments.count, other.nonfinite) == (5, NonFinite())
    assert other.percentile([0, 100]) == [values.min(), 7]
    from_state(np.dtype("float64"), other.to_state())


def test_a_deviation_may_overflow_where_a_mean_does_not():
    statistics = new_statistics("float64")
    statistics.add(np.array([1e200, 3e200]))
    assert statistics.moments.mean == 2e200
    assert statistics.moments.is_beyond_float64


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint16", -3.5), ("int32", 0.5), ("int32", 3e9), ("uint32", -1)]
)
def test_a_value_that_the_type_cannot_hold_is_named(dtype, value):
    statistics = new_statistics(dtype)
    statistics.add(np.array([3, 4], np.float64))
    with pytest.raises(UsageError, match=f"not of type {dtype}, such as {value}"):
        statistics.add(np.array([[1, value]]))
    assert statistics.moments.count == 2


def test_floats_of_another_width_are_rounded_to_the_type():
    statistics = new_statistics("float32")
    statistics.add(np.array([0.1, 1e300]))
    assert statistics.nonfinite == NonFinite(positive=1)
    assert statistics.moments.mean == np.float32(0.1)
