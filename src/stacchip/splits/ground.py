"""The ground within some distance of chips, as boxes of longitude and latitude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.grid.footprints import BBOX
from stacchip.grid.rounded_bounds import round_outwards
from stacchip.splits.shares import is_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Box = tuple[Floats, Floats, Floats, Floats]

__all__ = ["bounds_of", "grow", "require_buffer"]

_LONGEST_BUFFER_KM: Final = 5000.0
_FARTHEST: Final = 540.0  # degrees of longitude: one turn beyond the antimeridian
_LEAST_RADIUS_KM: Final = 6335.439
"""The least radius of curvature of WGS84: of the meridian, at the equator. A sphere of this radius
is smaller everywhere: what is within a distance on the ellipsoid is within it on the sphere."""


def bounds_of(rows: pa.Table) -> Box:
    """Return west, south, east and north of chips in degrees; NaN where they are not known.

    East is no less than west: beyond the antimeridian, the longitudes go on. Bounds are rounded as
    an index stores them, so that rows in memory and rows on disk say the same.

    Args:
        rows: Rows with the column `bbox`.

    Raises:
        UsageError: `bbox` has another type.
    """
    kind = rows["bbox"].type
    names = {each.name: each.type for each in kind} if pa.types.is_struct(kind) else {}
    if not all(pa.types.is_floating(names.get(side, pa.null())) for side in BBOX.names):
        raise UsageError(
            f"The column 'bbox' has type {kind}: it must be a struct of xmin, ymin, xmax and ymax "
            "in degrees. stacchip.index.conform makes it from footprints."
        )
    box = round_outwards(rows["bbox"])
    sides = [
        pc.struct_field(box, side).cast(pa.float64()).to_numpy(zero_copy_only=False)
        for side in BBOX.names
    ]
    is_known = np.isfinite(sides).all(axis=0)
    west, south, east, north = sides
    with np.errstate(invalid="ignore"):
        is_known &= (abs(west) <= _FARTHEST) & (abs(east) <= _FARTHEST) & (south <= north)
        is_known &= (south >= -90) & (north <= 90)
    west, south, east, north = (np.where(is_known, side, np.nan) for side in sides)
    return west, south, np.where(east < west, east + 360, east), north


def grow(box: Box, km: float) -> Box:
    """Return boxes that hold all ground within some distance of others, on the ellipsoid.

    They may hold a little more: 1 % of the distance, and 0.1 % at 45 degrees.

    Args:
        box: West, south, east and north, in degrees.
        km: The distance.

    Example:
        >>> box = tuple(np.array([side]) for side in (9.0, 50.0, 10.0, 51.0))
        >>> west, south, east, north = grow(box, 1)
        >>> print(f"{9 - west[0]:.5f} {50 - south[0]:.5f}")
        0.01437 0.00904
    """
    west, south, east, north = box
    angle = km / _LEAST_RADIUS_KM
    south, north = south - np.degrees(angle), north + np.degrees(angle)
    highest = np.maximum(abs(south), abs(north))
    # the most that longitude changes on a circle of this radius around a place at this latitude
    ratio = np.sin(min(angle, np.pi / 2)) / np.cos(np.radians(np.minimum(highest, 90)))
    more = np.degrees(np.arcsin(np.minimum(ratio, 1)))
    has_pole = (highest >= 90) | (ratio >= 1)  # all meridians meet there
    more = np.where(has_pole, 180, more)
    return west - more, np.maximum(south, -90), east + more, np.minimum(north, 90)


def require_buffer(km: float) -> None:
    """Refuse a buffer that is no distance.

    Raises:
        UsageError: It is negative, or half of the globe.
    """
    if not is_number(km) or not 0 <= km <= _LONGEST_BUFFER_KM:
        raise UsageError(f"buffer_km must be 0 to {_LONGEST_BUFFER_KM:g}, not {km!r}.")
