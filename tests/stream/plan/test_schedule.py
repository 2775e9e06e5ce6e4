"""The kinds of a process's batches."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.stream.plan.schedule import InOrder, Proportional

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=4)


def check(schedule, counts: list[int]) -> list[int]:
    """Compare all that a schedule says with the kinds that it gives."""
    kinds = list(schedule.kinds(0))
    assert [kinds.count(kind) for kind in range(len(counts))] == counts
    for kind, count in enumerate(counts):
        places = [step for step, each in enumerate(kinds) if each == kind]
        assert schedule.steps(kind, np.arange(count)).tolist() == places
    for step in range(len(kinds) + 1):
        assert schedule.counts(step) == [kinds[:step].count(kind) for kind in range(len(counts))]
    assert list(schedule.kinds(len(kinds) // 2)) == kinds[len(kinds) // 2 :]
    return kinds


@settings(deadline=None)
@given(COUNTS)
def test_kinds_come_evenly(counts):
    kinds = check(Proportional(counts), counts)
    for kind, count in enumerate(counts):
        for step in range(len(kinds) + 1):
            assert abs(kinds[:step].count(kind) - count * step / len(kinds or [0])) < len(counts)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=20).map(sorted), min_size=1, max_size=3))
def test_batches_come_in_the_order_of_their_keys(keys):
    arrays = [np.array(each, np.int64) for each in keys]
    kinds = check(InOrder(arrays), [len(each) for each in keys])
    own = [iter(each) for each in keys]
    assert [next(own[kind]) for kind in kinds] == sorted(chain(*keys))
