"""The chips of several parts of a mix in one order."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.draws.strata import share_out
from stacchip.stream.plan.braid import Braid

SHARES = [
    (1.0,), (0.5, 0.5), (0.5, 0.25, 0.25), (1 / 3, 2 / 3), (0.37, 0.33, 0.2, 0.1),
    (0.5, *(0.05,) * 10), (0.01,) * 100,
]  # fmt: skip
ODD = [
    (np.pi, np.e, np.sqrt(2)), (123457, 45677, 9001), (1e-5, 1), (*(1e-4,) * 99, 1), (1e-13, 1),
    (1e-9, 1e9),
]  # fmt: skip


def check(counts: list[int], shares: tuple[float, ...]) -> list[int]:
    """The strands in their order, after all ways to ask for it were compared."""
    braid = Braid(counts, shares)
    order = list(braid.strands(0))
    assert len(order) == sum(counts)
    for strand, count in enumerate(counts):
        assert braid.steps(strand, np.arange(count)).tolist() == [
            place for place, own in enumerate(order) if own == strand
        ]
    for place in {0, 1, len(order) // 3, max(len(order) - 1, 0), len(order)}:
        before = [order[:place].count(strand) for strand in range(len(counts))]
        assert braid.counts(place) == before
        assert list(islice(braid.strands(place), 50)) == order[place : place + 50]
    return order


def worst(order: list[int], shares: tuple[float, ...]) -> float:
    places = np.arange(1, len(order) + 1)
    own = np.array(order)
    return max(
        float(np.abs(np.cumsum(own == strand) - share * places).max())
        for strand, share in enumerate(shares)
    )


@pytest.mark.parametrize("shares", SHARES, ids=lambda shares: f"{len(shares)}-{shares[0]:.2f}")
def test_simple_shares_are_kept_within_a_chip(shares: tuple[float, ...]) -> None:
    counts = share_out(2000, np.array(shares)).tolist()
    assert worst(check(counts, shares), shares) < 1


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{len(odd)}-{odd[0]:.3g}")
def test_other_shares_are_kept_within_two_chips(odd: tuple[float, ...]) -> None:
    shares = tuple((np.array(odd) / np.sum(odd)).tolist())
    counts = share_out(20_000, np.array(shares)).tolist()
    assert worst(check(counts, shares), shares) < 2


def test_shares_do_not_drift_over_a_long_order() -> None:
    odd = np.array(ODD[0])
    shares = tuple((odd / odd.sum()).tolist())
    braid = Braid(share_out(10**9, np.array(shares)).tolist(), shares)
    last = np.bincount(list(braid.strands(10**9 - 1024)), minlength=3)
    assert np.abs(last - np.array(shares) * 1024).max() < 3


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_braid_is_a_permutation(data: st.DataObject) -> None:
    strands = data.draw(st.integers(1, 8))
    numbers = st.lists(st.integers(0, 40), min_size=strands, max_size=strands)
    sizes = st.lists(
        st.one_of(st.integers(1, 9), st.floats(1e-6, 1e6)), min_size=strands, max_size=strands
    )
    weights = np.array(data.draw(sizes), float)
    check(data.draw(numbers), tuple((weights / weights.sum()).tolist()))
