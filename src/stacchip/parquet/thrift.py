"""Structs of Thrift's compact protocol, in which parquet writes footers and headers of pages.

pyarrow reads them, too, but it trusts them: a wrong footer can end the process (see `footer`).
This module must read exactly what pyarrow will read. Where Thrift's C++ would read something else,
a struct is refused: it cuts numbers to their bits, merges fields that come twice, and skips those
of other types. (The source of the format is "Thrift Compact protocol encoding" in Apache Thrift's
documentation.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = [
    "COUNT",
    "I32",
    "I64",
    "PLACE",
    "Reader",
    "Struct",
    "Wanted",
    "natural",
    "read_count",
    "read_integer",
    "read_struct",
    "read_structs",
    "read_unsigned",
    "write_integer",
    "write_list_head",
    "write_text",
]

Struct = dict[int, Any]
"""The fields of a struct by number: int, bool, float, bytes, a list, or another struct."""

Reader = Callable[[bytes, int, int], tuple[Any, int]]
"""Reads the value of a field, from the bytes, its place and its type; returns the place behind."""

Wanted = Mapping[int, "Wanted | Reader | int | None"]
"""The fields of a struct that are read: of a struct, those in it, or None for all of them; of a
number, its type (`I32`, `I64`); of a list, `COUNT` for the number of its elements; of a struct that
is read later or not at all, `PLACE` for where it begins; or a function that reads the value."""
I32: Final = 5
I64: Final = 6
COUNT: Final = 9
PLACE: Final = 12
_UNWANTED: Final = -1

_DEEPEST: Final = 16
_MANY: Final = 15  # elements of a list, whose number does not fit beside their type
_MOST_FIELDS: Final = 1 << 15
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


def read_struct(  # noqa: C901, PLR0912, PLR0915 - the inner loop: calls slow it down
    data: bytes,
    at: int,
    depth: int = 0,
    wanted: Wanted | None = None,
) -> tuple[Struct, int]:
    """Return the struct that begins at a place, and the place behind it.

    Args:
        data: Bytes that hold it.
        at: Where it begins.
        depth: The number of structs around it.
        wanted: The fields to read, all by default. To step over the others takes half the time.

    Raises:
        ValueError: There is no struct, or one that no writer makes.
        IndexError: The bytes end inside it.

    Example:
        >>> read_struct(bytes([0x15, 4, 0x18, 2, 97, 98, 0]), 0)
        ({1: 2, 2: b'ab'}, 7)
    """
    if depth > _DEEPEST:
        raise ValueError("its structs are nested too deeply")
    fields: Struct = {}
    number = 0
    want: Wanted | Reader | int | None = None
    find = None if wanted is None else wanted.get
    while head := data[at]:
        at += 1
        kind = head & 15
        if head > 15:
            number += head >> 4
        else:
            before = number
            number, at = read_integer(data, at)
            if number <= before:  # so that no field comes twice
                raise ValueError("its fields are out of order")
        if find is not None:
            want = find(number, _UNWANTED)
        # the most frequent, and short ones, first: this is the inner loop
        if want == _UNWANTED:
            if 4 <= kind <= 6:
                while data[at] > 127:
                    at += 1
                at += 1
            else:
                at = _skip_value(data, at, kind, depth)
        elif isinstance(want, int) and want != kind:
            raise ValueError("a field is of another type")
        elif 4 <= kind <= 6:
            value = data[at]
            at += 1
            if value > 127:
                more = data[at]
                if more < 128:
                    value, at = (value & 127) | more << 7, at + 1
                else:
                    value, at = read_unsigned(data, at - 1)
                    if kind < I64 and value >> 32:
                        raise ValueError("a number has more than 32 bits")
            fields[number] = (value >> 1) ^ -(value & 1)
        elif kind <= _FALSE:
            fields[number] = _boolean(kind)
        elif isinstance(want, int):
            fields[number] = at if want == PLACE else _read_list_head(data, at)[0]
            at = _skip_value(data, at, kind, depth)
        elif callable(want):
            fields[number], at = want(data, at, kind)
        else:
            fields[number], at = _read_value(data, at, kind, depth, want)
    if number >= _MOST_FIELDS:
        raise ValueError("a field has too large a number")
    return fields, at + 1


def _boolean(kind: int) -> bool:
    """Return the boolean that a field's type is."""
    if not kind:  # elsewhere it ends the struct, whatever its number
        raise ValueError("a field has no type")
    return kind == _TRUE


def read_structs(data: bytes, at: int, kind: int, wanted: Wanted) -> tuple[list[Struct], int]:
    """Return the structs of a list, as a `Reader` does.

    Args:
        data: Bytes that hold it.
        at: Where it begins.
        kind: Its type.
        wanted: The fields to read of each.
    """
    count, at = read_count(data, at, kind)
    values = []
    for _ in range(count):
        fields, at = read_struct(data, at, 1, wanted=wanted)
        values.append(fields)
    return values, at


