"""How often each chip comes in an epoch: expected first, and then drawn.

A chip of the odds `x` is expected `c x` times, where `c` is such that the quota is met. If chips
may not come twice, those that are expected once or more come once, and `c` is raised for the
others.

A chip that is expected 2.3 times comes twice, and once more with a chance of 0.3. Which chips come
once more is a Pareto sample (B. Rosén, "On sampling with probability proportional to size", 1997):
of the chips with the chance `p` and a random number `u`, those with the lowest `u (1 - p) / p
(1 - u)` come. Their number is exactly what is left of the quota. The chance of each is `p` where
all are alike, and else up to an error that vanishes as the quota grows. (Drawing one after another,
as `torch.multinomial` does without replacement, gives other chances than those asked for.)

The random number depends on the seed, the epoch and the key of the chip, or on what it is drawn
together with. So nothing depends on the order of the rows or on who computes it. Only additions,
multiplications and divisions are used, which every machine rounds alike.

Chips are looked at several times, part by part; what is held does not grow with their number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from stacchip.runtime.key_hash import chances, mix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from stacchip.runtime.key_hash import Hashes

__all__ = ["Candidates", "Odds", "draw_times", "find_scales"]

_BITS: Final = 19  # of a bin's number, if there is one group: the exponent and 8 of the fraction
_LEAST_BITS: Final = 11  # the exponent


class Odds(NamedTuple):
    """Chips with their odds.

    Attributes:
        odds: How often each is expected, in proportion to others of its group.
        group: The group, each with a quota of its own.
        times: How many chips each entry stands for.
    """

    odds: NDArray[np.float64]
    group: NDArray[np.integer[Any]]
    times: NDArray[np.integer[Any]]


class Candidates(NamedTuple):
    """Chips to draw from.

    Attributes:
        odds: As in `Odds`.
        group: As in `Odds`.
        unit: A hash of what is drawn together.
        chip: A hash of the chip's key.
    """

    odds: NDArray[np.float64]
    group: NDArray[np.integer[Any]]
    unit: Hashes
    chip: Hashes


def find_scales(
    parts: Callable[[], Iterable[Odds]], quota: NDArray[np.int64], *, is_capped: bool
) -> NDArray[np.float64]:
    """Return by how much odds are multiplied, in each group, so that its quota is met.

    Args:
        parts: Returns all chips, in parts; it is called several times.
        quota: The number of chips of each group, which its chips can meet.
        is_capped: True if no chip may come twice.

    Example:
        >>> odds = Odds(np.array([1.0, 1.0, 8.0]), np.zeros(3, int), np.ones(3, int))
        >>> find_scales(lambda: [odds], np.array([2]), is_capped=True)
        array([0.5])
    """
    scales = np.zeros(len(quota))
    full = np.full(len(quota), -1)
    while True:
        # chips that are full with these scales, and what the others have together
        found = np.zeros(len(quota), np.int64)
        rest: list[list[float]] = [[] for _ in quota]
        for odds, group, times in parts():
            is_full = (odds * scales[group] >= 1) & is_capped
            found += np.bincount(group[is_full], times[is_full], len(quota)).astype(np.int64)
            sums = np.bincount(group[~is_full], (odds * times)[~is_full], len(quota))
            for number, total in enumerate(sums.tolist()):
                rest[number].append(total)
        if (found == full).all():
            return scales
        full = found
        totals = np.array([math.fsum(each) for each in rest])
        there = totals > 0
        # a group whose chips are all full keeps its scale
        scales[there] = np.maximum(scales[there], (quota - full)[there] / totals[there])


def draw_times(
    parts: Callable[[], Iterable[Candidates]],
    scales: NDArray[np.float64],
    quota: NDArray[np.int64],
    key: int,
    *,
    is_capped: bool,
) -> Iterator[NDArray[np.int64]]:
    """Yield how often each chip comes, part by part.

    Args:
        parts: Returns all chips, in parts; it is called three times.
        scales: As `find_scales` returns them.
        quota: The number of chips of each group.
        key: A number for the seed and the epoch.
        is_capped: True if no chip may come twice.
    """
    groups = len(quota)
    bits = max(_BITS - (groups - 1).bit_length(), _LEAST_BITS)
    bins = np.zeros((groups, 1 << bits), np.int64)
    wholes = np.zeros(groups, np.int64)
    for part in parts():
        whole, rank = _rank(part, scales, key, is_capped=is_capped)
        wholes += np.bincount(part.group, whole, groups).astype(np.int64)
        there = np.isfinite(rank)
        flat = (part.group[there].astype(np.int64) << bits) + _bin_of(rank[there], bits)
        bins += np.bincount(flat, minlength=bins.size).reshape(bins.shape)
    left = quota - wholes
    bounds = _find_bounds(parts, scales, key, bins, left, is_capped=is_capped)
    for part in parts():
        whole, rank = _rank(part, scales, key, is_capped=is_capped)
        yield whole + bounds.holds(part, rank, mix(part.chip ^ np.uint64(key)))


def _bin_of(rank: NDArray[np.float64], bits: int) -> NDArray[np.int64]:
    """Return the bins of numbers from 0 on: their first bits after the sign."""
    return (rank.view(np.uint64) >> np.uint64(63 - bits)).astype(np.int64)


def _rank(
    part: Candidates, scales: NDArray[np.float64], key: int, *, is_capped: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return how often chips come at least, and their place in the order of who comes once more.

    Those that cannot come once more have the place infinity.
    """
    expected = part.odds * scales[part.group]
    if is_capped:
        expected = np.minimum(expected, 1)
    whole = np.floor(expected)
    chance = expected - whole
    luck = chances(part.unit, key)
    with np.errstate(divide="ignore", over="ignore"):
        rank = (luck / (1 - luck)) * ((1 - chance) / chance)
    rank[chance == 0] = np.inf
    return whole.astype(np.int64), rank


