"""Read objects in parts, so that a copy never holds a whole object in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.runtime.concurrently import stream_concurrently

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stacchip.storage.identity import Blob
    from stacchip.storage.ranges import RangeReader

PART = 8 * 1024 * 1024
PARTS_AHEAD = 3


def read_parts(
    reader: RangeReader, href: str, first: Blob, size_bytes: int
) -> Iterator[memoryview]:
    """Yield a whole object in parts; the next few are fetched while one is used.

    Args:
        reader: Reads the object.
        href: The object.
        first: Its first part; every later part must be of the same version.
        size_bytes: The object's size.
    """

    def read_part(start: int) -> memoryview:
        length = min(PART, size_bytes - start)
        return memoryview(reader.read_range(href, start, length, expect=first.identity).data)

    yield memoryview(first.data)
    starts = range(len(first.data), size_bytes, PART)
    yield from stream_concurrently(read_part, starts, ahead=PARTS_AHEAD)


def read_file_parts(path: Path) -> Iterator[bytes]:
    """Yield a local file in parts."""
    with path.open("rb") as stream:
        while part := stream.read(PART):
            yield part
