"""The pages of a parquet file, looked at before pyarrow decodes them.

The header of a page says how large the page is, how many values it has, and how they are encoded.
A few bytes may stand for more than memory holds: a page of zeros, a million times one long text of
a dictionary. And no checksum of parquet covers the header. So the headers of what is to be read are
read here first: they are compared with the file's seal, and with the limits.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from stacchip.parquet.deltas import check_lengths, repeated_bytes
from stacchip.parquet.thrift import I32, Wanted, read_struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stacchip.parquet.columns import Column
    from stacchip.parquet.row_groups import Chunk

    ReadAt = Callable[[int, int], bytes]

__all__ = [
    "DICTIONARY",
    "DICTIONARY_ENCODINGS",
    "decoded_bytes",
    "delta_bytes",
    "header_checksum",
    "iterate_pages",
    "longest_text",
]

DICTIONARY: Final = 2
"""The kind of a page that has the values to which indices in other pages lead."""
DICTIONARY_ENCODINGS: Final = (2, 8)
# encodings of texts: their lengths as differences; and the beginnings that they share, too
_DELTA_BYTES: Final = 7
_DELTAS: Final = (6, _DELTA_BYTES)
_RUNS: Final = 3  # the encoding of levels
_DATA: Final = 0
_DATA_2: Final = 3
_USUAL: Final = 256  # bytes that most headers fit in
_LARGEST: Final = 1 << 20  # of a header: it may hold the smallest and the largest value
_MOST_PAGES: Final = 100_000  # of one column chunk
_WHOLE: Final = 1 << 16  # a smaller chunk is read at once
_CODEC_NAMES: Final = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_MARK: Final = 2  # bytes
_MANY: Final = 64 << 20  # bytes from which a dictionary is looked into; larger pages are not
_FACTS: Final[Wanted] = {
    1: I32, 2: I32, 3: I32, 5: dict.fromkeys((1, 2, 3, 4), I32), 7: dict.fromkeys((1, 2), I32),
    8: {**dict.fromkeys((1, 4, 5, 6), I32), 7: None},
}  # fmt: skip
_SCRATCH: Final = 24  # bytes that pyarrow takes for a text that is stored as a difference


class Page(NamedTuple):
    """A page, as its header says.

    Attributes:
        kind: 0 or 3: values; 1: an index; 2: a dictionary.
        header: The bytes of its header.
        start: The first byte behind the header.
        length: Bytes stored.
        unpacked: Bytes once decompressed.
        values: Number of values.
        encoding: How they are encoded.
        levels: The bytes in front of them that say which are null; None if these begin with their
            own length, and belong to what is compressed.
        level_encodings: How levels that begin with their own length are encoded: those that say
            which values are null, and those that say which are of one row.
        is_packed: False if they are not compressed, whatever the codec.
    """

    kind: int
    header: bytes
    start: int
    length: int
    unpacked: int
    values: int
    encoding: int
    levels: int | None
    level_encodings: tuple[int | None, int | None]
    is_packed: bool


def iterate_pages(read_at: ReadAt, chunk: Chunk) -> Iterator[Page]:
    """Yield the pages of a column chunk.

    Raises:
        ValueError: A header is broken, or the pages do not fill the chunk.
    """
    if not chunk.values:  # writers do not agree where its pages begin
        return
    at, end = chunk.start, chunk.start + chunk.length
    whole = read_at(at, chunk.length) if chunk.length <= _WHOLE else None
    for _ in range(_MOST_PAGES):
        if at == end:
            return
        if whole is None:
            page = _read_page(read_at, at, end)
        else:
            page = _parse_page(whole, at - chunk.start, at)
        yield page
        at = page.start + page.length
        if at > end:
            raise ValueError("a page reaches beyond its column")
    if at != end:
        raise ValueError(f"a column has more than {_MOST_PAGES} pages")


def _read_page(read_at: ReadAt, at: int, end: int) -> Page:
    length = _USUAL
    while True:
        data = read_at(at, min(length, end - at))
        try:
            return _parse_page(data, 0, at)
        except IndexError:
            if length >= min(_LARGEST, end - at):
                raise ValueError("a page has no header") from None
        length *= 16


def _parse_page(data: bytes, place: int, at: int) -> Page:
    """Return the page whose header begins at a place of `data`, which is `at` in the file."""
    fields, behind = read_struct(data, place, wanted=_FACTS)
    kind, unpacked, length = fields[1], fields[2], fields[3]
    facts = fields.get({_DATA: 5, DICTIONARY: 7, _DATA_2: 8}.get(kind, 0), {})
    if kind in (_DATA, DICTIONARY, _DATA_2):
        values, encoding = facts[1], facts[4 if kind == _DATA_2 else 2]
    else:
        values = encoding = 0
    levels = facts.get(5, 0) + facts.get(6, 0) if kind == _DATA_2 else None
    if min(unpacked, length, values) < 0 or not 0 <= (levels or 0) <= min(unpacked, length):
        raise ValueError("the size of a page is negative")
    start = at + behind - place
    is_packed = facts.get(7, True) if kind == _DATA_2 else True
    if not isinstance(is_packed, bool):
        raise TypeError("a boolean of a page is of another type")
    header = data[place:behind]
    how = facts.get(3), facts.get(4)
    return Page(kind, header, start, length, unpacked, values, encoding, levels, how, is_packed)


def header_checksum(read_at: ReadAt, chunk: Chunk) -> int:
    """Return the CRC-32 of the headers of a chunk's pages.

    Raises:
        ValueError: A header is broken.
    """
    checksum = 0
    for page in iterate_pages(read_at, chunk):
        checksum = zlib.crc32(page.header, checksum)
    return checksum


def decoded_bytes(read_at: ReadAt, chunk: Chunk, column: Column) -> tuple[int, int]:
    """Return how many bytes the values of a chunk take at most, and its `header_checksum`.

    Raises:
        ValueError: A header is broken, or the pages do not have the chunk's values.
    """
    checksum = values = plain = dictionary_bytes = largest = scratch = 0
    dictionary: Page | None = None
    for page in iterate_pages(read_at, chunk):
        checksum = zlib.crc32(page.header, checksum)
        largest = max(largest, page.unpacked)
        if page.kind == DICTIONARY:
            dictionary = page
            continue
        values += page.values
        repeated, held = delta_bytes(read_at, page, chunk, column)
        plain += page.unpacked + repeated
        scratch = max(scratch, held)
        if page.encoding in DICTIONARY_ENCODINGS:
            dictionary_bytes += page.values
    if values != chunk.values:
        raise ValueError(f"a column has {values} of {chunk.values} values")
    if column.width:
        # a page is unpacked before its values are taken; each is marked as there or null
        return values * (column.width + _MARK) + largest, checksum
    longest = 0
    if dictionary is not None:
        longest = longest_text(read_at, dictionary, chunk, dictionary_bytes)
        plain += dictionary.unpacked
    return plain + 4 * values + longest * dictionary_bytes + scratch, checksum


def longest_text(read_at: ReadAt, page: Page, chunk: Chunk, values: int) -> int:
    """Return the most bytes that a text of a dictionary has; it is looked into if that matters.

    Args:
        read_at: Returns bytes of the file, from a start, of a length.
        page: The dictionary.
        chunk: The column chunk that it belongs to.
        values: The number of values that may be the longest.

    Raises:
        ValueError: The page is broken.
    """
    if page.unpacked * values <= _MANY:
        return page.unpacked
    data = _unpack(read_at, page, chunk)
    if data is None:
        return page.unpacked
    first = int.from_bytes(data[:4], "little")
    if data and page.values * (4 + first) == len(data):  # all of one length, perhaps, as ids are
        lengths = np.frombuffer(data, np.uint8).reshape(page.values, -1)[:, :4]
        if (lengths == lengths[0]).all():
            return min(first, page.unpacked)
    at = longest = 0
    for _ in range(page.values):
        length = int.from_bytes(data[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
        if at >= len(data):
            break
    return min(longest, page.unpacked)


def delta_bytes(read_at: ReadAt, page: Page, chunk: Chunk, column: Column) -> tuple[int, int]:
    """Return what a page whose texts are differences takes besides its own bytes; else (0, 0).

    Args:
        read_at: Returns bytes of the file, from a start, of a length.
        page: The page.
        chunk: The column chunk that it belongs to.
        column: The chunk's column.

    Returns:
        The bytes that texts share with those before, and the bytes that pyarrow takes only while it
        decodes the page.

    Raises:
        ValueError: The page is broken, or cannot be looked into.
    """
    if page.encoding not in _DELTAS or not page.values:
        return 0, 0
    # levels that a column lacks may have any encoding: parquet-mr says an old one
    has_levels = (column.is_optional, column.is_repeated) if page.levels is None else ()
    for there, encoding in zip(has_levels, page.level_encodings, strict=False):
        if there and encoding != _RUNS:
            raise ValueError("a page has levels of an old encoding")
    data = _unpack(read_at, page, chunk)
    if data is None:
        raise ValueError("its texts are differences, in pages too large or in an old compression")
    for _ in range(sum(has_levels)):
        data = data[4 + int.from_bytes(data[:4], "little") :]
    repeated = 0
    try:
        if page.encoding == _DELTA_BYTES:
            repeated = repeated_bytes(data, page.values)
        else:
            check_lengths(data, page.values)
    except IndexError as error:
        raise ValueError("a page ends early") from error
    return repeated, repeated + page.values * _SCRATCH


def _unpack(read_at: ReadAt, page: Page, chunk: Chunk) -> bytes | None:
    """Return the values of a page; None if it is large, or compressed by a method of old times."""
    if page.unpacked > _MANY or chunk.codec not in (0, *_CODEC_NAMES):
        return None
    levels = page.levels or 0
    data = read_at(page.start + levels, page.length - levels)
    if not chunk.codec or not page.is_packed:
        return data
    packed = pa.Codec(_CODEC_NAMES[chunk.codec])
    return bytes(packed.decompress(data, page.unpacked - levels, asbytes=True))
