"""Footprints of all chips of a grid at once: polygons and their bounds in OGC:CRS84.

The corners of all chips are transformed in one call, and the polygons are written as one array of
bytes: 45 ms for 100,000 polygons, against 412 ms with `shapely.to_wkb(shapely.polygons(rings))`,
which gives the same bytes. A few chips are made one by one: those that cross the antimeridian, hold
a pole, or reach beyond the Earth's edge in their projection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import shapely

from stacchip.errors import LimitExceeded
from stacchip.grid.antimeridian import fold_ring, unroll
from stacchip.grid.crs import lonlat_transformer
from stacchip.grid.transform import map_points

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyproj
    from affine import Affine
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["BBOX", "Footprints", "make_footprints", "pixels_at"]

BBOX: Final = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])
"""Type of the `bbox` column: the covering of GeoParquet 1.1, degrees in OGC:CRS84."""

# An edge is cut into enough straight pieces to stay this near to the true edge, in pixels of the
# reference band. Chips in UTM need one piece; a MODIS chip of 120 km needs about ten.
_TOLERANCE_PX: Final = 0.25
_MOST_PIECES: Final = 64
# Pieces of an edge of a footprint that is made on its own: it may pass close to a pole.
_FINE_PIECES: Final = 128
# A ring that may touch a pole, where longitude is undefined, is drawn this much nearer to the
# chip's centre; 1e-6 of a chip is below a thousandth of a pixel.
_NUDGE: Final = 1e-6
# Two million chips in UTM have ten million points. A point takes 64 bytes while they are made.
_MOST_POINTS: Final = 12_000_000
# Each is made on its own, in a millisecond; a column of chips at the antimeridian has hundreds.
_MOST_FOLDED: Final = 10_000


@dataclass(frozen=True)
class Footprints:
    """Polygons and bounds of chips.

    Attributes:
        wkb: Binary array: a Polygon, counter-clockwise; a MultiPolygon if a chip crosses the
            antimeridian; null if a chip lies wholly outside the projected Earth.
        bbox: Struct array xmin, ymin, xmax, ymax in degrees. A chip that crosses the antimeridian
            has -180..180, since GeoJSON's xmin > xmax would make readers skip its row group.
    """

    wkb: pa.Array
    bbox: pa.Array


def make_footprints(
    transform: Affine, crs: pyproj.CRS, chip_size: int, shape: tuple[int, int]
) -> Footprints:
    """Return the footprints of a grid of chips in OGC:CRS84, row by row.

    An edge that is curved in longitude and latitude gets enough points to stay within a quarter
    of a pixel of the true one (at most 64 pieces an edge, which a chip next to a pole may need).

    Args:
        transform: Affine from pixels of the reference band to `crs`; it may be rotated.
        crs: CRS of the reference band.
        chip_size: Side of a chip in pixels.
        shape: (rows, columns) of chips.

    Raises:
        UsageError: The CRS is not one of the Earth.
        LimitExceeded: Far more points are needed than any imagery's grid has.

    Example:
        >>> import pyproj
        >>> from affine import Affine
        >>> grid = Affine(10, 0, 500000, 0, -10, 6000)
        >>> made = make_footprints(grid, pyproj.CRS("EPSG:32633"), 256, (2, 3))
        >>> len(made.wkb), shapely.from_wkb(made.wkb[0].as_py()).geom_type
        (6, 'Polygon')
    """
    rows, columns = shape
    if rows == 0 or columns == 0:
        return Footprints(pa.array([], pa.binary()), pa.array([], BBOX))
    project = _Projection(transform, crs)
    pieces = _count_pieces(project, chip_size, shape)
    _require_few(
        rows * columns * (4 * pieces + 1), _MOST_POINTS, "points for the footprints", shape
    )
    rings = _lattice_rings(project, chip_size, shape, pieces)
    plain = _are_plain(rings, reaches_poles=project.is_geographic)
    plain &= ~_are_at_pole(project, chip_size, shape)
    _turn_counterclockwise(rings)
    wkb = _encode_polygons(rings)
    bounds = np.concatenate([rings.min(axis=1), rings.max(axis=1)], axis=1)
    if plain.all():
        return Footprints(wkb, _encode_bounds(bounds))
    folded = np.flatnonzero(~plain)
    _require_few(len(folded), _MOST_FOLDED, "footprints over the edges of the map", shape)

    def fold(chip: int) -> shapely.Polygon | shapely.MultiPolygon | None:
        row, column = divmod(chip, columns)
        return _fold_chip(project, column * chip_size, row * chip_size, chip_size)

    return _replace_folded(wkb, bounds, folded, fold)


def _require_few(number: int, most: int, what: str, shape: tuple[int, int]) -> None:
    """Refuse a grid that would take minutes or the memory: its transform or shape is made up."""
    if number > most:
        raise LimitExceeded(
            f"A grid of {shape[0]} x {shape[1]} chips needs {number:,} {what}, and the most are "
            f"{most:,}. Mend its transform and shape, or choose larger chips.",
            limit="chips",
        )


def pixels_at(transform: Affine, crs: pyproj.CRS, lon: Any, lat: Any) -> tuple[Any, Any]:
    """Return (column, row) of places in OGC:CRS84; inf if the projection lacks them."""
    return _Projection(transform, crs).pixels(lon, lat)


class _Projection:
    """Converts pixels of the reference band to longitude and latitude, and back."""

    def __init__(self, transform: Affine, crs: pyproj.CRS) -> None:
        self.transform = transform
        self.is_geographic = crs.is_geographic
        self.to_lonlat = lonlat_transformer(crs.to_wkt())

    def lonlat(self, col: Any, row: Any) -> Floats:
        """Return longitude and latitude of pixels, on a last axis; inf if a pixel has none."""
        col, row = np.asarray(col, np.float64), np.asarray(row, np.float64)
        lon, lat = self.to_lonlat.transform(*map_points(self.transform, col, row))
        if self.is_geographic:
            # grids may go a pixel past a pole, and count longitude from 0 to 360
            lon = np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon)
            return np.stack([lon, np.clip(lat, -90, 90)], axis=-1)
        with np.errstate(invalid="ignore"):
            # Beyond the Earth's edge PROJ goes on around the globe in some projections (sinusoidal)
            # and past 90 degrees in others. A result that does not project back is not on Earth.
            off_earth = (np.abs(lat) > 90) | ~(self.distance_px(lon, lat, col, row) < 1)
        lonlat = np.stack([lon, lat], axis=-1)
        lonlat[off_earth] = np.inf
        return lonlat

    def pixels(self, lon: Any, lat: Any) -> tuple[Any, Any]:
        """Return (column, row) of a longitude and latitude; inf if the projection lacks it."""
        x, y = self.to_lonlat.transform(lon, lat, direction="INVERSE")
        with np.errstate(invalid="ignore"):
            return map_points(~self.transform, np.asarray(x), np.asarray(y))

    def distance_px(self, lon: Floats, lat: Floats, col: Floats, row: Floats) -> Floats:
        """Return the distance of a longitude and latitude from a pixel position, in pixels."""
        found_col, found_row = self.pixels(lon, lat)
        with np.errstate(invalid="ignore"):
            distance: Floats = np.hypot(found_col - col, found_row - row)
        return distance


def _count_pieces(project: _Projection, chip_size: int, shape: tuple[int, int]) -> int:
    """Return how many straight pieces keep an edge within `_TOLERANCE_PX` of the true one.

    The distance is measured in the middle of edges, where it is greatest, on up to 17 x 17 chips.
    It falls with the square of the number of pieces.
    """
    if project.is_geographic:
        # straight lines stay straight, but no step may span half of the globe
        a, b, _, d, e, _ = tuple(project.transform)[:6]
        longest = max(math.hypot(a, d), math.hypot(b, e)) * chip_size
        return max(1, math.ceil(min(longest / 90, _MOST_PIECES)))
    row, col = (
        np.unique(np.linspace(0, count, min(count + 1, 17)).round()) * chip_size for count in shape
    )
    worst = 0.0
    for across, down in ((chip_size, 0), (0, chip_size)):
        # no edge starts at the last row or column of corners
        col0, row0 = np.meshgrid(col[: -1 if across else None], row[: -1 if down else None])
        start = project.lonlat(col0, row0)
        end = project.lonlat(col0 + across, row0 + down)
        with np.errstate(invalid="ignore"):
            middle = (start + end) / 2
            ordinary = np.abs(end[..., 0] - start[..., 0]) < 90
        distance = project.distance_px(
            middle[..., 0], middle[..., 1], col0 + across / 2, row0 + down / 2
        )[ordinary]
        worst = max(worst, float(distance[np.isfinite(distance)].max(initial=0.0)))
    return min(_MOST_PIECES, max(1, math.ceil(math.sqrt(worst / _TOLERANCE_PX))))


def _lattice_rings(
    project: _Projection, chip_size: int, shape: tuple[int, int], pieces: int
) -> Floats:
    """Return closed rings of all chips, (chip, point, 2); neighbours share their points."""
    rows, columns = shape
    step = chip_size / pieces
    fine_x = np.arange(columns * pieces + 1) * step
    fine_y = np.arange(rows * pieces + 1) * step
    along = project.lonlat(*np.meshgrid(fine_x, np.arange(rows + 1) * chip_size))
    down = project.lonlat(*np.meshgrid(np.arange(columns + 1) * chip_size, fine_y))

    piece = np.arange(pieces)
    start_x = (np.arange(columns) * pieces)[:, None]
    start_y = (np.arange(rows) * pieces)[:, None]
    # down the left side, along the bottom, up the right side, back along the top; `down` is indexed
    # by its rows, which gives (row, piece, column, 2): the pieces belong behind the column
    sides = [
        np.moveaxis(down[start_y + piece][:, :, :-1], 1, 2),
        along[1:, start_x + piece],
        np.moveaxis(down[start_y + pieces - piece][:, :, 1:], 1, 2),
        along[:-1, start_x + pieces - piece],
    ]
    rings = np.concatenate([*sides, sides[0][:, :, :1]], axis=2)
    return rings.reshape(rows * columns, 4 * pieces + 1, 2)


def _are_plain(rings: Floats, *, reaches_poles: bool) -> NDArray[np.bool_]:
    """Return True for rings that are polygons as they stand, (chip,).

    Args:
        rings: (chip, point, 2).
        reaches_poles: True if a pole is a line that a ring may touch, as in a grid of degrees. In
            others it is a point, where longitude is undefined.
    """
    finite = np.isfinite(rings).all(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        steps = np.abs(np.diff(rings[..., 0], axis=1)).max(axis=1)
        latitude = np.abs(rings[..., 1])
        # a chip beyond a pole has shrunk to a line
        apart = (latitude.min(axis=1) < 90) if reaches_poles else latitude.max(axis=1) < 90 - 1e-9
    # a step of half the globe or more is a jump over the antimeridian, or past a pole
    plain: NDArray[np.bool_] = finite & (steps < 179) & apart
    return plain


def _are_at_pole(project: _Projection, chip_size: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return True for chips that hold a pole, and for neighbours, whose edges turn around it."""
    at_pole = np.zeros(shape, bool)
    if project.is_geographic:
        return at_pole.ravel()
    for latitude in (-90.0, 90.0):
        col, row = project.pixels(0.0, latitude)
        lonlat = project.lonlat(col, row)
        if math.isfinite(col) and math.isclose(float(lonlat[1]), latitude, abs_tol=1e-6):
            y, x = (np.abs(np.arange(count) + 0.5 - place / chip_size) < 1.5
                    for count, place in zip(shape, (row, col), strict=True))  # fmt: skip
            at_pole |= y[:, None] & x[None, :]
    return at_pole.ravel()


