"""How often chips come: quotas are met to the chip, and chances are those asked for."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.draws.chances import Candidates, Odds, draw_times, find_scales
from stacchip.runtime.key_hash import hash_numbers


def candidates(odds: np.ndarray, group: np.ndarray, unit: np.ndarray | None = None) -> Candidates:
    chip = hash_numbers(np.zeros(len(odds), np.uint64), np.arange(len(odds)))
    return Candidates(odds, group, chip if unit is None else unit, chip)


def draw(
    of: Candidates, quota: np.ndarray, key: int, *, is_capped: bool, size: int = 1000
) -> np.ndarray:
    """How often each comes, if chips come in parts of a size."""
    cuts = np.arange(size, len(of.odds), size)
    parts = [Candidates(*each) for each in zip(*(np.split(v, cuts) for v in of), strict=True)]
    odds = [Odds(part.odds, part.group, np.ones(len(part.odds), int)) for part in parts]
    scales = find_scales(lambda: odds, quota, is_capped=is_capped)
    drawn = draw_times(lambda: parts, scales, quota, key, is_capped=is_capped)
    return np.concatenate(list(drawn))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_each_group_gives_its_quota(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    weights = st.one_of(st.just(0.0), st.just(1.0), st.floats(2**-20, 2**20, width=32))
    odds = np.array(data.draw(st.lists(weights, min_size=count, max_size=count)))
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    is_capped = data.draw(st.booleans())
    drawable = np.bincount(group[odds > 0], minlength=3)
    most = drawable if is_capped else np.where(drawable > 0, 200, 0)
    quota = np.array([data.draw(st.integers(0, int(each))) for each in most])
    of = candidates(odds, group)
    times = draw(of, quota, data.draw(st.integers(0, 2**64 - 1)), is_capped=is_capped)
    assert np.bincount(group, times, 3).astype(int).tolist() == quota.tolist()
    assert (times[odds == 0] == 0).all()
    assert times.max(initial=0) <= 1 or not is_capped


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 400), st.integers(1, 400), st.randoms(use_true_random=False))
def test_neither_order_nor_parts_matter(size: int, other: int, random) -> None:
    rng = np.random.default_rng(random.randrange(2**32))
    of = candidates(rng.uniform(0.1, 3, 500), rng.integers(0, 2, 500))
    quota = np.array([60, 90])
    times = draw(of, quota, 7, is_capped=True, size=size)
    order = rng.permutation(500)
    again = draw(Candidates(*(v[order] for v in of)), quota, 7, is_capped=True, size=other)
    assert np.array_equal(times[order], again)


@pytest.mark.parametrize("is_capped", [True, False])
def test_chances_are_those_asked_for(is_capped: bool) -> None:
    """Chips of the weights 1 to 8, 10 of each: how often each weight comes in 1,500 epochs."""
    odds = np.repeat(np.arange(1.0, 9), 10)
    of, quota = candidates(odds, np.zeros(80, int)), np.array([30])
    found = np.mean([draw(of, quota, key, is_capped=is_capped) for key in range(1500)], axis=0)
    expected = 30 * odds / odds.sum()
    assert expected.max() < 1, "so that a cap takes nothing away"
    error = np.sqrt(expected * (1 - expected) / 1500)
    assert np.abs(found - expected).max() < 4.5 * error.max()
    by_weight = found.reshape(8, 10).mean(axis=1)
    np.testing.assert_allclose(by_weight, expected[::10], rtol=0.03)


def test_chips_that_are_full_leave_their_rest_to_others() -> None:
    """One chip in 100 has most of the weight: it comes once, and 9 of the others."""
    odds = np.append(np.ones(99), 1000.0)
    times = draw(candidates(odds, np.zeros(100, int)), np.array([10]), 3, is_capped=True)
    assert (times[-1], times.sum()) == (1, 10)


def test_repeats_are_as_even_as_they_can_be() -> None:
    odds = np.ones(100)
    times = draw(candidates(odds, np.zeros(100, int)), np.array([250]), 3, is_capped=False)
    assert set(times.tolist()) == {2, 3}
    assert times.sum() == 250


def test_chips_of_a_unit_come_together() -> None:
    unit = hash_numbers(np.zeros(100, np.uint64), np.arange(100) // 10)
    of = candidates(np.ones(100), np.zeros(100, int), unit)
    drawn = draw(of, np.array([30]), 5, is_capped=True).reshape(10, 10).sum(axis=1)
    assert sorted(drawn.tolist()) == [0] * 7 + [10] * 3
    part = draw(of, np.array([35]), 5, is_capped=True).reshape(10, 10).sum(axis=1)
    assert sorted(part.tolist()) == [0] * 6 + [5] + [10] * 3


def test_equal_chips_are_told_apart_by_their_places() -> None:
    """A chip that an index holds twice does not make an epoch longer."""
    zero = np.zeros(10, np.uint64)
    of = Candidates(np.ones(10), np.zeros(10, int), zero, zero)
    assert draw(of, np.array([4]), 1, is_capped=True, size=3).tolist() == [1] * 4 + [0] * 6


def test_another_key_draws_others() -> None:
    of, quota = candidates(np.ones(1000), np.zeros(1000, int)), np.array([500])
    one, other = (draw(of, quota, key, is_capped=True) for key in (1, 2))
    assert 200 < (one & other).sum() < 300
    assert np.array_equal(one, draw(of, quota, 1, is_capped=True))


def test_scales_of_alike_chips_are_found_from_their_number() -> None:
    each = Odds(np.repeat([1.0, 5.0], [80, 20]), np.zeros(100, int), np.ones(100, int))
    alike = Odds(np.array([1.0, 5.0]), np.zeros(2, int), np.array([80, 20]))
    quota = np.array([60])
    find = partial(find_scales, quota=quota, is_capped=True)
    assert find(lambda: [each]) == pytest.approx(find(lambda: [alike]))
    assert find(lambda: [alike])[0] == pytest.approx(0.5)
