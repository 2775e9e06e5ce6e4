r"""Geometries from the bytes or texts of others.

GEOS reads a collection within a collection by recursion: some 30,000 of them, which take 270 kB,
end the process. So the depth is measured first. (The forms are those of OGC Simple Feature Access
1.2.1, ISO 13249-3 for further dimensions, and PostGIS's EWKB.)
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Shapes = NDArray[np.object_]

__all__ = ["read_wkb", "read_wkt"]

_DEEPEST: Final = 64
_LEVEL: Final = 9  # bytes that a collection takes before its first member
_POINT: Final = 1
_LINES: Final = (2, 8)  # a line, and one of arcs
_RINGS: Final = (3, 17)  # a polygon, and a triangle
_OF_GEOMETRIES: Final = (4, 5, 6, 7, 9, 10, 11, 12, 15, 16)
_OPEN, _CLOSE = b"()"


def read_wkb(values: Sequence[Any] | NDArray[np.object_]) -> Shapes:
    """Return geometries from WKB; None stays None.

    Args:
        values: Bytes or None.

    Raises:
        shapely.errors.GEOSException: Bytes are no geometry.
        TypeError: A value is of another type.
        ValueError: A geometry nests too deeply.

    Example:
        >>> read_wkb([shapely.Point(1, 2).wkb, None]).tolist()
        [<POINT (1 2)>, None]
    """
    for value in values:
        if isinstance(value, bytes) and len(value) > _DEEPEST * _LEVEL:
            _require_shallow(value)
    return np.asarray(shapely.from_wkb(values))


def read_wkt(values: Sequence[Any] | NDArray[np.object_]) -> Shapes:
    """Return geometries from WKT; None stays None.

    Args:
        values: Texts or None.

    Raises:
        shapely.errors.GEOSException: A text is no geometry.
        TypeError: A value is of another type.
        ValueError: A geometry nests too deeply.

    Example:
        >>> read_wkt(["POINT (1 2)"]).tolist()
        [<POINT (1 2)>]
    """
    for value in values:
        if isinstance(value, str) and value.count("(") > _DEEPEST:
            marks = np.frombuffer(value.encode(errors="replace"), np.uint8)
            depth = np.cumsum((marks == _OPEN).astype(np.int8) - (marks == _CLOSE).astype(np.int8))
            _refuse(int(depth.max()))
    return np.asarray(shapely.from_wkt(values))


def _refuse(depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"a geometry nests more than {_DEEPEST} levels deep")


def _require_shallow(data: bytes) -> None:
    """Refuse a geometry that nests too deeply; whatever else is wrong with it, GEOS finds."""
    members = [1]  # to come, of each level that is open
    at = 0
    try:
        while members:
            if not members[-1]:
                members.pop()
                continue
            members[-1] -= 1
            order = "<" if data[at] else ">"
            (code,) = struct.unpack_from(f"{order}I", data, at + 1)
            at += 9 if code & 0x20000000 else 5  # EWKB may name a CRS
            code, axes = _kind_of(code)
            if code == _POINT:
                at += 8 * axes
                continue
            (count,) = struct.unpack_from(f"{order}I", data, at)
            at += 4
            if code in _OF_GEOMETRIES:
                members.append(count)
                _refuse(len(members) - 1)
            elif code in _LINES:
                at += 8 * axes * count
            elif code in _RINGS:
                at = _skip_rings(data, at, count, order, axes)
            else:
                return
    except (IndexError, struct.error):  # cut off
        return


def _kind_of(code: int) -> tuple[int, int]:
    """Return the number of a type without its dimensions, and how many it has."""
    axes = 2 + bool(code & 0x80000000) + bool(code & 0x40000000)
    more, kind = divmod(code & 0x0FFFFFFF, 1000)
    return kind, axes + {1: 1, 2: 1, 3: 2}.get(more, 0)


def _skip_rings(data: bytes, at: int, count: int, order: str, axes: int) -> int:
    for _ in range(count):
        (points,) = struct.unpack_from(f"{order}I", data, at)
        at += 4 + 8 * axes * points
    return at