def _turn_counterclockwise(rings: Floats) -> None:
    """Reverse the rings that run clockwise, in place."""
    with np.errstate(invalid="ignore"):
        # relative to the first point: full coordinates would cancel to noise for small chips
        x, y = np.moveaxis(rings - rings[:, :1], -1, 0)
        clockwise = (x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]).sum(axis=1) < 0
    rings[clockwise] = rings[clockwise, ::-1]


def _encode_polygons(rings: Floats) -> pa.Array:
    """Encode rings (chip, point, 2) as WKB polygons (OGC 06-103r4, clause 8.2)."""
    chips, points, _ = rings.shape
    record = np.dtype(
        [("order", "u1"), ("type", "<u4"), ("rings", "<u4"), ("points", "<u4"),
         ("ring", "<f8", (points, 2))]
    )  # fmt: skip
    polygons = np.zeros(chips, record)
    polygons["order"] = 1
    polygons["type"] = 3
    polygons["rings"] = 1
    polygons["points"] = points
    polygons["ring"] = rings
    offsets = np.arange(chips + 1, dtype=np.int64) * record.itemsize
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), chips, [None, pa.py_buffer(offsets), pa.py_buffer(polygons)]
    )
    return whole.cast(pa.binary())


def _encode_bounds(bounds: Floats) -> pa.Array:
    """Encode bounds (chip, 4) as the column `bbox`; null if they are not finite."""
    absent = ~np.isfinite(bounds).all(axis=1)
    sides = [pa.array(side) for side in np.ascontiguousarray(bounds.T)]
    return pa.StructArray.from_arrays(sides, fields=list(BBOX), mask=pa.array(absent))


