"""Ranges of bytes: an interface for reading them, and which to fetch together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.storage.identity import Blob, Identity

# A gap of 16 KiB costs less to fetch (0.2 ms at 100 MB/s) than another request does.
LARGEST_GAP = 16 * 1024
# One connection to an object store carries 50 to 100 MB/s: larger ranges arrive sooner in parts.
LARGEST_JOIN = 8 * 1024 * 1024


class RangeReader(Protocol):
    """Reads objects by href, whole or in part: the side of `Storage` that remote files need."""

    def stat(self, href: str, /) -> Identity:
        """Return the identity of an object."""

    def read_blob(self, href: str, /) -> Blob:
        """Read a whole object."""

    def read_range(
        self, href: str, start: int, length: int, /, *, expect: Identity | None = None
    ) -> Blob:
        """Read `length` bytes from `start`, or fewer if the object ends sooner."""

    def read_end(self, href: str, length: int, /) -> Blob:
        """Read the last `length` bytes, or all of a shorter object."""

    def read_ranges(
        self, href: str, ranges: Sequence[tuple[int, int]], /, *, expect: Identity | None = None
    ) -> Sequence[bytes | memoryview]:
        """Read several (start, length) ranges, near ones together."""


@dataclass(frozen=True)
class Join:
    """One request that serves several ranges.

    Attributes:
        start: Offset of the first byte.
        length: Bytes to fetch.
        members: Positions of the ranges that it serves, in the sequence requested.
    """

    start: int
    length: int
    members: tuple[int, ...]


def join_ranges(
    ranges: Sequence[tuple[int, int]],
    *,
    largest_gap: int = LARGEST_GAP,
    largest_join: int = LARGEST_JOIN,
) -> list[Join]:
    """Join ranges that touch, overlap, or lie close together.

    Args:
        ranges: (start, length) in any order; empty ones are left out.
        largest_gap: The most unneeded bytes to fetch between two ranges.
        largest_join: The most bytes of one request, unless a single range is longer.

    Example:
        >>> join_ranges([(100, 50), (0, 100), (10**6, 5)])
        [Join(start=0, length=150, members=(1, 0)), Join(start=1000000, length=5, members=(2,))]
    """
    order = sorted((i for i, r in enumerate(ranges) if r[1] > 0), key=lambda i: ranges[i])
    joins: list[Join] = []
    members: list[int] = []
    start = end = 0
    for i in order:
        low, high = ranges[i][0], ranges[i][0] + ranges[i][1]
        if members and low - end <= largest_gap and max(end, high) - start <= largest_join:
            members.append(i)
            end = max(end, high)
            continue
        if members:
            joins.append(Join(start, end - start, tuple(members)))
        members, start, end = [i], low, high
    if members:
        joins.append(Join(start, end - start, tuple(members)))
    return joins


def split_joins(
    ranges: Sequence[tuple[int, int]], joins: Sequence[Join], parts: Sequence[bytes | memoryview]
) -> list[bytes | memoryview]:
    """Return the bytes of each range, cut out of the parts that were fetched for all.

    Args:
        ranges: (start, length), as `join_ranges` took them.
        joins: What it returned.
        parts: The bytes of each join; they may be cut off by the end of the object.

    Example:
        >>> ranges = [(4, 2), (0, 3)]
        >>> [bytes(part) for part in split_joins(ranges, join_ranges(ranges), [b"abcdef"])]
        [b'ef', b'abc']
    """
    found: list[bytes | memoryview] = [b""] * len(ranges)
    for join, data in zip(joins, parts, strict=True):
        if len(join.members) == 1 and ranges[join.members[0]] == (join.start, join.length):
            found[join.members[0]] = data
            continue
        view = memoryview(data)
        for i in join.members:
            offset = ranges[i][0] - join.start
            found[i] = view[offset : offset + ranges[i][1]]
    return found
