"""The kinds of a process's batches."""

from __future__ import annotations

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


class Chips(list[int]):
    """Chips whose numbers rise."""

    def chips_at(self, numbers):
        return np.array(self, np.int64)[numbers]

    def count_before(self, chips):
        return np.searchsorted(np.array(self, np.int64), chips)


@settings(deadline=None)
@given(
    kinds=st.lists(st.integers(0, 2), max_size=60),
    size=st.integers(1, 4),
    drop_last=st.booleans(),
)
def test_batches_come_in_the_order_of_their_last_chips(kinds, size, drop_last):
    shares = [Chips(n for n, each in enumerate(kinds) if each == kind) for kind in range(3)]
    batches = [len(own) // size if drop_last else -(-len(own) // size) for own in shares]
    full = [
        (own[last], kind)
        for kind, own in enumerate(shares)
        for last in range(size - 1, len(own), size)
    ]
    rest = [kind for kind, own in enumerate(shares) if len(own) % size and not drop_last]
    wanted = [kind for _, kind in sorted(full)] + rest
    assert check(InOrder(shares, size, batches), batches) == wanted
