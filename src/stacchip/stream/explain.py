"""The cost of an epoch, computed before it is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stacchip.errors import StacchipError
from stacchip.raster.fetch import plan_requests
from stacchip.runtime.pools import core_count
from stacchip.stream.plan.ledger import Ledger, Load
from stacchip.stream.read.decode_speed import decode_seconds
from stacchip.stream.read.loading import address_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.stream.plan.ledger import LayerBlock
    from stacchip.stream.read.layers import Layer
    from stacchip.stream.read.reading import VisitPlans

# seconds in which one core copies a byte of a chip out of its blocks (measured: 180 us for 11 bands
# of 256 px in 16 bits, of which seven have twice the pixel size)
_COPY_SECONDS = 1.3e-10


@dataclass(frozen=True)
class Explanation:
    """The cost of an epoch of a stream, if no cache holds any of its blocks.

    Attributes:
        chips: Number of chips delivered.
        unreadable_chips: Number of chips whose items cannot be opened.
        requests: Number of ranges requested from stores, without retries. Files that GDAL reads
            take more.
        bytes: Total size of these ranges.
        blocks: Number of blocks decoded.
        distinct_blocks: Number of different blocks among them.
        decoded_bytes: Total size of the decoded pixels.
        memory_bytes: The most that decoded blocks take at the same time.
        chips_per_s: Approximate number of chips that this machine's cores decode and copy in a
            second; a slow store may deliver fewer.
        gdal_files: Files that GDAL reads, and the reason, by href.
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

    @property
    def repeat_factor(self) -> float:
        """Average number of times that a block is decoded: 1 if each is decoded once."""
        return self.blocks / self.distinct_blocks if self.distinct_blocks else 1.0

    def __str__(self) -> str:
        return (
            f"{self.chips} chips: {self.requests} requests, {self.bytes / 1e6:.0f} MB; "
            f"{self.blocks} blocks decoded ({self.repeat_factor:.2f} times each), "
            f"{self.decoded_bytes / 1e6:.0f} MB, {self.memory_bytes / 1e6:.0f} MB at once; "
            f"about {self.chips_per_s:.0f} chips/s"
        )


def explain(plans: VisitPlans, memory_bytes: int, ahead_bytes: int) -> Explanation:
    """Simulate the epoch chip by chip, and total its cost."""
    visits = plans.visits
    ledger = Ledger(visits, plans, memory_bytes, ahead_bytes)
    times: Counter[LayerBlock] = Counter()
    requests = fetched = decoded = unreadable = copied = 0
    seconds = 0.0
    gdal_files: dict[str, str] = {}
    for position in range(len(visits.rows)):
        for step in ledger.advance(position):
            if not isinstance(step, Load):
                continue
            found = plans.take(step)
            lost, kept = _look_at_item(plans, step.visit)
            unreadable, copied = unreadable + lost, copied + kept
            times.update(found.keys())
            ranges = _ranges(found)
            requests += len(ranges)
            fetched += sum(ranges)
            for block, layer in found.items():
                size = layer.block_bytes(block)
                decoded += size
                seconds += size * (decode_seconds(layer.header) if layer.header else 0)
                reader = layer.placed.reader
                if layer.header is None:
                    gdal_files[reader.href] = reader.why_unsupported or ""
    seconds += copied * _COPY_SECONDS
    chips = len(visits.rows) - unreadable
    return Explanation(
        chips=chips,
        unreadable_chips=unreadable,
        requests=requests,
        bytes=fetched,
        blocks=times.total(),
        distinct_blocks=len(times),
        decoded_bytes=decoded,
        memory_bytes=ledger.peak_bytes,
        chips_per_s=chips * core_count() / seconds if seconds else 0.0,
        gdal_files=gdal_files,
    )


def _ranges(blocks: Mapping[LayerBlock, Layer]) -> list[int]:
    """Return the length of each request for these blocks."""
    addresses = [address_of(block, layer) for block, layer in blocks.items()]
    known = [address for address in addresses if address is not None]
    planned = plan_requests(known, on_error=lambda _addresses, _error: None)
    return [request.length for request in planned if request.length]


def _look_at_item(plans: VisitPlans, visit: int) -> tuple[int, int]:
    """Return the number of a visit's chips that cannot be read, and the others' bytes."""
    rows = plans.visits.rows_of(visit)
    try:
        item = plans.open(int(rows[0]))
    except StacchipError:
        return len(rows), 0
    size = plans.chips.window(int(rows[0])).height
    return 0, len(rows) * len(item.bands) * size * size * item.dtype.itemsize
