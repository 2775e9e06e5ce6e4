"""The sequence of the chips of a kind as one permutation of all, for chips that are in a store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.stream.plan.permutation import Permutation
from stacchip.stream.plan.sequence import ChipSequence, Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stacchip.stream.plan.segments import Segment

__all__ = ["PermutedSequence"]

_AT_ONCE: Final = 256


@dataclass(frozen=True, eq=False)
class PermutedSequence(ChipSequence):
    """Every chip of some classes once, each as likely at any place as any other.

    Its `draw` is not None.
    """

    def __len__(self) -> int:
        return int(self._befores[-1])

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        """The first chip of each stretch of chips of the kind."""
        return np.asarray(self.table.first[self._stretches[0]])

    @cached_property
    def _befores(self) -> NDArray[np.int64]:
        """How many chips come before each stretch, and at the end the number of all."""
        begins, ends = self._stretches
        first = self.table.first
        return np.append(0, np.cumsum(first[ends] - first[begins]))

    @cached_property
    def _stretches(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        begins, ends, own = self.table.stretches.T
        chosen = np.isin(own, self.classes)
        return begins[chosen], ends[chosen]

    @cached_property
    def _permutation(self) -> Permutation:
        return Permutation(len(self), self.draw or ())

    def between(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the chips of a part of the sequence."""
        places = self._permutation.at(np.arange(start, stop))
        stretch = np.searchsorted(self._befores, places, side="right") - 1
        return np.asarray(self._firsts[stretch] + places - self._befores[stretch], np.int64)

    def stretches(self, segment: Segment) -> Iterator[Stretch]:
        """Yield the chips of a segment in the order of reading."""
        begin, end = segment.begin, segment.end
        while begin != end:
            is_forward = begin < end
            stop = min(end, begin + _AT_ONCE) if is_forward else max(end, begin - _AT_ONCE)
            chips = self.between(min(begin, stop), max(begin, stop))
            chips = chips if is_forward else chips[::-1]
            group = np.asarray(self.table.group[self.table.area_of(chips)])
            number = np.arange(len(chips))
            yield Stretch.of(chips, self.table.records(chips), group, number, np.zeros_like(number))
            self.table.forget_pages()
            begin = stop
