"""Texts stored as differences: their streams of lengths, walked before pyarrow decodes them.

A text of DELTA_BYTE_ARRAY is the beginning of the one before, whose length is stored, and an end
that is stored. A few bytes may stand for gigabytes: a million times the whole of a long text. And a
stream says itself how many lengths it has, for all of which pyarrow takes memory. (The source of
the format is "Delta Encoding" in Apache Parquet's Encodings.md.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.parquet.thrift import read_integer, read_unsigned

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_lengths", "repeated_bytes"]

_MOST_BITS: Final = 32  # of a difference of two lengths
_LARGEST: Final = 4096  # values of a miniblock; writers have 32 or 64
_AT_ONCE: Final = 1 << 17  # values


def check_lengths(data: bytes, values: int) -> None:
    """Check the values of a page of DELTA_LENGTH_BYTE_ARRAY: that it has no more lengths than said.

    Args:
        data: The values as they are stored.
        values: How many there are at most.

    Raises:
        ValueError: There are more lengths, or they are broken.
        IndexError: The values end early.
    """
    _read_head(data, 0, values)


def repeated_bytes(data: bytes, values: int) -> int:
    """Return the bytes that texts of a page of DELTA_BYTE_ARRAY take over from those before.

    Args:
        data: The values as they are stored.
        values: How many there are at most.

    Raises:
        ValueError: There are more lengths, or they are broken.
        IndexError: The values end early.

    Example:
        >>> lengths = bytes([128, 1, 4, 3, 0, 6, 0, 0, 0, 0])  # 0, 3 and 6
        >>> ends = bytes([128, 1, 4, 3, 6, 0, 0, 0, 0, 0])  # 3, 3 and 3
        >>> repeated_bytes(lengths + ends + b"abcdefghi", 3)
        9
    """
    total, at = _sum(data, values)
    _read_head(data, at, values)
    return total


def _sum(data: bytes, values: int) -> tuple[int, int]:
    """Return the sum of the lengths of a stream, and the place behind it."""
    blocks, per, left, last, at = _read_head(data, 0, values)
    total = last if left else 0
    left -= 1
    taken: list[tuple[int, int, int]] = []  # of each miniblock: place, bits, least difference
    while left > 0:
        least, at = read_integer(data, at)
        widths = data[at : at + blocks]
        at += len(widths)
        for bits in widths:
            if bits > _MOST_BITS:
                raise ValueError("lengths of texts are broken")
            taken.append((at, bits, least & 0xFFFFFFFF))
            at += per * bits // 8
            left -= per
            if left <= 0:
                break  # the other miniblocks have no bytes, whatever their widths
        if len(widths) < blocks or at > len(data):
            raise ValueError("lengths of texts are broken")
        if left <= 0 or len(taken) * per >= _AT_ONCE:
            lengths = _decode(data, taken, per, last)[: len(taken) * per + min(left, 0)]
            if lengths.min() < 0:
                raise ValueError("a text has a length below 0")
            total += int(lengths.sum(dtype=np.int64))
            last = int(lengths[-1])
            taken = []
    return total, at


def _decode(
    data: bytes, taken: list[tuple[int, int, int]], per: int, last: int
) -> NDArray[np.int32]:
    """Return the lengths of miniblocks; as in pyarrow, they wrap around at 32 bits."""
    raw = np.frombuffer(data, np.uint8)
    places, widths, least = (np.array(each, np.int64) for each in zip(*taken, strict=True))
    deltas = np.zeros((len(taken), per), np.uint32)
    for bits in np.unique(widths):
        if not bits:
            continue
        chosen = widths == bits
        packed = raw[places[chosen, None] + np.arange(per * bits // 8)]
        each = np.unpackbits(packed, axis=1, bitorder="little").reshape(-1, per, bits)
        wide = np.zeros((*each.shape[:2], _MOST_BITS), np.uint8)
        wide[..., :bits] = each
        deltas[chosen] = np.packbits(wide, axis=-1, bitorder="little").view("<u4")[..., 0]
    deltas += least[:, None].astype(np.uint32)
    sums = np.cumsum(deltas, dtype=np.uint32)
    return (sums + np.uint32(last)).view(np.int32)


def _read_head(data: bytes, at: int, values: int) -> tuple[int, int, int, int, int]:
    """Return miniblocks of a block, values of one, all values, the first, and the place behind."""
    block, at = read_unsigned(data, at)
    blocks, at = read_unsigned(data, at)
    count, at = read_unsigned(data, at)
    first, at = read_integer(data, at)
    if not 0 < blocks <= block or block % blocks or block // blocks % 32:
        raise ValueError("lengths of texts are in odd blocks")
    if block // blocks > _LARGEST or count > values or not 0 <= first < 1 << 31:
        raise ValueError(f"a page has {count} lengths for {values} texts")
    return blocks, block // blocks, count, first, at
