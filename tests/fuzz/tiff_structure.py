"""The structure of a TIFF, as far as a mutator needs it: directories, entries, where values lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

SIZES: Final = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
_SMALL_BYTES: Final = 1 << 20
LETTERS: Final = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    16: "Q",
    17: "q",
}


@dataclass(frozen=True)
class Entry:
    """One entry: where it stands, what it says, and where its values lie."""

    place: int
    tag: int
    kind: int
    count: int
    values_at: int

    @property
    def size(self) -> int:
        return SIZES.get(self.kind, 1) * self.count


@dataclass(frozen=True)
class Directory:
    """One directory: where it begins, its entries, and where the pointer to the next one stands."""

    start: int
    entries: tuple[Entry, ...]
    next_at: int


@dataclass(frozen=True)
class Form:
    """The byte order and the widths of a classic TIFF or a BigTIFF."""

    order: str
    is_big: bool

    @property
    def pointer(self) -> str:
        return self.order + ("Q" if self.is_big else "I")

    @property
    def number(self) -> str:
        return self.order + ("Q" if self.is_big else "H")

    @property
    def entry(self) -> int:
        return 20 if self.is_big else 12

    @property
    def inline(self) -> int:
        return 8 if self.is_big else 4

    @property
    def first_at(self) -> int:
        """Where the pointer to the first directory stands."""
        return 8 if self.is_big else 4


def form_of(data: bytes) -> Form | None:
    """Return the form of a TIFF; None if it is none."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return None
    return Form(order, struct.unpack_from(order + "H", data, 2)[0] == 43)


def directories_of(data: bytes, form: Form) -> list[Directory]:
    """Return the directories, as far as they can be read."""
    found: list[Directory] = []
    (start,) = struct.unpack_from(form.pointer, data, form.first_at)
    try:
        while start and len(found) < 10 and start not in {each.start for each in found}:
            found.append(_directory(data, form, start))
            (start,) = struct.unpack_from(form.pointer, data, found[-1].next_at)
    except (struct.error, OverflowError):
        pass
    return found


def _directory(data: bytes, form: Form, start: int) -> Directory:
    (number,) = struct.unpack_from(form.number, data, start)
    place = start + struct.calcsize(form.number)
    entries = []
    for _ in range(min(number, 1000)):
        tag, kind = struct.unpack_from(form.order + "HH", data, place)
        (count,) = struct.unpack_from(form.pointer, data, place + 4)
        value = place + 4 + form.inline
        if SIZES.get(kind, 1) * count > form.inline:
            (value,) = struct.unpack_from(form.pointer, data, value)
        entries.append(Entry(place, tag, kind, count, value))
        place += form.entry
    return Directory(start, tuple(entries), place)


RawEntry = tuple[int, int, int, bytes]


def raw_entries(data: bytes, directory: Directory) -> list[RawEntry]:
    """Return the entries with their values' bytes: (tag, type, count, bytes)."""
    return [
        (each.tag, each.kind, each.count, data[each.values_at : each.values_at + each.size])
        for each in directory.entries
    ]


def append_directory(
    data: bytes, form: Form, entries: list[RawEntry], pointer_at: int, after: int
) -> bytes:
    """Return the file with a new directory at its end, to which the pointer leads.

    Args:
        data: The file.
        form: Its form.
        entries: (tag, type, count, bytes); counts need not fit the bytes.
        pointer_at: Where the pointer to the new directory stands.
        after: Where the next directory is.

    Raises:
        ValueError: The values take far more than the file, as of entries that damage made.
    """
    if sum(len(raw) for *_, raw in entries) > 4 * len(data) + _SMALL_BYTES:
        raise ValueError("entries that share their values' bytes")
    start = len(data) + len(data) % 2
    values_at = start + struct.calcsize(form.number) + form.entry * len(entries) + form.inline
    table, values = b"", b""
    for tag, kind, count, raw in entries:
        place = raw.ljust(form.inline, b"\0")
        if len(raw) > form.inline:
            place = struct.pack(form.pointer, values_at + len(values))
            values += raw + b"\0" * (len(raw) % 2)
        most = 2**64 if form.is_big else 2**32
        table += struct.pack(form.order + "HH", tag % 65536, kind % 65536)
        table += struct.pack(form.pointer, count % most) + place
    made = (
        struct.pack(form.number, len(entries)) + table + struct.pack(form.pointer, after) + values
    )
    whole = bytearray(data.ljust(start, b"\0") + made)
    struct.pack_into(form.pointer, whole, pointer_at, start)
    return bytes(whole)


def pack(form: Form, kind: int, values: list[int | float]) -> bytes:
    """Return values of a type as bytes; numbers that do not fit wrap around."""
    letter = LETTERS.get(kind, "B")
    if letter in "fd":
        limit = 3e38 if letter == "f" else 1.7e308
        return struct.pack(
            f"{form.order}{len(values)}{letter}",
            *(max(-limit, min(limit, float(v))) for v in values),
        )
    bits = 8 * struct.calcsize("<" + letter)
    whole = [int(value) % (1 << bits) for value in values]
    return struct.pack(f"{form.order}{len(values)}{letter.upper()}", *whole)