def _replace_folded(
    wkb: pa.Array,
    bounds: Floats,
    chips: NDArray[np.int64],
    fold: Callable[[int], shapely.Polygon | shapely.MultiPolygon | None],
) -> Footprints:
    """Return the footprints, with those of `chips` made one by one by `fold`."""
    folded: list[bytes | None] = []
    for chip in chips:  # few: a column of chips at the antimeridian, one at a pole
        shape = fold(int(chip))
        folded.append(None if shape is None else shapely.to_wkb(shape, byte_order=1))
        bounds[chip] = (math.nan,) * 4 if shape is None else shape.bounds
    order = np.arange(len(wkb))
    order[chips] = len(wkb) + np.arange(len(chips))
    every = pa.concat_arrays([wkb, pa.array(folded, pa.binary())])
    return Footprints(every.take(pa.array(order)), _encode_bounds(bounds))


def _fold_chip(
    project: _Projection, col: float, row: float, chip_size: int
) -> shapely.Polygon | shapely.MultiPolygon | None:
    """Return the footprint of one chip whose ring is not a polygon as it stands."""
    side = np.linspace(0, 1, _FINE_PIECES + 1)[:-1]
    zero = np.zeros_like(side)
    ring_x = np.concatenate([zero, side, zero + 1, 1 - side, [0]])
    ring_y = np.concatenate([side, zero + 1, 1 - side, zero, [0]])
    inward = 1 if project.is_geographic else 1 - 2 * _NUDGE
    ring = project.lonlat(
        col + chip_size * (0.5 + (ring_x - 0.5) * inward),
        row + chip_size * (0.5 + (ring_y - 0.5) * inward),
    )
    if np.isfinite(ring).all():
        return fold_ring(ring)
    return _hull_on_earth(project, col, row, chip_size)


def _hull_on_earth(
    project: _Projection, col: float, row: float, chip_size: int
) -> shapely.Polygon | shapely.MultiPolygon | None:
    """Return the convex hull of the part of a chip that is on Earth; None if there is none."""
    side = np.linspace(0, chip_size, _FINE_PIECES // 2 + 1)
    lonlat = project.lonlat(*np.meshgrid(col + side, row + side)).reshape(-1, 2)
    lonlat = lonlat[np.isfinite(lonlat).all(axis=1)]
    if len(lonlat) < 3:
        return None
    hull = shapely.convex_hull(shapely.MultiPoint(np.c_[unroll(lonlat[:, 0]), lonlat[:, 1]]))
    return fold_ring(shapely.get_coordinates(hull)) if hull.geom_type == "Polygon" else None