def read_count(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Return the number of structs in a list, and the place of the first.

    Raises:
        ValueError: It is no list of structs.
    """
    if kind not in (_LIST, _SET):
        raise ValueError("a field is of another type")
    count, kind, at = _read_list_head(data, at)
    if count and kind != _STRUCT:
        raise ValueError("a list does not hold structs")
    return count, at


def _read_value(
    data: bytes, at: int, kind: int, depth: int, wanted: Wanted | None
) -> tuple[Any, int]:
    if kind == _STRUCT:
        return read_struct(data, at, depth + 1, wanted=wanted)
    if kind == _BINARY:
        length, at = read_unsigned(data, at)
        if length > len(data) - at:
            raise IndexError("a text is longer than the rest")
        return data[at : at + length], at + length
    if kind in (_LIST, _SET):
        return _read_list(data, at, depth + 1, wanted)
    if 4 <= kind <= 6:
        return read_integer(data, at)
    if kind in (_TRUE, _FALSE, _BYTE):  # in a list, a boolean is a byte
        return data[at], at + 1
    if kind == _DOUBLE:
        if at + 8 > len(data):
            raise IndexError("a number is longer than the rest")
        return data[at : at + 8], at + 8
    # no struct of parquet has a map
    raise ValueError(f"a field has the unknown type {kind}")


def _read_list(data: bytes, at: int, depth: int, wanted: Wanted | None) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise ValueError("its lists are nested too deeply")
    values = []
    count, kind, at = _read_list_head(data, at)
    for _ in range(count):
        if kind == _BINARY and data[at] < 128 and at + data[at] < len(data):  # as names are
            end = at + 1 + data[at]
            values.append(data[at + 1 : end])
            at = end
            continue
        value, at = _read_value(data, at, kind, depth, wanted)
        values.append(value)
    return values, at


def _skip_value(data: bytes, at: int, kind: int, depth: int) -> int:
    """Return the place behind a field's value."""
    if 4 <= kind <= 6:
        while data[at] > 127:
            at += 1
        return at + 1
    if kind <= _FALSE:
        _boolean(kind)
        return at
    if kind in (_LIST, _SET):
        return _skip_list(data, at, depth + 1)
    if kind == _STRUCT:
        return _skip_struct(data, at, depth + 1)
    return _read_value(data, at, kind, depth, None)[1]


def _skip_list(data: bytes, at: int, depth: int) -> int:
    """Return the place behind a list."""
    count, kind, at = _read_list_head(data, at)
    if depth > _DEEPEST:
        raise ValueError("its lists are nested too deeply")
    if 4 <= kind <= 6:
        for _ in range(count):
            while data[at] > 127:
                at += 1
            at += 1
        return at
    for _ in range(count):
        at = at + 1 if kind <= _FALSE else _skip_value(data, at, kind, depth)
    return at


def _skip_struct(data: bytes, at: int, depth: int) -> int:
    """Return the place behind a struct."""
    if depth > _DEEPEST:
        raise ValueError("its structs are nested too deeply")
    while head := data[at]:
        at += 1
        if head <= 15:  # the number of the field follows
            at = _skip_value(data, at, 6, depth)
        kind = head & 15
        if 4 <= kind <= 6:
            while data[at] > 127:
                at += 1
            at += 1
        elif kind == _BINARY and data[at] < 128:
            at += data[at] + 1
        elif kind not in (_TRUE, _FALSE):
            at = _skip_value(data, at, kind, depth)
    return at + 1


def _read_list_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the number of a list's elements, their type, and the place of the first."""
    head = data[at]
    at += 1
    count = head >> 4
    if count == _MANY:
        count, at = read_unsigned(data, at)
    if count > len(data) - at:  # each takes a byte at least
        raise IndexError("a list is longer than the rest")
    return count, head & 15, at


def natural(value: Any) -> int:
    """Return a number that is not negative."""
    if type(value) is not int:
        raise TypeError("a number is of another type")
    if value < 0:
        raise ValueError(f"a number is negative: {value}")
    return value


def read_integer(data: bytes, at: int) -> tuple[int, int]:
    """Return a number with a sign, and the place behind it."""
    value, at = read_unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at


def read_unsigned(data: bytes, at: int) -> tuple[int, int]:
    """Return a number without a sign, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63 or (shift == 63 and data[at] > 1):
            raise ValueError("a number has more than 64 bits")


def write_integer(value: int) -> bytes:
    """Return a number with a sign, as it is written."""
    return _write_unsigned(value << 1 ^ value >> 63)


def write_text(text: bytes) -> bytes:
    """Return a text, as it is written behind the head of its field."""
    return _write_unsigned(len(text)) + text


def write_list_head(count: int) -> bytes:
    """Return what is written before the structs of a list."""
    if count < _MANY:
        return bytes([count << 4 | _STRUCT])
    return bytes([_MANY << 4 | _STRUCT]) + _write_unsigned(count)


def _write_unsigned(value: int) -> bytes:
    written = b""
    while value > 127:
        written += bytes([value & 127 | 128])
        value >>= 7
    return written + bytes([value])
