"""Row groups of a footer as Arrow's writers lay them out, thousands of columns at a time.

The module `thrift` reads any struct, field by field, in 20 us for a column of a row group. An index
of 10^8 chips has 44,000 of them. Here, a regular expression finds the fields of one in the order in
which Arrow writes them, and numpy decodes the numbers of all. Whatever looks otherwise is left to
`thrift`, which also says what is wrong with it.

The expression can be believed: each field begins in a way of its own and says its length, so that
there is one way to read the bytes, which is that of Thrift.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.parquet.footer import Column

__all__ = ["UsualGroups", "find_usual_groups"]

_AT_ONCE: Final = 5_000  # columns, of a kilobyte each
_LONGEST_TEXT: Final = 255
_LONGEST_NUMBER: Final = 9  # bytes of 63 bits
_MANY: Final = 15  # elements of a list, whose number does not fit beside their type
_STRUCT: Final = 12
_TEXT: Final = 8
# The groups of the expression for a column: its codec, number of values, bytes unpacked and packed,
# and place; the place of its dictionary, in two ways; where its statistics begin, and those of its
# sizes.
_NUMBERS, _DICTIONARY, _PLACES = range(1, 6), (6, 8), (7, 9)


class UsualGroups(NamedTuple):
    """What the row groups of a footer say of themselves.

    Attributes:
        rows: The number of rows of each.
        chunks: Of each row group and column: first byte, bytes stored, bytes unpacked, number of
            values, codec, and where statistics and statistics of sizes begin, -1 without any.
        end: The place behind the last one.
    """

    rows: NDArray[np.int64]
    chunks: NDArray[np.int64]
    end: int


def find_usual_groups(
    data: bytes, at: int, count: int, columns: Sequence[Column]
) -> UsualGroups | None:
    """Return the row groups of a footer; None if one of them is laid out in another way.

    Their numbers are not checked, but for those of the columns.

    Args:
        data: The bytes of the footer.
        at: Where the first row group begins.
        count: The number of row groups.
        columns: The leaves of the schema.
    """
    find_begin, find_chunk, find_tail = (
        re.compile(each, re.DOTALL).match for each in _expressions()
    )
    if any(len(column.path) >= _MANY for column in columns):
        return None
    head = _head_of_list(len(columns))
    wanted = [(bytes([2 * column.kind]), _path(column)) for column in columns]
    padded = np.frombuffer(data + bytes(_LONGEST_NUMBER), np.uint8)
    rows, chunks = [], []
    at_once = max(1, _AT_ONCE // len(columns))
    for first in range(0, count, at_once):
        spans, tails = [], []
        for _ in range(min(at_once, count - first)):
            if not data.startswith(head, at):
                return None
            at += len(head)
            for kind, path in wanted:
                begin = find_begin(data, at)
                if begin is None or begin[1] != kind or not data.startswith(path, begin.end()):
                    return None
                found = find_chunk(data, begin.end() + len(path))
                if found is None:
                    return None
                spans.append(found.regs)
                at = found.end()
            found = find_tail(data, at)
            if found is None:
                return None
            tails.append(found.regs)
            at = found.end()
        rows.append(_decode(padded, _spans(tails, 2)[:, 1]))
        chunks.append(_chunks(padded, spans).reshape(len(tails), len(columns), -1))
    return UsualGroups(np.concatenate(rows), np.concatenate(chunks), at)


def _chunks(
    padded: NDArray[np.uint8], spans: Sequence[Sequence[tuple[int, int]]]
) -> NDArray[np.int64]:
    """Return what is known of some columns, by where the numbers lie."""
    found = _spans(spans, _PLACES[-1] + 1)
    codec, values, unpacked, packed, start = (
        _decode(padded, found[:, group]) for group in _NUMBERS
    )
    dictionary = sum(_decode(padded, found[:, group]) for group in _DICTIONARY)
    # a place before the file stays one, and 0 is none
    start = np.where((dictionary != 0) & (dictionary < start), dictionary, start)
    places = [found[:, group, 0] for group in _PLACES]
    return np.stack([start, packed, unpacked, values, codec, *places], axis=1)


def _spans(matches: Sequence[Sequence[tuple[int, int]]], groups: int) -> NDArray[np.int64]:
    """Return where each group of each match begins and ends; -1 where it has no part in it."""
    flat = chain.from_iterable(chain.from_iterable(matches))
    return np.fromiter(flat, np.int64, len(matches) * groups * 2).reshape(-1, groups, 2)


def _decode(padded: NDArray[np.uint8], spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers at some places; 0 where there is none."""
    start, stop = np.maximum(spans, 0).T
    values = np.zeros(len(spans), np.uint64)
    for byte in range(int((stop - start).max(initial=0))):
        part = (padded[start + byte] & 127).astype(np.uint64) << np.uint64(7 * byte)
        values |= np.where(start + byte < stop, part, np.uint64(0))
    return (values >> np.uint64(1)).view(np.int64) ^ -(values & np.uint64(1)).view(np.int64)


