"""Where the blocks of an image lie: packed bytes, and numbers once somebody asks for one.

Most headers of an index are never asked: an item has up to twenty files, and a model reads a few of
their bands. Two arrays of 64-bit numbers take 16 bytes a block; packed, most blocks take four.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BlockPlaces"]


@dataclass(frozen=True)
class BlockPlaces:
    """The place of each block in a file, [plane, row, column] flattened.

    Blocks mostly lie in a row with equal gaps. Then 16 bytes hold the starts of all blocks, and
    4 bytes per block hold its length.

    Attributes:
        packed_starts: The first start and the gaps that follow, int64; a single gap if all are
            equal.
        packed_lengths: The lengths, in 4 bytes per block, or in 8 if one does not fit.
        count: The number of blocks.

    Raises:
        ValueError: The bytes are not those of so many blocks.

    Example:
        >>> places = BlockPlaces.of(np.array([8, 100], np.uint64), np.array([92, 7], np.uint64))
        >>> places.offsets.tolist(), places.lengths.tolist()
        ([8, 100], [92, 7])
    """

    packed_starts: bytes = field(repr=False)
    packed_lengths: bytes = field(repr=False)
    count: int

    def __post_init__(self) -> None:
        count, raw = self.count, self.packed_lengths
        if len(raw) not in (4 * count, 8 * count):
            raise ValueError(f"a header has {count} blocks, and {len(raw)} bytes of their lengths")
        starts, rest = divmod(len(self.packed_starts), 8)
        if rest or starts not in (2, count):
            raise ValueError(f"a header has {count} blocks, and {starts} starts")

    @classmethod
    def of(cls, offsets: NDArray[np.uint64], lengths: NDArray[np.uint64]) -> BlockPlaces:
        """Return the places of blocks, given the first byte and the length in bytes of each."""
        starts = offsets.astype(np.int64)
        gaps = starts[1:] - starts[:-1] - lengths[:-1].astype(np.int64)
        is_even = len(gaps) > 1 and bool((gaps == gaps[0]).all())
        fits = not len(lengths) or int(lengths.max()) < 2**32
        return cls(
            np.append(starts[:1], gaps[:1] if is_even else gaps).astype("<i8").tobytes(),
            lengths.astype("<u4" if fits else "<u8").tobytes(),
            len(lengths),
        )

    @cached_property
    def offsets(self) -> NDArray[np.uint64]:
        """First byte of each block."""
        values = np.frombuffer(self.packed_starts, "<i8")
        starts = np.empty(self.count, np.int64)
        starts[:1] = values[:1]
        np.add(self.lengths[:-1].view(np.int64), values[1:], out=starts[1:])
        return starts.cumsum(out=starts).view(np.uint64)

    @cached_property
    def lengths(self) -> NDArray[np.uint64]:
        """Length of each block in bytes."""
        size = len(self.packed_lengths) // max(1, self.count)
        return np.frombuffer(self.packed_lengths, f"<u{size or 4}").astype(np.uint64)
