"""The place on Earth that the made-up landscape pretends to have, and the geometry of items there.

It lies in UTM zone 10, at the Pacific coast, which all three imitated programmes see. The real
place looks different.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.grid.crs import lonlat_transformer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from stacchip.demo.landscape import View

EAST_M = 420_000.0
NORTH_M = 5_220_000.0
"""UTM coordinates of the landscape's north-west corner: multiples of 60 m, as those of tiles."""


def georeference(view: View, crs: str) -> GeoBox:
    """Return the geobox of a view in the coordinates of a UTM zone.

    Example:
        >>> from stacchip.demo.landscape import View
        >>> georeference(View(0, 0, 10.0, (5, 5)), "EPSG:32610").boundingbox.left
        420000.0
    """
    step = view.pixel_m
    corner = (EAST_M + view.left_m, NORTH_M - view.top_m)
    return GeoBox(view.shape, Affine(step, 0, corner[0], 0, -step, corner[1]), crs)


def outline(view: View, corners: Sequence[tuple[float, float]]) -> shapely.Polygon:
    """Return a polygon in metres of the landscape from corners in shares of a view.

    Example:
        >>> from stacchip.demo.landscape import View
        >>> outline(View(100, 0, 10.0, (5, 5)), [(0, 0), (1, 0), (0.5, 1)]).wkt
        'POLYGON ((100 0, 150 0, 125 50, 100 0))'
    """
    left, top, right, bottom = view.bounds_m
    return shapely.Polygon(np.array(corners) * (right - left, bottom - top) + (left, top))


def contains_centres(view: View, polygon: shapely.Polygon) -> NDArray[np.bool_]:
    """Return True for each pixel whose centre lies in the polygon, (y, x)."""
    left, top, _, _ = view.bounds_m
    height, width = view.shape
    x = left + (np.arange(width) + 0.5) * view.pixel_m
    y = top + (np.arange(height) + 0.5) * view.pixel_m
    inside: NDArray[np.bool_] = shapely.contains_xy(polygon, *np.meshgrid(x, y))
    return inside


def locate(polygon: BaseGeometry, crs: str) -> tuple[dict[str, Any], list[float]]:
    """Return the GeoJSON geometry and the bbox, in degrees, of a polygon in metres.

    Each side gets points between its ends, because a straight side in UTM is curved in degrees.
    """
    corners = shapely.get_coordinates(polygon) * [1, -1] + [EAST_M, NORTH_M]
    ring = shapely.orient_polygons(shapely.Polygon(corners))
    metres = shapely.get_coordinates(shapely.segmentize(ring, ring.length / 40))
    to_lonlat = lonlat_transformer(pyproj.CRS(crs).to_wkt())
    degrees = np.round(np.column_stack(to_lonlat.transform(*metres.T)), 7)
    bbox = [*degrees.min(axis=0).tolist(), *degrees.max(axis=0).tolist()]
    return {"type": "Polygon", "coordinates": [degrees.tolist()]}, bbox
