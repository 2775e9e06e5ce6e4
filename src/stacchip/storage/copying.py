"""Copies: inside a bucket by the store, else in parts, so that none is in memory as a whole."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

from stacchip.errors import StorageError
from stacchip.runtime.concurrently import stream_concurrently
from stacchip.storage.transports import objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stacchip.storage.href import Location
    from stacchip.storage.identity import Blob
    from stacchip.storage.ranges import RangeReader
    from stacchip.storage.requester import Requester

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


def map_file(path: Path) -> memoryview:
    """Return the bytes of a local file, which are read as they are needed."""
    with path.open("rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            return memoryview(b"")  # nothing cannot be mapped
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def copy_inside(requester: Requester, origin: Location, place: Location) -> bool:
    """Let the store copy within a bucket; False if it did not (S3: an object of more than 5 GiB).

    obstore copies within a bucket, in every kind of store. Copies from one bucket into another
    need boto3, and S3: see `storage.s3.server_copy`.
    """
    if origin.scheme == "http" or not _is_one_bucket(requester, origin, place):
        return False
    try:
        requester.ask_store(origin, lambda store: objects.copy(store, origin, place), mode="put")
    except StorageError as error:
        if error.status != 400:
            raise
        return False
    return True


def _is_one_bucket(requester: Requester, origin: Location, place: Location) -> bool:
    here = (origin.scheme, origin.root, origin.account)
    there = (place.scheme, place.root, place.account)
    return here == there and requester.options_for(origin) == requester.options_for(place)
