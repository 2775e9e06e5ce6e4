"""Mutants of TIFFs: headers, tags, offsets, byte counts and data that are not as they should be."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from .damage import damage, odd_number
from .kinds import weighted
from .tiff_structure import (
    LETTERS,
    SIZES,
    Directory,
    Entry,
    Form,
    RawEntry,
    append_directory,
    directories_of,
    form_of,
    pack,
    raw_entries,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_TABLES: Final = (273, 279, 324, 325)
# tags by what they decide, with values that mean something
_MEANT: Final[dict[int, tuple[int, ...]]] = {
    254: (0, 1, 2, 4, 5), 255: (1, 2, 3), 256: (1, 16, 53, 54, 65535), 257: (1, 16, 41, 42, 65535),
    258: (1, 2, 4, 7, 8, 12, 16, 24, 32, 64, 128),
    259: (1, 2, 3, 4, 5, 6, 7, 8, 9, 32773, 32946, 34661, 34712, 34887, 34925, 34926, 50000, 50001,
          50002, 50013),
    262: (0, 1, 2, 3, 4, 5, 6, 8, 32844, 32845), 266: (1, 2), 274: (1, 3, 6, 8),
    277: (1, 2, 3, 4, 5, 100), 278: (1, 7, 8, 16, 41, 2**32 - 1), 280: (0, 1), 281: (1, 255),
    284: (1, 2),
    317: (1, 2, 3, 34892), 320: (0,), 322: (8, 15, 16, 32, 48, 64, 1024),
    323: (8, 15, 16, 32, 48, 64, 1024),
    330: (8, 16), 338: (0, 1, 2), 339: (1, 2, 3, 4, 5, 6), 340: (0, 1), 341: (1, 255),
    347: (0,),
    530: (1, 2, 4), 532: (0, 255),
    33550: (0, 10), 33922: (0, 600000), 34264: (0, 10), 34735: (1, 1, 0, 3, 1024), 34736: (0,),
    34737: (65,), 42112: (60,), 42113: (48,),
    32995: (0, 1, 2), 32996: (0, 1, 2, 3), 32997: (1, 2), 32998: (1, 2),
    50674: (4, 0, 0), 50844: (0,),
}  # fmt: skip
_NODATA: Final = (
    *(b"nan\0", b"-nan\0", b"inf\0", b"1e999\0", b"-1e400\0", b"\0", b"", b" 0 \0", b"0x10\0"),
    *(b"9" * 400 + b"\0", b"-1\0", b"255\0", b"256\0", b"0.1\0", b"\xff\xfe\0", b"1,5\0", b"7"),
    *(b"18446744073709551615\0", b"-9223372036854775809\0", b"3.4028234663852886e+38\0"),
)
_METADATA: Final = (
    b'<GDALMetadata><Item name="SCALE" sample="0" role="scale">x</Item></GDALMetadata>\0',
    b'<GDALMetadata><Item name="SCALE" sample="0" role="scale">1e999</Item></GDALMetadata>\0',
    b'<GDALMetadata><Item name="OFFSET" sample="-1" role="offset">5</Item></GDALMetadata>\0',
    b'<GDALMetadata><Item name="O" sample="99999999999" role="offset">5</Item></GDALMetadata>\0',
    b'<GDALMetadata><Item role="scale"></GDALMetadata',
    b'role="scale"',
    b"\xff" * 50,
    b'<GDALMetadata><Item name="x" domain="RPC">role="scale"</Item></GDALMetadata>\0',
    b"<!DOCTYPE a [<!ENTITY b 'cc'>]><GDALMetadata>&b;role=\"scale\"</GDALMetadata>\0",
)
_KEYS: Final = (1024, 1025, 2048, 3072, 3076, 4096, 4099, 2054, 2062, 3075, 3080)


def mutate(data: bytes, dice: Random, others: list[bytes]) -> bytes:
    """Return a mutant of a sound file."""
    for _ in range(weighted(dice, {1: 5, 2: 3, 3: 1, 6: 0.5})):
        form = form_of(data)
        directories = directories_of(data, form) if form is not None else []
        if form is None or not directories or not directories[0].entries:
            data = damage(data, dice)
            continue
        directory = directories[0] if dice.random() < 0.75 else dice.choice(directories)
        change: Callable[..., bytes] = weighted(dice, _CHANGES)
        try:
            data = change(data, form, directory, dice, others)
        except (
            struct.error,
            LookupError,
            ValueError,
            OverflowError,
        ):  # a mutant of a mutant has odd places
            data = damage(data, dice)
    return data


def _value(data: bytes, form: Form, directory: Directory, dice: Random, _: list[bytes]) -> bytes:
    """Change one value of one tag."""
    entry = dice.choice(directory.entries)
    return _set_value(data, form, entry, dice)


def _block(data: bytes, form: Form, directory: Directory, dice: Random, _: list[bytes]) -> bytes:
    """Change one offset or byte count."""
    tables = [entry for entry in directory.entries if entry.tag in _TABLES]
    return _set_value(data, form, dice.choice(tables), dice)


def _set_value(data: bytes, form: Form, entry: Entry, dice: Random) -> bytes:
    letter = LETTERS.get(entry.kind)
    if letter is None or not entry.count:
        return damage(data, dice, entry.values_at, entry.values_at + entry.size)
    at = entry.values_at + SIZES[entry.kind] * dice.randrange(entry.count)
    meant = _MEANT.get(entry.tag)
    (now,) = struct.unpack_from(form.order + letter, data, at)
    drawn = dice.random()
    if meant and drawn < 0.5:
        value: float = dice.choice(meant)
    elif drawn < 0.7 and letter not in "fd":
        value = now + dice.choice((-1000, -16, -2, -1, 1, 2, 16, 1000))
    elif letter in "fd":
        value = dice.choice((0, -1, 1e-300, 1e300, float("nan"), float("inf"), now * 2, -now))
    else:
        value = odd_number(dice, len(data))
    raw = bytearray(data)
    made = _floats(form, letter, value) if letter in "fd" else pack(form, entry.kind, [value])
    raw[at : at + len(made)] = made
    return bytes(raw)


def _floats(form: Form, letter: str, value: float) -> bytes:
    try:
        return struct.pack(form.order + letter, value)
    except OverflowError:
        return struct.pack(form.order + letter, float("inf"))


def _entry(data: bytes, form: Form, directory: Directory, dice: Random, _: list[bytes]) -> bytes:
    """Change the tag, the type, the count or the place of values of an entry."""
    entry = dice.choice(directory.entries)
    raw = bytearray(data)
    part = dice.choice(("tag", "kind", "kind", "count", "count", "count", "place"))
    if part == "tag":
        struct.pack_into(form.order + "H", raw, entry.place, dice.choice(tuple(_MEANT)))
    elif part == "kind":
        kind = dice.choice((*range(20), 255, 65535))
        struct.pack_into(form.order + "H", raw, entry.place + 2, kind)
    elif part == "count":
        near = entry.count + dice.choice((-4, -1, 1, 4))
        count = dice.choice((near, near, entry.count // 2, odd_number(dice, len(data))))
        most = 2**64 if form.is_big else 2**32
        struct.pack_into(form.pointer, raw, entry.place + 4, count % most)
    else:
        place = odd_number(dice, len(data)) % (2**64 if form.is_big else 2**32)
        struct.pack_into(form.pointer, raw, entry.place + 4 + form.inline, place)
    return bytes(raw)


def _rewrite(
    data: bytes, form: Form, directory: Directory, dice: Random, others: list[bytes]
) -> bytes:
    """Write the directory again with entries added, removed, replaced or out of order."""
    entries = raw_entries(data, directory)
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(len(entries)) if entries else 0
        act = dice.choice(("add", "add", "drop", "replace", "replace", "double", "swap", "graft"))
        if act in ("add", "replace"):
            made = _made_entry(form, dice)
            entries = (
                [each for each in entries if each[0] != made[0]] if act == "replace" else entries
            )
            entries.append(made)
        elif act == "drop" and entries:
            del entries[at]
        elif act == "double" and entries:
            entries.insert(at, entries[at])
        elif act == "swap" and entries:
            entries[at], entries[0] = entries[0], entries[at]
        elif act == "graft":
            entries = _graft(form, entries, dice, others)
    if dice.random() < 0.9:
        entries.sort(key=lambda each: each[0])
    (after,) = struct.unpack_from(form.pointer, data, directory.next_at)
    return append_directory(data, form, entries, _pointer_to(data, form, directory), after)


def _pointer_to(data: bytes, form: Form, directory: Directory) -> int:
    """Return where the pointer to a directory stands."""
    before = form.first_at
    for each in directories_of(data, form):
        if each.start == directory.start:
            break
        before = each.next_at
    return before


def _made_entry(form: Form, dice: Random) -> RawEntry:
    tag = dice.choice(tuple(_MEANT))
    if tag == 42113:
        raw = dice.choice(_NODATA)
        return (tag, 2, len(raw), raw)
    if tag == 42112:
        raw = dice.choice(_METADATA)
        return (tag, 2, len(raw), raw)
    if tag == 34735:
        return _geo_keys(form, dice)
    if tag in (33550, 33922, 34264, 34736, 50844):
        number = dice.choice((1, 2, 3, 6, 12, 16, 92))
        values = [dice.choice((0.0, 1.0, 10.0, -10.0, 6e5, 4e6, 1e300)) for _ in range(number)]
        return (tag, 12, number, pack(form, 12, list(values)))
    kind = dice.choice((3, 3, 3, 4, 4, 1, 8, 9, 12, 16))
    number = dice.choice((1, 1, 1, 2, 3, 4, 0, 30))
    numbers: list[int | float] = [
        dice.choice(_MEANT[tag]) if dice.random() < 0.8 else odd_number(dice) for _ in range(number)
    ]
    return (tag, kind, number + dice.choice((0, 0, 0, 0, -1, 1)), pack(form, kind, numbers))


def _geo_keys(form: Form, dice: Random) -> RawEntry:
    keys: list[int | float] = [1, 1, 0, dice.choice((1, 3, 4, 200))]
    for _ in range(3):
        code = dice.choice((32629, 4326, 3857, 32767, 1, 2, 9001, 65535, 0, 900913))
        keys += [dice.choice(_KEYS), dice.choice((0, 0, 34736, 34737, 7)), 1, code]
    return (34735, 3, len(keys), pack(form, 3, keys))


def _graft(
    form: Form, entries: list[RawEntry], dice: Random, others: list[bytes]
) -> list[RawEntry]:
    """Take over an entry of another file of the same byte order."""
    other = dice.choice(others)
    if form_of(other) != form:
        return entries
    theirs = raw_entries(other, directories_of(other, form)[0])
    taken = dice.choice([each for each in theirs if each[0] not in _TABLES])
    return [each for each in entries if each[0] != taken[0]] + [taken]


def _chain(data: bytes, form: Form, directory: Directory, dice: Random, _: list[bytes]) -> bytes:
    """Lead a pointer between directories elsewhere: into itself, into data, out of the file."""
    raw = bytearray(data)
    at = dice.choice((form.first_at, directory.next_at, directory.next_at))
    place = dice.choice(
        (directory.start, 0, dice.randrange(len(data)), odd_number(dice, len(data)))
    )
    struct.pack_into(form.pointer, raw, at, place % (2**64 if form.is_big else 2**32))
    return bytes(raw)


def _number(data: bytes, form: Form, directory: Directory, dice: Random, _: list[bytes]) -> bytes:
    """Change how many entries a directory is said to have."""
    raw = bytearray(data)
    number = dice.choice((0, 1, 5, len(directory.entries) - 1, len(directory.entries) + 1, 65535))
    struct.pack_into(form.number, raw, directory.start, max(0, number))
    return bytes(raw)


def _head(data: bytes, _f: Form, _d: Directory, dice: Random, _: list[bytes]) -> bytes:
    return damage(data, dice, 0, 16)


def _structure(data: bytes, _f: Form, directory: Directory, dice: Random, _: list[bytes]) -> bytes:
    return damage(data, dice, directory.start, directory.next_at)


def _data(data: bytes, form: Form, directory: Directory, dice: Random, _: list[bytes]) -> bytes:
    """Damage the bytes of a block."""
    tables = {entry.tag: entry for entry in directory.entries}
    where, how_long = (tables.get(324), tables.get(325)) if 324 in tables else (
        tables.get(273), tables.get(279))  # fmt: skip
    if where is None or how_long is None or not where.count:
        return damage(data, dice)
    number = dice.randrange(min(where.count, how_long.count))
    start = _read(data, form, where, number)
    return damage(data, dice, start, start + _read(data, form, how_long, number))


def _read(data: bytes, form: Form, entry: Entry, number: int) -> int:
    at = entry.values_at + SIZES[entry.kind] * number
    return int(struct.unpack_from(form.order + LETTERS[entry.kind], data, at)[0])


def _anywhere(data: bytes, _f: Form, _d: Directory, dice: Random, _: list[bytes]) -> bytes:
    return damage(data, dice)


def _splice(data: bytes, _f: Form, _d: Directory, dice: Random, others: list[bytes]) -> bytes:
    """Put the beginning of one file before the rest of another."""
    other = dice.choice(others)
    at = dice.randrange(min(len(data), len(other)))
    return data[:at] + other[at:]


_CHANGES: Final = {
    _value: 6, _block: 3, _entry: 5, _rewrite: 6, _chain: 1, _number: 0.5, _head: 0.5,
    _structure: 2, _data: 5, _anywhere: 2, _splice: 0.5,
}  # fmt: skip
