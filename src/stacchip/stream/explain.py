"""The cost of an epoch, computed before it is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.errors import StacchipError, forget_frames
from stacchip.raster.block_requests import plan_requests
from stacchip.runtime.pools import core_count
from stacchip.stream.plan.ledger import Ledger, Load
from stacchip.stream.read.decode_speed import decode_seconds
from stacchip.stream.read.loading import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stacchip.errors import Errors
    from stacchip.stream.plan.course import Course
    from stacchip.stream.plan.lanes import Place
    from stacchip.stream.plan.ledger import LayerBlock
    from stacchip.stream.plan.visits import Visit
    from stacchip.stream.read.filling_store import AreaFilling
    from stacchip.stream.read.layers import ItemLayers, Layer
    from stacchip.stream.read.reading import VisitPlans

# seconds in which one core copies a byte of a chip out of its blocks (measured: 180 us for 11 bands
# of 256 px in 16 bits, of which seven have twice the pixel size)
_COPY_SECONDS: Final = 1.3e-10
# the same for decoding a byte of a chip out of a store (measured: 250 us for those)
_STORE_SECONDS: Final = 1.7e-10
_MOST_NAMED: Final = 5
_MOST_CHIPS: Final = 16_384
_MOST_AREAS: Final = 256
_SHORT_S: Final = 10  # an epoch in which the start of workers, some seconds, is much


@dataclass(frozen=True)
class Explanation:
    """The cost of an epoch of a stream, if no cache holds any of its blocks.

    Of a long epoch, the first chips are looked at, and their cost is multiplied.

    Attributes:
        chips: Number of chips delivered.
        unreadable_chips: Number of chips whose items cannot be opened (`errors="skip"`).
        requests: Number of ranges requested from stores, without retries. Files that GDAL reads
            take more.
        bytes: Total size of these ranges.
        blocks: Number of blocks decoded.
        distinct_blocks: Number of different blocks among them.
        decoded_bytes: Total size of the decoded pixels.
        memory_bytes: The most that decoded blocks take at the same time in this process. Each
            worker of a DataLoader has its own.
        chips_per_s: An upper bound, once everything is running: about how many chips this machine's
            cores decode and copy in a second. It leaves out the start of worker processes, the
            opening of items, the store's latency and bandwidth, files that GDAL reads, and the
            training itself. A short epoch is mostly these.
        gdal_files: Files that GDAL reads, and the reason, by href.
        items: Number of items whose chips are delivered.
        opening_s: Seconds in which this call opened the items; those that were open took none.
        unreadable_items: Ids of the items that cannot be opened.
        first_error: Why the first of them cannot be opened.
        looked_at: Number of chips that were looked at; None for all. `items`, `opening_s`,
            `distinct_blocks`, `gdal_files` and `unreadable_items` are those of these chips.
        from_store: Number of chips that a store holds; None without a store.
        fills_areas: True if the shuffle is one permutation of all chips. Those that the store lacks
            are then read with all others of their areas.
    """

    chips: int
    unreadable_chips: int
    requests: int
    bytes: int
    blocks: int
    distinct_blocks: int
    decoded_bytes: int
    memory_bytes: int
    chips_per_s: float
    gdal_files: Mapping[str, str]
    items: int = 0
    opening_s: float = 0.0
    unreadable_items: tuple[str, ...] = ()
    first_error: StacchipError | None = None
    looked_at: int | None = None
    from_store: int | None = None
    fills_areas: bool = False

    @property
    def repeat_factor(self) -> float:
        """Average number of times that a block is decoded: 1 if each is decoded once."""
        return self.blocks / self.distinct_blocks if self.distinct_blocks else 1.0

    @property
    def least_seconds(self) -> float:
        """Approximate seconds that an epoch takes at least: to open the items and to decode."""
        return self.opening_s + (self.chips / self.chips_per_s if self.chips_per_s else 0)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield (
            f"{self.chips:,} chips of {self.items:,} items: {self.requests:,} requests, "
            f"{self.bytes / 1e6:.0f} MB"
        )
        yield (
            f"decodes {self.blocks:,} blocks ({self.repeat_factor:.2f} times each), "
            f"{self.decoded_bytes / 1e6:.0f} MB"
        )
        yield from self._store()
        yield (
            f"holds up to {self.memory_bytes / 1e6:.0f} MB of decoded blocks in this process; each "
            "DataLoader worker has its own"
        )
        yield (
            f"takes at least {_in_seconds(self.least_seconds)} on this machine: "
            f"{_in_seconds(self.opening_s)} to open the items, then at most about "
            f"{self.chips_per_s:,.0f} chips/s"
        )
        left_out = ["the start of worker processes", "the store's latency and bandwidth"]
        if self.gdal_files:
            left_out.append(f"the time in which GDAL reads {len(self.gdal_files):,} files")
        if self.looked_at is not None:
            yield f"judges by the first {self.looked_at:,} chips, of these {self.items:,} items"
        short = ": a short epoch is mostly these" if self.least_seconds < _SHORT_S else ""
        yield f"leaves out {', '.join(left_out)} and the training itself{short}"
        yield from self._unreadable()

    def _store(self) -> Iterator[str]:
        if self.from_store is None:
            return
        how = "; the shuffle is one permutation of all chips" if self.fills_areas else ""
        yield f"takes {self.from_store:,} of the chips from the store{how}"
        if self.fills_areas and self.from_store < self.chips:
            yield (
                "reads the others with all chips of their areas, when the first of an area comes: "
                "the first batches wait long. Fill the store before: stacchip warm"
            )

    def _unreadable(self) -> Iterator[str]:
        if not self.unreadable_chips:
            return
        named = ", ".join(map(repr, self.unreadable_items[:_MOST_NAMED]))
        more = f" and {len(self.unreadable_items) - _MOST_NAMED:,} more"
        yield (
            f"cannot read {self.unreadable_chips:,} more chips, of the items {named}"
            f"{more if len(self.unreadable_items) > _MOST_NAMED else ''}; the first error: "
            f"{self.first_error}"
        )


def explain(
    plans: VisitPlans,
    count: int,
    memory_bytes: int,
    ahead_bytes: int,
    errors: Errors = "raise",
) -> Explanation:
    """Simulate the epoch chip by chip, or its beginning, and total its cost.

    Args:
        plans: The visits from the first chip on.
        count: Number of chips of the epoch.
        memory_bytes: As for `Ledger`.
        ahead_bytes: As for `Ledger`.
        errors: `"skip"` counts the chips of items that cannot be opened.

    Raises:
        StacchipError: An item cannot be opened, unless `errors="skip"`.
    """
    ledger = Ledger(plans.visits, plans, memory_bytes, ahead_bytes)
    looked_at = min(count, _MOST_CHIPS)
    cost = _Cost()
    seen = _ItemsSeen(plans, errors)
    for position in range(looked_at):
        for step in ledger.advance(position):
            if isinstance(step, Load):
                seen.look_at(step.visit)
                cost.add(plans.take(step))
    held_bytes = seen.held_chips * seen.chip_bytes / max(seen.chips, 1)
    seconds = cost.seconds + seen.chip_bytes * _COPY_SECONDS + held_bytes * _STORE_SECONDS
    # visits are loaded ahead: the chips of those count, too
    begun = seen.chips + seen.unreadable_chips
    times = count / begun if begun else 0.0
    unreadable = round(seen.unreadable_chips * times)
    return Explanation(
        chips=count - unreadable,
        unreadable_chips=unreadable,
        requests=round(cost.requests * times),
        bytes=round(cost.fetched * times),
        blocks=round(cost.blocks.total() * times),
        distinct_blocks=round(len(cost.blocks) * times),
        decoded_bytes=round(cost.decoded * times),
        memory_bytes=ledger.peak_bytes,
        chips_per_s=seen.chips * core_count() / seconds if seconds else 0.0,
        gdal_files=cost.gdal_files,
        items=len(seen.readable),
        unreadable_items=tuple(seen.unreadable),
        first_error=next(iter(seen.unreadable.values()), None),
        looked_at=None if looked_at == count else looked_at,
        from_store=None if plans.store is None else round(seen.held_chips * times),
    )


def explain_store(
    filling: AreaFilling, course: Course, ahead_bytes: int, errors: Errors = "raise"
) -> Explanation:
    """Total the cost of an epoch that is one permutation of all chips, of which a store holds some.

    Args:
        filling: Reads the areas whose chips the store lacks.
        course: The batches, of one chip each.
        ahead_bytes: As for `Ledger`.
        errors: `"skip"` counts the chips of items that cannot be opened.

    Raises:
        StacchipError: An item cannot be opened, unless `errors="skip"`.
    """
    count, table = course.steps, filling.table
    looked_at = min(count, _MOST_CHIPS)
    batches = islice(course.read().batches(), looked_at)
    places = [place for batch in batches for place in batch.places]
    seen = _ItemsSeen(filling.plans([]), errors)
    lacking = [place.chip for place in places if not seen.holds(place)]
    areas = np.unique(table.area_of(np.array(lacking, np.int64)))
    # each area is read once: of a long epoch, all that have chips which the store lacks
    share = len(lacking) / max(seen.chips, 1)
    whole = len(areas) if looked_at == count else max(len(areas), round(len(table.group) * share))
    areas = areas[:_MOST_AREAS]
    filled = int((table.first[areas + 1] - table.first[areas]).sum())
    read = explain(filling.plans(areas.tolist()), filled, filling.memory_bytes, ahead_bytes, "skip")
    times = whole / len(areas) if len(areas) else 1.0
    scale = count / max(seen.chips + seen.unreadable_chips, 1)
    unreadable = round(seen.unreadable_chips * scale)
    seconds = filled * times / read.chips_per_s if read.chips_per_s else 0.0
    from_store_s = seen.chip_bytes * scale * (_COPY_SECONDS + _STORE_SECONDS) / core_count()
    seconds += from_store_s
    return Explanation(
        chips=count - unreadable,
        unreadable_chips=unreadable,
        requests=round(read.requests * times),
        bytes=round(read.bytes * times),
        blocks=round(read.blocks * times),
        distinct_blocks=round(read.distinct_blocks * times),
        decoded_bytes=round(read.decoded_bytes * times),
        memory_bytes=read.memory_bytes,
        chips_per_s=(count - unreadable) / seconds if seconds else 0.0,
        gdal_files=read.gdal_files,
        items=len(seen.readable),
        unreadable_items=tuple(seen.unreadable),
        first_error=next(iter(seen.unreadable.values()), None),
        looked_at=None if looked_at == count else looked_at,
        from_store=round((seen.chips - len(lacking)) * scale),
        fills_areas=True,
    )


@dataclass
class _Cost:
    """The cost of the blocks that were loaded so far.

    Attributes:
        blocks: How often each was decoded.
        requests: Number of ranges requested.
        fetched: Bytes of these ranges.
        decoded: Bytes of the decoded pixels.
        seconds: Seconds in which one core decodes them.
        gdal_files: Files that GDAL reads, and the reason, by href.
    """

    blocks: Counter[LayerBlock] = field(default_factory=Counter)
    requests: int = 0
    fetched: int = 0
    decoded: int = 0
    seconds: float = 0.0
    gdal_files: dict[str, str] = field(default_factory=dict)

    def add(self, found: Mapping[LayerBlock, Layer]) -> None:
        """Count blocks that are loaded together."""
        self.blocks.update(found.keys())
        ranges = _ranges(found)
        self.requests += len(ranges)
        self.fetched += sum(ranges)
        for block, layer in found.items():
            size = layer.block_bytes(block)
            self.decoded += size
            self.seconds += size * (decode_seconds(layer.header) if layer.header else 0)
            reader = layer.placed.reader
            if layer.header is None:
                self.gdal_files[reader.href] = reader.why_unsupported or ""


def _in_seconds(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _ranges(blocks: Mapping[LayerBlock, Layer]) -> list[int]:
    """Return the length of each request for these blocks."""
    addresses = [address_of(block, layer) for block, layer in blocks.items()]
    known = [address for address in addresses if address is not None]
    planned = plan_requests(known, on_error=lambda _addresses, _error: None)
    return [request.length for request in planned if request.length]


@dataclass
class _ItemsSeen:
    """The items of the visits so far.

    Attributes:
        plans: Opens them.
        errors: `"raise"` raises the error of an item that cannot be opened.
        chips: Number of chips that can be read.
        chip_bytes: Their bytes.
        unreadable_chips: Number of chips that cannot.
        readable: Platform and id of the items that were opened.
        unreadable: The errors of those that were not, by id.
        held_chips: Number of chips of which a store holds all.
    """

    plans: VisitPlans
    errors: Errors
    chips: int = 0
    chip_bytes: int = 0
    unreadable_chips: int = 0
    readable: set[tuple[str, str]] = field(default_factory=set)
    unreadable: dict[str, StacchipError] = field(default_factory=dict)
    held_chips: int = 0

    def look_at(self, visit: Visit) -> None:
        """Count the chips of a visit.

        Raises:
            StacchipError: Their item cannot be opened, and `errors` is `"raise"`.
        """
        if self._count(visit.group, len(visit.chips)) is not None and self.plans.store is not None:
            self.held_chips += len(visit.chips) - len(self.plans.lacking(visit))

    def holds(self, place: Place) -> bool:
        """Count a chip, and return True if the store holds it, or it cannot be read.

        Raises:
            StacchipError: Its item cannot be opened, and `errors` is `"raise"`.
        """
        item, store = self._count(place.group, 1), self.plans.store
        if item is None or store is None:
            return True
        key = self.plans.table.key(place.group, place.x, place.y)
        return not store.find([(key, item.opened)])[0].lacks

    def _count(self, number: int, count: int) -> ItemLayers | None:
        """Count chips of a group, and return their item; None if it cannot be opened."""
        group = self.plans.table.groups[number]
        try:
            item = self.plans.open(number)
        except StacchipError as error:
            if self.errors == "raise":
                raise
            forget_frames(error)
            self.unreadable_chips += count
            self.unreadable.setdefault(group.item_id, error)
            return None
        self.chips += count
        self.readable.add((group.platform, group.item_id))
        self.chip_bytes += count * len(item.bands) * group.chip_size**2 * item.dtype.itemsize
        return item
