"""Centres of chips in longitude and latitude: the middles of their bounds.

The bounds of a chip at the antimeridian, or at a pole, reach around the globe. Its centre comes
from its footprint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import shapely

from stacchip.errors import IndexFormatError
from stacchip.index.foreign.geometry import read_shapes, without_extension

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def find_centres(table: pa.Table) -> tuple[Floats, Floats]:
    """Return the centres of all chips: longitudes and latitudes in degrees (OGC:CRS84).

    Args:
        table: Rows of an index.

    Raises:
        IndexFormatError: A chip has no bounds, because it lies outside the Earth's edge.
    """
    lon, lat = find_known_centres(table)
    unknown = np.flatnonzero(np.isnan(lon))
    if not len(unknown):
        return lon, lat
    row = int(unknown[0])
    chipid = table["chipid"][row].as_py()
    if table["bbox"][row].as_py() is None:
        raise IndexFormatError(
            f"Chip {chipid!r} has no location: its bbox is null. "
            "Leave it out, by max_nodata or by its footprint."
        )
    raise IndexFormatError(
        f"Chip {chipid!r} crosses the antimeridian, and has no "
        "footprint that says where. Index its item again: geometry is null."
    )


def find_known_centres(table: pa.Table) -> tuple[Floats, Floats]:
    """Return the centres of chips as `find_centres` does; NaN where the table does not tell."""
    if "bbox" not in table.column_names:
        unknown = np.full(table.num_rows, np.nan)
        return unknown, unknown.copy()
    west, south, east, north = _bounds(table)
    east = np.where(east < west, east + 360, east)  # as GeoJSON says it, and some other tools
    lon, lat = _fold((west + east) / 2), (south + north) / 2
    for row in np.flatnonzero(east - west > 180).tolist():  # only those around the globe
        shape = None
        if "geometry" in table.column_names:
            one = without_extension(table["geometry"]).slice(row, 1)
            shape = read_shapes(one, "geometry")[0]
        is_told = shape is not None and not shape.is_empty
        lon[row], lat[row] = _centre_of(shape, lat[row]) if is_told else (np.nan, np.nan)
    return lon, lat


def _bounds(table: pa.Table) -> list[Floats]:
    """Return west, south, east and north of chips; NaN where they have no bounds."""
    bbox = table["bbox"].combine_chunks()
    absent = bbox.is_null().to_numpy(zero_copy_only=False)
    sides = (bbox.field(side).to_numpy(zero_copy_only=False) for side in _SIDES)
    return [np.where(absent, np.nan, side) for side in sides]


def _centre_of(footprint: shapely.Geometry, latitude: float) -> tuple[float, float]:
    """Return the centre of a footprint that is cut at the antimeridian or holds a pole.

    Args:
        footprint: Its longitudes are in -180..180.
        latitude: The middle of its latitudes.
    """
    latitudes = np.abs(shapely.get_coordinates(footprint)[:, 1])
    # a footprint of few latitudes is that of a rectangle in degrees, to which a pole is a line
    if latitudes.max() == 90 and len(np.unique(latitudes)) > 2:
        return _centre_at_pole(footprint, np.copysign(1.0, latitude))
    bounds = shapely.bounds(shapely.get_parts(footprint))[:, [0, 2]]
    bounds[bounds[:, 0] < 0] += 360
    return float(_fold((bounds.min() + bounds.max()) / 2)), latitude


def _centre_at_pole(footprint: shapely.Geometry, hemisphere: float) -> tuple[float, float]:
    """Return the centre of a footprint that holds a pole, as seen from above the pole."""
    lonlat = shapely.get_coordinates(footprint)
    lonlat = lonlat[np.abs(lonlat[:, 1]) < 90]  # the others only close the polygon along the pole
    angle, distance = np.deg2rad(lonlat[:, 0]), 90 - np.abs(lonlat[:, 1])
    outline = np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=-1)
    x, y = shapely.get_coordinates(shapely.centroid(shapely.Polygon(outline)))[0]
    return float(np.rad2deg(np.arctan2(y, x))), float(hemisphere * (90 - np.hypot(x, y)))


def _fold(longitude: Any) -> Any:
    """Return longitudes moved to -180..180; those that are there already stay to the bit."""
    return np.where(np.abs(longitude) > 180, (longitude + 180) % 360 - 180, longitude)
