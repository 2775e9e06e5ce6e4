"""A permutation finds each of its things by itself."""

from __future__ import annotations

import numpy as np
import pytest

from stacchip.stream.plan.permutation import Permutation

COUNTS = [0, 1, 2, 3, 5, 64, 1000, 4097]


def whole(count: int, *seed: int) -> np.ndarray:
    return Permutation(count, seed).at(np.arange(count))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("seed", [(0,), (1,), (1, 0, 2)])
def test_each_thing_has_one_place(count, seed):
    found = whole(count, *seed)
    assert found.dtype == np.int64
    assert np.array_equal(np.sort(found), np.arange(count))


@pytest.mark.parametrize("count", COUNTS)
def test_a_place_is_found_without_the_others(count):
    order = Permutation(count, (3, 4))
    everything = order.at(np.arange(count))
    for place in np.random.default_rng(0).permutation(count)[:50]:
        assert order.at(np.array([place])).tolist() == [everything[place]]
    assert np.array_equal(order.at(np.arange(count)[::-1]), everything[::-1])
    assert np.array_equal(Permutation(count, (3, 4)).at(np.arange(count)), everything)


def test_the_order_depends_on_every_number_of_the_seed():
    orders = [
        whole(1000, *seed)
        for seed in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (2**40, 7, 0))
    ]
    for number, one in enumerate(orders):
        for other in orders[:number]:
            # two random orders agree in one place on average
            assert (one == other).sum() < 10
        assert (one == np.arange(1000)).sum() < 10


def test_a_permutation_of_very_many_things_takes_no_memory():
    count = 10**15
    found = Permutation(count, (1,)).at(np.array([0, 1, count - 1]))
    assert len(set(found.tolist())) == 3
    assert ((found >= 0) & (found < count)).all()


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("count", [5, 12])
def test_each_thing_is_as_likely_at_any_place(count):
    times = 4000
    table = np.zeros((count, count), np.int64)
    for seed in range(times):
        table[np.arange(count), whole(count, seed, 1)] += 1
    # rows and columns have fixed sums; six deviations of the distribution above its mean
    freedom = (count - 1) ** 2
    assert chi_square(table) * (count - 1) / count < freedom + 6 * (2 * freedom) ** 0.5


def test_neighbours_are_torn_apart():
    found = whole(4096, 9)
    steps = np.abs(np.diff(found))
    assert (steps == 1).sum() < 12, "two of 4096 on average"
    assert steps.mean() == pytest.approx(4096 / 3, rel=0.05)
    blocks = found.reshape(64, 64) // 64
    distinct = [len(np.unique(block)) for block in blocks]
    assert np.mean(distinct) == pytest.approx(64 * (1 - (63 / 64) ** 64), rel=0.05)
