"""Footprints of four corners, of which most are seen to lie apart without GEOS.

Chips of a grid touch their neighbours. GEOS takes 13 microseconds to find that two of them share no
area, this 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]

__all__ = ["Quads", "find_plain_bounds"]

# a polygon of one ring of five points, little-endian (OGC 06-103r4, clause 8.2)
_WKB: Final = np.dtype(
    [("order", "u1"), ("kind", "<u4"), ("rings", "<u4"), ("points", "<u4"), ("xy", "<f8", (5, 2))]
)


def find_plain_bounds(wkb: pa.ChunkedArray) -> tuple[Floats, Booleans]:
    """Return bounds of footprints of four corners within the globe, without GEOS.

    Args:
        wkb: The footprints, longitudes and latitudes in degrees.

    Returns:
        West, south, east and north of each, (row, 4); and for which rows they are known. Unknown
        are those of another form, or with an edge across the antimeridian.
    """
    parts = [_plain_bounds(part) for part in wkb.chunks]
    sides = np.concatenate([np.empty((0, 4)), *(part[0] for part in parts)])
    return sides, np.concatenate([np.empty(0, bool), *(part[1] for part in parts)])


def _plain_bounds(wkb: pa.Array) -> tuple[Floats, Booleans]:
    sides, known = np.full((len(wkb), 4), np.nan), np.zeros(len(wkb), bool)
    kinds = {pa.binary(): "<i4", pa.large_binary(): "<i8"}
    if wkb.type not in kinds or not len(wkb):
        return sides, known
    _, offset_buffer, data = wkb.buffers()
    count = wkb.offset + len(wkb) + 1
    offsets = np.frombuffer(offset_buffer, kinds[wkb.type], count)[wkb.offset :].astype(np.int64)
    fits = np.flatnonzero(
        (np.diff(offsets) == _WKB.itemsize) & wkb.is_valid().to_numpy(zero_copy_only=False)
    )
    if not len(fits):
        return sides, known
    places = offsets[fits, None] + np.arange(_WKB.itemsize)
    read = np.frombuffer(data, np.uint8)[places].view(_WKB)[:, 0]
    x, y = np.moveaxis(read["xy"], -1, 0)
    is_quad = (read["order"] == 1) & (read["kind"] == 3)
    is_quad &= (read["rings"] == 1) & (read["points"] == 5)
    with np.errstate(invalid="ignore"):
        is_quad &= (np.abs(x) <= 180).all(axis=1) & (np.abs(y) <= 90).all(axis=1)
        is_quad &= (np.abs(np.diff(x, axis=1)) <= 180).all(axis=1)
    found = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
    sides[fits[is_quad]] = found[is_quad]
    known[fits[is_quad]] = True
    return sides, known


class Quads:
    """The convex ones among some shapes that have four corners.

    Args:
        shapes: The shapes.

    Example:
        >>> boxes = shapely.box([0, 1, 0.5], [0, 0, 0.5], [1, 2, 1.5], [1, 1, 1.5])
        >>> Quads(boxes).are_apart(np.array([[0, 0], [1, 2]])).tolist()
        [True, False]
    """

    def __init__(self, shapes: NDArray[np.object_]) -> None:
        is_quad = (shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON) & (
            shapely.get_num_coordinates(shapes) == 5
        )
        self._corners = np.zeros((len(shapes), 4, 2))
        points = shapely.get_coordinates(shapes[is_quad]).reshape(-1, 5, 2)[:, :4]
        turns = _turns(points)
        clockwise = (turns < 0).all(axis=1)
        points[clockwise] = points[clockwise, ::-1]
        self._corners[is_quad] = points
        self._known = is_quad.copy()
        self._known[is_quad] = clockwise | (turns > 0).all(axis=1)

    def are_apart(self, pairs: NDArray[np.int64]) -> Booleans:
        """Return True for pairs that share no area; False where it is not seen.

        Two convex shapes share none if an edge of one has all of the other on its outer side.

        Args:
            pairs: Numbers of shapes, (2, pair).
        """
        apart: Booleans = self._known[pairs].all(axis=0)
        one, other = self._corners[pairs[:, apart]]
        apart[apart] = _is_outside(one, other) | _is_outside(other, one)
        return apart


def _turns(points: Floats) -> Floats:
    """Return the turn at each corner: positive to the left."""
    edge = np.roll(points, -1, axis=1) - points
    after = np.roll(edge, -1, axis=1)
    turns: Floats = edge[..., 0] * after[..., 1] - edge[..., 1] * after[..., 0]
    return turns


def _is_outside(one: Floats, other: Floats) -> Booleans:
    """Return True if an edge of the first has all corners of the second on its right."""
    edge = np.roll(one, -1, axis=1) - one
    outside = np.zeros(len(one), bool)
    for side in range(4):
        x, y = np.moveaxis(other - one[:, side : side + 1], -1, 0)
        across = edge[:, side, :1] * y - edge[:, side, 1:] * x
        outside |= (across <= 0).all(axis=1)
    return outside