class _Bounds:
    """The last chip of each group that comes once more.

    Args:
        rank: Its place.
        tie: A number by which chips of one place are put in order, another in each epoch.
        equal: How many chips of this place and number come.
    """

    def __init__(self, rank: list[float], tie: list[int], equal: list[int]) -> None:
        self._rank = np.array(rank)
        self._tie = np.array(tie, np.uint64)
        self._equal = equal

    def holds(self, part: Candidates, rank: NDArray[np.float64], tie: Hashes) -> NDArray[np.bool_]:
        """Return True for the chips of the next part that come once more."""
        last, last_tie = self._rank[part.group], self._tie[part.group]
        found: NDArray[np.bool_] = (rank < last) | ((rank == last) & (tie < last_tie))
        for place in np.flatnonzero((rank == last) & (tie == last_tie)).tolist():
            group = int(part.group[place])
            found[place] = self._equal[group] > 0
            self._equal[group] -= 1
        return found


def _find_bounds(
    parts: Callable[[], Iterable[Candidates]],
    scales: NDArray[np.float64],
    key: int,
    bins: NDArray[np.int64],
    left: NDArray[np.int64],
    *,
    is_capped: bool,
) -> _Bounds:
    """Return the last chip of each group that comes once more, of the bin in which it is."""
    ends = np.cumsum(bins, axis=1)
    of_last = [int(np.searchsorted(own, count)) for own, count in zip(ends, left, strict=True)]
    near: list[list[NDArray[Any]]] = [[] for _ in left]
    kind = np.dtype([("rank", "<f8"), ("tie", "<u8")])
    bits = bins.shape[1].bit_length() - 1
    for part in parts():
        _, rank = _rank(part, scales, key, is_capped=is_capped)
        is_near = np.isfinite(rank) & (_bin_of(rank, bits) == np.array(of_last)[part.group])
        tie = mix(part.chip ^ np.uint64(key))
        for group in np.unique(part.group[is_near]).tolist():
            own = is_near & (part.group == group)
            found = np.empty(int(own.sum()), kind)
            found["rank"], found["tie"] = rank[own], tie[own]
            near[group].append(found)
    ranks, ties, equal = [], [], []
    for group, last in enumerate(of_last):
        before = int(ends[group, last - 1]) if last else 0
        wanted = int(left[group]) - before
        chips = np.concatenate([np.empty(0, kind), *near[group]])
        if wanted <= 0 or not len(chips):
            ranks.append(-1.0)
            ties.append(0)
            equal.append(0)
            continue
        order = chips[np.lexsort((chips["tie"], chips["rank"]))]
        bound = order[min(wanted, len(order)) - 1]
        ranks.append(float(bound["rank"]))
        ties.append(int(bound["tie"]))
        equal.append(int((order[:wanted] == bound).sum()))
    return _Bounds(ranks, ties, equal)
