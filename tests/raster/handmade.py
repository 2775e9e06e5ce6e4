"""TIFFs written byte by byte: what no library writes, and what no sound writer would."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

# a type's number in TIFF -> the letters of `struct`; a fraction is a tuple of two integers
LETTERS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 10: "iI", 12: "d", 16: "Q"}
Tags = dict[int, tuple[int, Any]]


def write_handmade(
    path: Path,
    tags: Tags,
    blocks: Sequence[bytes],
    *,
    byteorder: Literal["<", ">"] = "<",
    is_big: bool = False,
    after: int = 0,
) -> str:
    """Write a TIFF of one directory, its blocks behind it.

    `tags` maps a tag to (type, values). Values of None in 273 or 324 are filled with the blocks'
    offsets, in 279 or 325 with their lengths. `after` is where the next directory is said to be.
    """
    pointer, entry, inline = ("Q", 20, 8) if is_big else ("I", 12, 4)
    start = 16 if is_big else 8
    count = struct.pack(byteorder + ("Q" if is_big else "H"), len(tags))
    values_at = start + len(count) + entry * len(tags) + inline
    sizes = {t: _size(kind, v, len(blocks)) for t, (kind, v) in tags.items()}
    blocks_at = values_at + sum(size for size in sizes.values() if size > inline)
    lengths = [len(block) for block in blocks]
    offsets = [blocks_at + sum(lengths[:i]) for i in range(len(blocks))]
    table, extra = b"", b""
    for tag, (kind, given) in sorted(tags.items()):
        values = given
        if values is None:
            values = offsets if tag in (273, 324) else lengths
        raw = _pack(byteorder, kind, values)
        number = len(raw) // struct.calcsize("<" + LETTERS[kind])
        place = raw.ljust(inline, b"\0")
        if len(raw) > inline:
            place = struct.pack(byteorder + pointer, values_at + len(extra))
            extra += raw
        table += struct.pack(byteorder + "HH" + pointer, tag, kind, number) + place
    magic = b"II" if byteorder == "<" else b"MM"
    if is_big:
        magic += struct.pack(byteorder + "HHHQ", 43, 8, 0, start)
    else:
        magic += struct.pack(byteorder + "HI", 42, start)
    end = struct.pack(byteorder + pointer, after)
    path.write_bytes(magic + count + table + end + extra + b"".join(blocks))
    return str(path)


def _size(kind: int, values: Any, blocks: int) -> int:
    return len(_pack("<", kind, [0] * blocks if values is None else values))


def _pack(byteorder: str, kind: int, values: Any) -> bytes:
    if kind == 2:
        return bytes(values) + b"\0"
    values = values if isinstance(values, (list, tuple)) else [values]
    if kind in (5, 10):
        return b"".join(struct.pack(byteorder + LETTERS[kind], *pair) for pair in values)
    return struct.pack(f"{byteorder}{len(values)}{LETTERS[kind]}", *values)


def strip_tags(
    shape: tuple[int, int], rows: int, *, bits: int = 8, compression: int = 1, **more: Any
) -> Tags:
    """The tags of a grey image in strips of `rows` rows; `more` is `t<number>=(type, values)`.

    A value of None takes a tag away.
    """
    tags: dict[int, Any] = {
        256: (4, shape[1]),
        257: (4, shape[0]),
        258: (3, bits),
        259: (3, compression),
        262: (3, 1),
        273: (4, None),
        277: (3, 1),
        278: (4, rows),
        279: (4, None),
        33550: (12, [10.0, 10.0, 0.0]),
        33922: (12, [0.0, 0.0, 0.0, 600000.0, 4000000.0, 0.0]),
    }
    tags.update({int(name[1:]): value for name, value in more.items()})
    return {tag: value for tag, value in tags.items() if value is not None}


def strips_of(array: np.ndarray[Any, Any], rows: int) -> list[bytes]:
    """The bytes of an image (y, x) in strips."""
    return [array[top : top + rows].tobytes() for top in range(0, len(array), rows)]


def old_lzw(data: bytes) -> bytes:
    """Encode with the LZW of TIFF 5.0's first writers: bits from the low end, widths switch late.

    The compatibility decoder of libtiff recognises it by its first two bytes.
    """
    bits = number = 0
    out = bytearray()

    def put(code: int, width: int) -> None:
        nonlocal bits, number
        bits |= code << number
        number += width
        while number >= 8:
            out.append(bits & 255)
            bits >>= 8
            number -= 8

    table = {bytes([i]): i for i in range(256)}
    following, width = 258, 9
    put(256, width)
    word = b""
    for byte in data:
        longer = word + bytes([byte])
        if longer in table:
            word = longer
            continue
        put(table[word], width)
        table[longer] = following
        following += 1
        if following > (1 << width):
            width += 1
        if following >= 4094:
            put(256, width)
            table = {bytes([i]): i for i in range(256)}
            following, width = 258, 9
        word = bytes([byte])
    put(table[word], width)
    put(257, width)
    if number:
        out.append(bits & 255)
    return bytes(out)