def _head_of_list(count: int) -> bytes:
    """Return how a row group begins: with a list of so many columns."""
    if count < _MANY:
        return bytes([0x19, count << 4 | _STRUCT])
    return bytes([0x19, _MANY << 4 | _STRUCT]) + _unsigned(count)


def _path(column: Column) -> bytes:
    names = b"".join(_unsigned(len(name)) + name for name in column.path)
    return bytes([len(column.path) << 4 | _TEXT]) + names


def _unsigned(value: int) -> bytes:
    """Return a number as Thrift writes it."""
    written = b""
    while value > 127:
        written += bytes([value & 127 | 128])
        value >>= 7
    return written + bytes([value])


@cache
def _expressions() -> tuple[bytes, bytes, bytes]:
    """Return what a column looks like up to its path, and from there; and what follows the last."""

    def heads(*kinds: int) -> bytes:
        """Return how fields of some types begin, whose number is at most 15 above the last."""
        each = (rb"\x%02x" % (more << 4 | kind) for more in range(1, 16) for kind in kinds)
        return b"[" + b"".join(each) + b"]"

    number = rb"[\x80-\xff]{0,8}+[\x00-\x7f]"
    short = rb"[\x80-\xff]{0,3}+[\x00-\x7f]"  # within 32 bits
    texts = [rb"\x%02x.{%d}" % (size, size) for size in range(128)]
    texts += [rb"\x%02x\x01.{%d}" % (size, size) for size in range(128, _LONGEST_TEXT + 1)]
    text = b"(?:" + b"|".join(texts) + b")"
    numbers = [rb"[\x%x4-\x%x6](?:%s){%d}" % (size, size, number, size) for size in range(15)]
    fields = [
        heads(1, 2),  # a boolean, which its type tells
        heads(4, 5, 6) + number,
        heads(_TEXT) + text,
        heads(9) + b"(?:" + b"|".join(numbers) + b")",
    ]
    struct = b"(?:" + b"|".join(fields) + rb")*+\x00"
    sizes = b"(?:" + b"|".join((*fields[:2], fields[3])) + rb")*+\x00"
    plain = b"(?:" + heads(4, 5, 6) + number + rb")*+\x00"  # a struct of numbers
    pages = b"(?:" + b"|".join(rb"\x%xc(?:%s){%d}" % (n, plain, n) for n in range(1, 6)) + b")"
    encodings = b"(?:" + b"|".join(rb"\x%x5(?:%s){%d}" % (n, short, n) for n in range(15)) + b")"
    begin = [
        rb"\x26",
        number,
        rb"\x1c",  # 2: a place that nobody uses; 3: what follows
        rb"\x15(",
        short,
        b")",
        rb"\x19",
        encodings,
        rb"\x19",  # 1, 2; 3: the path
    ]
    chunk = [
        rb"\x15(", short, b")", rb"\x16(", number, b")",  # 4: codec; 5: values
        rb"\x16(", number, b")", rb"\x16(", number, b")", rb"\x26(", number, b")",  # 6, 7, 9
        # 11: the dictionary, if there is one; 12: statistics, if there are any; 13: pages
        rb"(?:(?:\x26(", number, rb")\x1c|\x3c)()", struct, rb"\x19",
        rb"|(?:\x26(", number, rb")\x29|\x49))", pages,
        rb"(?:\x3c()", sizes, rb")?+\x00\x00",  # 16: sizes, if there are any
    ]  # fmt: skip
    # 2: bytes; 3: rows; up to four numbers more, of which Arrow writes 5, 6 and 7. Many more would
    # lead past the largest number of a field, where Thrift begins again.
    more = b"(?:" + heads(4, 5, 6) + number + rb"){0,4}+\x00"
    tail = [rb"\x16", number, rb"\x16(", number, b")", more]
    return b"".join(begin), b"".join(chunk), b"".join(tail)
