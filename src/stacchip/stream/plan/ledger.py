"""The ledger: which blocks are in memory while chips are given out.

It decides by positions and bytes alone, never by time: the same chips in the same order read the
same blocks, so `explain` can compute them in advance.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stacchip.stream.plan.visits import Visit, VisitQueue


# Blocks are kept for this many visits ahead, if memory allows: enough to reach the next part of the
# same area in each of 64 lanes, and the neighbours in the next row of areas.
_LOOKAHEAD = 128
# visits planned at each step: few, so that the first chip does not wait for all of them
_LOOK_AT_ONCE = 2
PIXELS, MASK = 0, 1


class LayerBlock(NamedTuple):
    """The identity of a block of one asset of one item.

    Attributes:
        item: Platform and id of the item.
        asset: Key of the asset.
        part: `PIXELS`, or `MASK` for the mask that goes with them.
        plane: As in `stacchip.raster.blocks.Block`.
        row: Row in the grid of blocks.
        col: Column in the grid of blocks.
    """

    item: tuple[str, str]
    asset: str
    part: int
    plane: int
    row: int
    col: int


@dataclass(frozen=True)
class Load:
    """Fetch and decode these blocks for this visit; none if all are in memory."""

    visit: Visit
    blocks: Sequence[LayerBlock]


@dataclass(frozen=True)
class Drop:
    """Forget these blocks."""

    blocks: Sequence[LayerBlock]


class Plans(Protocol):
    """Answers the ledger's questions about visits."""

    def find(self, visit: Visit) -> Mapping[LayerBlock, int]:
        """Return the blocks of a visit with their decoded bytes."""

    def release(self, position: int) -> None:
        """Take note that the chips before this position are done."""

    @property
    def is_full(self) -> bool:
        """True if visits should be planned only when they begin, and not ahead."""


class Ledger:
    """Decides which blocks are in memory during one pass over some visits.

    A visit's blocks are loaded before its first chip, and dropped after its last, unless an open
    visit or one of the next 128 needs them too. Further visits are loaded ahead as long as they fit
    into `ahead_bytes` and `memory_bytes`. A visit that begins is loaded even if memory is full.

    Args:
        visits: The visits.
        plans: Know the blocks of each visit.
        memory_bytes: Memory for all decoded blocks.
        ahead_bytes: The part of it for blocks whose visits have not begun.

    Attributes:
        held_bytes: Decoded bytes of all blocks in memory.
        peak_bytes: The largest value of `held_bytes` so far.
    """

    def __init__(
        self, visits: VisitQueue, plans: Plans, memory_bytes: int, ahead_bytes: int
    ) -> None:
        self._visits = visits
        self._plans = plans
        self._memory_bytes = memory_bytes
        self._ahead_bytes = ahead_bytes
        self._next_event = 0
        self._planned: deque[tuple[Visit, Mapping[LayerBlock, int]]] = deque()
        self._numbers = count()
        self._wanted: dict[LayerBlock, deque[int]] = {}  # by planned visits, by their numbers
        self._users: Counter[LayerBlock] = Counter()  # open visits
        self._closing: list[tuple[int, int, Sequence[LayerBlock]]] = []  # heap of (last, number, _)
        self._ahead: deque[tuple[int, int]] = deque()  # (first time, bytes) not begun
        self._held: dict[LayerBlock, int] = {}
        self._spare: dict[LayerBlock, None] = {}  # held for planned visits only
        self._spare_bytes = 0
        self.held_bytes = 0
        self.peak_bytes = 0

    def advance(self, position: int) -> Iterator[Load | Drop]:
        """Yield what to do before the chip at this position is cut; positions come in order."""
        if position < self._next_event:
            return
        self._plans.release(position)
        while self._closing and self._closing[0][0] < position:
            yield from self._close(heapq.heappop(self._closing)[2])
        while self._ahead and self._ahead[0][0] <= position:
            self._ahead.popleft()
        while (following := self._peek()) is not None and following.first <= position:
            yield from self._load(position)
        while self._may_load_ahead():
            yield from self._load(position)
        self._look_ahead()
        self._next_event = self._find_next_event()

    def _find_next_event(self) -> int:
        events = [self._closing[0][0] + 1] if self._closing else []
        events += [self._ahead[0][0]] if self._ahead else []
        following = self._peek()
        events += [] if following is None else [following.first]
        return min(events, default=1 << 62)

    def _peek(self) -> Visit | None:
        """Return the next visit to load; None if there is none."""
        if self._planned:
            return self._planned[0][0]
        return next(iter(self._visits.peek(1)), None)

    def _look_ahead(self) -> None:
        for _ in range(_LOOK_AT_ONCE):
            if len(self._planned) < _LOOKAHEAD and not self._plans.is_full:
                self._plan_one()

    def _plan_one(self) -> bool:
        """Plan the next visit that is not planned; return False if there is none."""
        if not self._visits.peek(1):
            return False
        visit = self._visits.pop()
        blocks = self._plans.find(visit)
        self._planned.append((visit, blocks))
        number = next(self._numbers)
        for block in blocks:
            self._wanted.setdefault(block, deque()).append(number)
        return True

    def _may_load_ahead(self) -> bool:
        if not self._planned and (self._plans.is_full or not self._plan_one()):
            return False
        more = self._missing_bytes(self._planned[0][1])
        ahead = sum(size for _, size in self._ahead)
        fits = self.held_bytes - self._spare_bytes + more <= self._memory_bytes
        return fits and (not self._ahead or ahead + more <= self._ahead_bytes)

    def _missing_bytes(self, blocks: Mapping[LayerBlock, int]) -> int:
        return sum(size for block, size in blocks.items() if block not in self._held)

    def _load(self, position: int) -> Iterator[Load | Drop]:
        """Open the next visit."""
        if not self._planned:
            self._plan_one()
        visit, blocks = self._planned.popleft()
        for block in blocks:
            self._users[block] += 1
            wanting = self._wanted[block]
            wanting.popleft()
            if not wanting:
                del self._wanted[block]
            if block in self._spare:
                self._unspare(block)
        missing = [block for block in blocks if block not in self._held]
        more = sum(blocks[block] for block in missing)
        if evicted := self._make_room(more):
            yield Drop(evicted)
        self._held.update((block, blocks[block]) for block in missing)
        self.held_bytes += more
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)
        heapq.heappush(self._closing, (visit.last, next(self._numbers), tuple(blocks)))
        if visit.first > position:
            self._ahead.append((visit.first, more))
        yield Load(visit, missing)

    def _unspare(self, block: LayerBlock) -> None:
        del self._spare[block]
        self._spare_bytes -= self._held[block]

    def _make_room(self, more: int) -> list[LayerBlock]:
        """Forget spare blocks, those needed last first, until `more` bytes fit or none is left."""
        evicted = []
        while self._spare and self.held_bytes + more > self._memory_bytes:
            block = max(self._spare, key=lambda spare: self._wanted[spare][0])
            self._unspare(block)
            self.held_bytes -= self._held.pop(block)
            evicted.append(block)
        return evicted

    def _close(self, blocks: Sequence[LayerBlock]) -> Iterator[Drop]:
        """Let go of the blocks that only this visit needed."""
        dropped = []
        for block in blocks:
            self._users[block] -= 1
            if self._users[block]:
                continue
            del self._users[block]
            if block in self._wanted:
                self._spare[block] = None
                self._spare_bytes += self._held[block]
            else:
                self.held_bytes -= self._held.pop(block)
                dropped.append(block)
        if dropped:
            yield Drop(dropped)
