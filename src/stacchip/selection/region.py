"""Areas of any CRS as areas of longitude and latitude: across the antimeridian, around a pole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from stacchip.errors import UsageError
from stacchip.grid.antimeridian import fold_ring
from stacchip.grid.crs import lonlat_transformer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fold_area"]

_PIECES: Final = 256  # of the side of an area, whose edges bend in longitude and latitude


def fold_area(area: shapely.Geometry, crs: Any = None) -> shapely.Geometry:
    """Return an area in OGC:CRS84, with longitudes in -180..180.

    Args:
        area: Polygons. In longitude and latitude, those beyond 180 degrees go on on the other side.
        crs: Their CRS, as pyproj has it; None for OGC:CRS84.

    Raises:
        UsageError: A part of it lies nowhere on the Earth.

    Example:
        >>> [part.bounds for part in fold_area(shapely.box(170, -20, 190, 20)).geoms]
        [(-180.0, -20.0, -170.0, 20.0), (170.0, -20.0, 180.0, 20.0)]
    """
    west, south, east, north = area.bounds
    is_lonlat = crs is None or crs.equals("OGC:CRS84", ignore_axis_order=True)
    if is_lonlat and -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
        return area
    to_lonlat = _same if is_lonlat else lonlat_transformer(crs).transform
    dense = shapely.segmentize(area, max(east - west, north - south) / _PIECES)
    parts = [_fold(part, to_lonlat) for part in shapely.get_parts(dense) if part.area]
    return shapely.union_all(parts)


def _same(x: Any, y: Any) -> tuple[Any, Any]:
    return x, y


def _fold(polygon: shapely.Polygon, to_lonlat: Callable[..., Any]) -> shapely.Geometry:
    outside, *holes = (
        _fold_ring(ring, to_lonlat) for ring in (polygon.exterior, *polygon.interiors)
    )
    return shapely.difference(outside, shapely.union_all(holes)) if holes else outside


def _fold_ring(ring: shapely.LinearRing, to_lonlat: Callable[..., Any]) -> shapely.Geometry:
    x, y = shapely.get_coordinates(ring).T
    lon, lat = to_lonlat(x, y)
    points = np.stack([lon, lat], axis=1)
    if not np.isfinite(points).all() or (abs(points[:, 1]) > 90).any():
        raise UsageError("A region reaches beyond the Earth: choose an area within its CRS.")
    folded = fold_ring(points)
    if folded is None:
        raise UsageError("A region encloses nothing in longitude and latitude.")
    return folded
