"""Areas and distances of footprints on the WGS84 ellipsoid.

A footprint is a polygon in OGC:CRS84 whose edges are straight in degrees, with longitudes in
-180..180: what crosses the antimeridian is cut there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyproj
import shapely

from stacchip.grid.antimeridian import fold_ring
from stacchip.splits.ground import grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Shapes = NDArray[np.object_]

__all__ = ["GEOD", "LocalPlane", "area_m2", "distance_m", "grow_bounds", "on_one_globe"]

GEOD: Final = pyproj.Geod(ellps="WGS84")
_A: Final = 6_378_137.0
_B: Final = _A * (1 - 1 / 298.257223563)
_E: Final = math.sqrt(1 - (_B / _A) ** 2)

# The smallest radius of curvature of WGS84 (of the meridian, at the equator): distances on a sphere
# of that radius are never longer than those on the ellipsoid between the same coordinates.
_LEAST_RADIUS_M: Final = _A * (1 - _E**2)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_SETTLED_M: Final = 1e-4
_PIECES: Final = 8
_TRIES: Final = 12
_AREAS: Final = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def grow_bounds(bounds: Floats, by_m: float) -> Floats:
    """Return bounds that hold all places within a distance of the given ones, (box, 4).

    West may be less than -180, and east more than 180.

    Example:
        >>> grow_bounds(np.array([[179.0, 0, 180, 1]]), 10_000).round(2).tolist()
        [[178.91, -0.09, 180.09, 1.09]]
    """
    west, south, east, north = bounds.T
    return np.stack(grow((west, south, east, north), by_m / 1000), axis=1)


def area_m2(shapes: Shapes) -> Floats:
    """Return the areas of polygons in square metres; of lines and points, 0.

    The area of a ring is the integral along it of the area between the equator and its latitude.

    Example:
        >>> area_m2(np.array([shapely.box(-180, -90, 180, 90)])).round(-9)
        array([5.10066e+14])
    """
    parts, of_shape = shapely.get_parts(shapes, return_index=True)
    is_area = shapely.get_dimensions(parts) == 2
    parts, of_shape = shapely.orient_polygons(parts[is_area]), of_shape[is_area]
    rings, of_part = shapely.get_rings(parts, return_index=True)
    points, of_ring = shapely.get_coordinates(rings, return_index=True)
    lon, lat = np.deg2rad(points).T
    inside = of_ring[1:] == of_ring[:-1]
    step = np.diff(lon)[inside]
    middle, half = (lat[1:] + lat[:-1])[inside] / 2, np.diff(lat)[inside] / 2
    mean = sum(
        weight / 2 * _zone(middle + node * half)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True)
    )
    owner = of_shape[of_part[of_ring[1:][inside]]]
    return np.abs(np.bincount(owner, -step * mean, minlength=len(shapes)))


def _zone(lat: Floats) -> Floats:
    """Return the area between the equator and a latitude, of one radian of longitude."""
    sine = np.sin(lat)
    zone: Floats = _B**2 / 2 * (sine / (1 - (_E * sine) ** 2) + np.arctanh(_E * sine) / _E)
    return zone


class LocalPlane:
    """A plane around a place, in metres: distances from the place are true.

    (PROJ's azimuthal equidistant projection, which follows geodesics on the ellipsoid.)

    Args:
        lon: Longitude of the place.
        lat: Its latitude.
    """

    def __init__(self, lon: float, lat: float) -> None:
        self._project = pyproj.Proj(proj="aeqd", lon_0=lon, lat_0=lat, ellps="WGS84")

    def points(self, lonlat: Floats) -> Floats:
        """Return points of the plane from longitudes and latitudes, (point, 2)."""
        lon, lat = lonlat.T
        return np.stack(self._project(lon, lat), axis=1)

    def shapes(self, shapes: Any) -> Any:
        """Return shapes in the plane."""
        return shapely.transform(shapes, self.points)

    def lonlat(self, points: Floats) -> Floats:
        """Return longitudes and latitudes of points of the plane, (point, 2)."""
        x, y = points.T
        return np.stack(self._project(x, y, inverse=True), axis=1)

    def curves(
        self, start: Floats, end: Floats, flat: tuple[Floats, Floats] | None = None
    ) -> Floats:
        """Return how far edges, straight in degrees, are from straight lines of the plane.

        Args:
            start: Where they begin, (edge, 2).
            end: Where they end.
            flat: Both in the plane, if that is known.
        """
        flat_start, flat_end = flat or (self.points(start), self.points(end))
        most = np.zeros(len(start))
        for part in (0.25, 0.5, 0.75):
            between = self.points(start + part * (end - start))
            line = flat_start + part * (flat_end - flat_start)
            most = np.maximum(most, np.hypot(*(between - line).T))
        return 1.5 * most

    @staticmethod
    def distortion(reach_m: Any) -> Any:
        """Return the share by which lengths may be wrong, so far from the place."""
        return 1.2 * (reach_m / _LEAST_RADIUS_M) ** 2 / 6 + 1e-9


def distance_m(
    one: shapely.Geometry, other: shapely.Geometry, than_m: float | None = None
) -> float:
    """Return the distance of two footprints in metres, to a millimetre for each kilometre.

    Where their edges may be nearest, these are cut until they are straight on the ground.

    Args:
        one: A footprint.
        other: Another one.
        than_m: If the distance only needs to be on the right side of this, it may be less exact.

    Example:
        >>> west, east = shapely.box(179.9, 0, 180, 1), shapely.box(-179.99, 0.2, -179, 0.3)
        >>> round(distance_m(west, east), 3)
        1113.18
    """
    if shapely.intersects(one, other):
        return 0.0
    edges = [_edges(each) for each in (one, other)]
    near = edges[0][0, 0].tolist()
    length = math.inf
    for _ in range(_TRIES):  # through the middle of a plane, lengths are exact
        plane = LocalPlane(*near)
        lines = [shapely.linestrings(_flat(plane, each)) for each in edges]
        every = [shapely.multilinestrings([each])[0] for each in lines]
        ends = shapely.get_coordinates(shapely.shortest_line(*every))
        found = float(np.hypot(*(ends[1] - ends[0])))
        is_settled = abs(found - length) <= _SETTLED_M
        length = found
        near = plane.lonlat(ends.mean(axis=0, keepdims=True))[0].tolist()
        curves = [plane.curves(each[:, 0], each[:, 1]) for each in edges]
        most = max(float(each.max()) for each in curves)
        reach = float(np.abs([shapely.total_bounds(each) for each in lines]).max())
        slack = length * plane.distortion(1.5 * reach)
        if is_settled and most <= _SETTLED_M:
            break
        if than_m is not None and abs(length - than_m) > 3 * most + slack:
            break
        for place, line in enumerate(every[::-1]):
            gap = shapely.distance(lines[place], line) - curves[place] - most - slack
            kept = gap <= length + most + _SETTLED_M
            edges[place] = _cut(edges[place][kept], curves[place][kept])
    return length


def _edges(shape: shapely.Geometry) -> Floats:
    """Return the edges of a shape, of a degree at most, (edge, end, 2)."""
    points = []
    for part in shapely.get_parts(shapely.get_parts(shapely.segmentize(shape, 1.0))):
        rings = shapely.get_rings(part) if shapely.get_dimensions(part) == 2 else [part]
        for ring in rings:
            line = shapely.get_coordinates(ring)
            line = line if len(line) > 1 else np.repeat(line, 2, axis=0)
            points.append(line)
    ends = [np.stack([line[:-1], line[1:]], axis=1) for line in points]
    return np.concatenate(ends)


def _cut(edges: Floats, curves: Floats) -> Floats:
    """Return edges, those in pieces that are curved."""
    is_curved = curves > _SETTLED_M
    straight, edges = edges[~is_curved], edges[is_curved]
    parts = np.linspace(0, 1, _PIECES + 1)[None, :, None]
    points = edges[:, :1] + parts * (edges[:, 1:] - edges[:, :1])
    pieces = np.stack([points[:, :-1], points[:, 1:]], axis=2).reshape(-1, 2, 2)
    return np.concatenate([straight, pieces])


def _flat(plane: LocalPlane, lonlat: Floats) -> Floats:
    """Return places in the plane, of any shape (..., 2)."""
    return plane.points(lonlat.reshape(-1, 2)).reshape(lonlat.shape)


def on_one_globe(shapes: Shapes) -> Shapes:
    """Return valid shapes with longitudes in -180..180, cut at the antimeridian.

    Other tools write rings that jump from 179 to -179 degrees, or go on beyond 180.

    Example:
        >>> jumps = shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
        >>> sorted(part.bounds for part in on_one_globe(np.array([jumps]))[0].geoms)
        [(-180.0, 0.0, -179.0, 1.0), (179.0, 0.0, 180.0, 1.0)]
    """
    shapes = shapes.copy()
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    beyond = np.zeros(len(shapes), bool)
    beyond[owner[np.abs(points[:, 0]) > 180]] = True
    jumps = (owner[1:] == owner[:-1]) & _is_jump(points)
    beyond[owner[1:][jumps]] = True
    for place in np.flatnonzero(beyond & np.isin(shapely.get_type_id(shapes), _AREAS)):  # few
        shapes[place] = _fold(shapes[place])
    broken = ~shapely.is_valid(shapes) & (shapely.get_dimensions(shapes) >= 0)
    shapes[broken] = shapely.make_valid(shapes[broken])
    return shapes


def _is_jump(points: Floats) -> NDArray[np.bool_]:
    """Return True for steps over the antimeridian: not along a parallel around the whole globe."""
    step = np.abs(np.diff(points[:, 0]))
    jump: NDArray[np.bool_] = (step > 180) & (step < 360) & (np.abs(points[1:, 1]) < 90)
    return jump


def _fold(shape: shapely.Geometry) -> shapely.Geometry:
    folded = []
    for part in shapely.get_parts(shape):
        points = shapely.get_coordinates(part.exterior)
        if np.abs(points[:, 0]).max() > 180 or _is_jump(points).any():
            outline = fold_ring(points)
            for hole in part.interiors if outline is not None else ():
                outline = shapely.difference(outline, fold_ring(shapely.get_coordinates(hole)))
            folded.append(outline)
        else:
            folded.append(part)
    return shapely.union_all([each for each in folded if each is not None])
