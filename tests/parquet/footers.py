"""Parquet footers and page headers, taken apart and put together as the protocol specifies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Fields = list[list[Any]]
"""The fields of a struct: number, type and value of each."""
I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12


class Plain(int):
    """A number that is written without a sign, as it is."""


def change_footer(data: bytes, change: Callable[[Fields], None]) -> bytes:
    """Return a file with another footer, and without a seal's checksums to contradict it."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    fields, _ = read(data, start)
    change(fields)
    footer = write(fields)
    return data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def column(footer: Fields, name: str) -> Fields:
    """Return the facts of a column in the first row group."""
    for chunk in value(value(footer, 4)[1][0], 1)[1]:
        facts: Fields = value(chunk, 3)
        if b".".join(value(facts, 3)[1]).decode() == name:
            return facts
    raise LookupError(name)


def value(fields: Fields, number: int) -> Any:
    return next(each for each in fields if each[0] == number)[2]


def put(fields: Fields, number: int, kind: int, new: Any) -> None:
    """Give a field another value, or add it where it belongs."""
    fields[:] = [each for each in fields if each[0] != number]
    fields.append([number, kind, new])
    fields.sort(key=lambda field: field[0])


def read(data: bytes, at: int) -> tuple[Fields, int]:
    """Return the struct that begins at a place, and the place behind it."""
    fields: Fields = []
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            raw, at = _unsigned(data, at)
            number = (raw >> 1) ^ -(raw & 1)
        kind = head & 15
        found, at = (None, at) if kind in (1, 2) else _value(data, at, kind)
        fields.append([number, kind, found])
    return fields, at + 1


def write(fields: Fields) -> bytes:
    """Return a struct as bytes, its fields in the order given."""
    written, before = b"", 0
    for number, kind, new in fields:
        step = number - before
        written += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + signed(number)
        written += b"" if kind in (1, 2) else _bytes(kind, new)
        before = number
    return written + b"\0"


def unsigned(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + unsigned(rest) if rest else bytes([low])


def signed(number: int) -> bytes:
    return unsigned(2 * number if number >= 0 else -2 * number - 1)


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == STRUCT:
        return read(data, at)
    if kind == LIST:
        count, kind, at = data[at] >> 4, data[at] & 15, at + 1
        if count == 15:
            count, at = _unsigned(data, at)
        values = []
        for _ in range(count):
            found, at = _value(data, at, kind)
            values.append(found)
        return [kind, values], at
    if kind in (1, 2, 3):
        return data[at], at + 1
    number, at = _unsigned(data, at)
    if kind == BINARY:
        return data[at : at + number], at + number
    return (number >> 1) ^ -(number & 1), at


def _bytes(kind: int, new: Any) -> bytes:
    if kind == STRUCT:
        return write(new)
    if kind == BINARY:
        return unsigned(len(new)) + bytes(new)
    if kind == LIST:
        inner, values = new
        return bytes([0xF0 | inner]) + unsigned(len(values)) + b"".join(
            _bytes(inner, each) for each in values
        )  # fmt: skip
    if kind in (1, 2, 3):
        return bytes([new])
    return unsigned(new) if isinstance(new, Plain) else signed(new)


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at
