"""Which requests fetch blocks: near blocks of one file joined, impossible ones refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stacchip.errors import CorruptBlock, LimitExceeded
from stacchip.raster.blocks import Block, block_number, stored_rows
from stacchip.raster.cache import Caches, block_key
from stacchip.raster.codecs import most_encoded, why_impossible
from stacchip.raster.header import MISSING
from stacchip.storage import local_path, redact
from stacchip.storage.ranges import join_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.raster.cache import DiskCache
    from stacchip.raster.header import Header
    from stacchip.storage import Limits, Storage

    OnError = Callable[[Sequence["BlockAddress"], Exception], None]

# Blocks in a row are fetched in one request. More bytes than this are fetched in several, so that
# decoding begins before all of them have arrived.
LARGEST_JOIN: Final = 4 << 20
# Between the blocks of a COG lie 8 bytes (leader and trailer); any gap this short is fetched too.
_LARGEST_GAP: Final = 16 << 10

NO_CACHES: Final = Caches()


@dataclass(frozen=True, slots=True)
class BlockAddress:
    """One block of one file, for `start_fetching`.

    Attributes:
        storage: Reads the file's bytes.
        href: The file.
        header: Its header.
        block: The block.
        caches: Keep blocks of the file.
        limits: What the block may take; None for a header that is trusted.
    """

    storage: Storage
    href: str
    header: Header
    block: Block
    caches: Caches = NO_CACHES
    limits: Limits | None = None

    @property
    def on_disk(self) -> DiskCache | None:
        """The cache of the block's bytes; None if there is none, or if the file is local."""
        disk = self.caches.encoded
        return None if disk is None or local_path(self.href) else disk


def is_kept(address: BlockAddress) -> bool:
    """Return whether the block's bytes are in the cache on disk at this moment."""
    disk = address.on_disk
    return disk is not None and disk.has(block_key(address.href, address.header, address.block))


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """One range of one file, and the blocks in it as (address, first byte, last byte + 1)."""

    storage: Storage
    href: str
    header: Header
    start: int
    length: int
    members: list[tuple[BlockAddress, int, int]]


def plan_requests(
    addresses: Sequence[BlockAddress], *, on_error: OnError | None = None
) -> list[BlockRequest]:
    """Plan the requests for these blocks: near ones of one file joined, sparse ones of length 0.

    Raises:
        CorruptBlock: A header places a block outside its file, lacks it, or says of its length what
            cannot be; and there is no `on_error`.
        LimitExceeded: A block is larger than `Limits.block_bytes`, and there is no `on_error`.
    """
    files: dict[tuple[int, str], list[tuple[BlockAddress, tuple[int, int]]]] = {}
    for address in addresses:
        try:
            span = span_of(address)
        except (CorruptBlock, LimitExceeded) as error:
            if on_error is None:
                raise
            on_error([address], error)
        else:
            files.setdefault((id(address.storage), address.href), []).append((address, span))
    requests = []
    for found in files.values():
        members, ranges = [address for address, _ in found], [span for _, span in found]
        first = members[0]
        sparse = [(m, 0, 0) for m, (_, length) in zip(members, ranges, strict=True) if not length]
        if sparse:
            requests.append(BlockRequest(first.storage, first.href, first.header, 0, 0, sparse))
        for join in join_ranges(ranges, largest_gap=_LARGEST_GAP, largest_join=LARGEST_JOIN):
            inside = [
                (members[i], ranges[i][0] - join.start, ranges[i][0] - join.start + ranges[i][1])
                for i in join.members
            ]
            place = (first.storage, first.href, first.header, join.start, join.length)
            requests.append(BlockRequest(*place, inside))
    return requests


def span_of(address: BlockAddress) -> tuple[int, int]:
    """Return (start, length) of a block in its file, and refuse one that no sound file has.

    Raises:
        CorruptBlock: The header lacks the block, places it outside the file, or gives it a length
            that does not fit its pixels.
        LimitExceeded: It is larger than `Limits.block_bytes`.
    """
    header = address.header
    number = block_number(header, address.block)
    start, length = int(header.block_offsets[number]), int(header.block_lengths[number])
    size = header.identity.size_bytes
    if length and start + length > (MISSING if size is None else size):
        raise _corrupt(
            address,
            "is absent from the file's table of blocks, which is too short for the image. Fetch or "
            "write it again."
            if start == MISSING
            else f"is said to lie at bytes {start} to {start + length}, but the file has {size}: "
            "it is cut off. Fetch it again.",
        )
    if address.limits is None:
        return start, length
    whole = header.block_shape[0] * header.row_bytes
    if length > most_encoded(header.compression, whole):
        raise _corrupt(
            address,
            f"is said to take {length} bytes in the file, but has only {whole} decoded. "
            "Fetch or write it again.",
        )
    size = stored_rows(header, address.block) * header.row_bytes
    why = why_impossible(header.compression, length, size) if length else None
    if why is not None:
        raise _corrupt(address, f"cannot be decoded: {why}. Fetch the file again.")
    most = max(header.block_bytes, length)
    if most > address.limits.block_bytes:
        shown = f"Block {tuple(address.block)} (band, row, column) of {redact(address.href)}"
        what = f"{shown} takes {most} bytes"
        raise address.limits.exceeded("block_bytes", what, href=redact(address.href))
    return start, length


def _corrupt(address: BlockAddress, what: str) -> CorruptBlock:
    """Return the error for a block of which the header says something impossible."""
    where, href = tuple(address.block), redact(address.href)
    return CorruptBlock(
        f"Block {where} (band, row, column) of {href} {what}", href=href, block=where
    )
