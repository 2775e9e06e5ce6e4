"""Where on Earth the made-up landscape is pretended to lie, and the items' geometry from it.

Somewhere in UTM zone 10, at the Pacific coast: the three programmes whose products are imitated all
see that area. The real place looks otherwise.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from odc.geo import geom
from odc.geo.geobox import GeoBox

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from stacchip.demo.landscape.view import View

EAST_M = 420_000.0
NORTH_M = 5_220_000.0
"""UTM coordinates of the landscape's north-west corner: multiples of 60 m, as tiles have."""


def georeference(view: View, crs: str) -> GeoBox:
    """The geobox of a view, in a UTM zone's coordinates.

    Example:
        >>> from stacchip.demo.landscape.view import View
        >>> georeference(View(0, 0, 10.0, (5, 5)), "EPSG:32610").boundingbox.left
        420000.0
    """
    step = view.pixel_m
    corner = (EAST_M + view.left_m, NORTH_M - view.top_m)
    return GeoBox(view.shape, Affine(step, 0, corner[0], 0, -step, corner[1]), crs)


def cut_view(view: View, seen: shapely.Polygon | None = None) -> BaseGeometry:
    """The part of a view that was seen, in metres of the landscape; the whole by default."""
    whole = shapely.box(*view.bounds_m)
    return whole if seen is None else shapely.intersection(whole, seen)


def contains_centres(view: View, polygon: shapely.Polygon) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the centre of each pixel lies in the polygon, (y, x)."""
    left, top, _, _ = view.bounds_m
    height, width = view.shape
    x = left + (np.arange(width) + 0.5) * view.pixel_m
    y = top + (np.arange(height) + 0.5) * view.pixel_m
    inside = np.ones(view.shape, bool)
    corners = shapely.get_coordinates(shapely.orient_polygons(polygon))
    for start, end in pairwise(corners):  # convex: a half-plane a side
        across = (end[0] - start[0]) * (y[:, None] - start[1])
        inside &= across - (end[1] - start[1]) * (x[None, :] - start[0]) >= 0
    return inside


def locate(polygon: BaseGeometry, crs: str) -> tuple[dict[str, Any], list[float]]:
    """GeoJSON geometry and bbox, in degrees, of a polygon in metres of the landscape.

    Sides get points between their ends, since a straight side in UTM is none in degrees.
    """
    corners = shapely.get_coordinates(polygon) * [1, -1] + [EAST_M, NORTH_M]
    outline = shapely.orient_polygons(shapely.Polygon(corners))
    projected = geom.Geometry(shapely.segmentize(outline, outline.length / 40), crs)
    degrees = projected.to_crs("OGC:CRS84").geom
    ring = np.round(shapely.get_coordinates(degrees), 7).tolist()
    bbox = [round(float(edge), 7) for edge in degrees.bounds]
    return {"type": "Polygon", "coordinates": [ring]}, bbox
