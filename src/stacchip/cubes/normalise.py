"""Place and time of a chip as sines and cosines, which Clay's models take beside the pixels.

The rules come from the first tutorial of Clay v1 ("Run Clay v1 wall-to-wall") and from the output
of stacchip 0.1.38:

- The angle of a week is 2π/52 times its ISO number.
- The angle of an hour is 2π/24 times the whole hour of the day in UTC.
- The position of a chip is the middle of its bounds, in radians.
- The sine comes before the cosine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from stacchip.errors import IndexFormatError
from stacchip.index.foreign.geometry import without_extension

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEEKS = 52
HOURS = 24


def encode_angle(angle: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return sine and cosine, float32 (chip, 2), of angles (chip,) in radians.

    Example:
        >>> encode_angle(np.array([0.0])).tolist()
        [[0.0, 1.0]]
    """
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


def encode_week(datetime: pa.ChunkedArray) -> NDArray[np.float32]:
    """Return the ISO weeks of timestamps as (chip, 2). Week 53 has the angle of week 1.

    Example:
        >>> from datetime import UTC, datetime
        >>> start = pa.chunked_array([[datetime(2024, 3, 25, tzinfo=UTC)]])  # of week 13 of 52
        >>> encode_week(start).tolist()[0][0]
        1.0
    """
    week = pc.iso_week(datetime).to_numpy()
    return encode_angle(week * 2 * np.pi / WEEKS)


def encode_hour(datetime: pa.ChunkedArray) -> NDArray[np.float32]:
    """Return the hours of the day in UTC as (chip, 2). Minutes do not count, as in the original.

    Example:
        >>> from datetime import UTC, datetime
        >>> early = pa.chunked_array([[datetime(2024, 5, 1, 6, 59, tzinfo=UTC)]])
        >>> encode_hour(early).round(6).tolist()
        [[1.0, 0.0]]
    """
    hour = pc.hour(datetime).to_numpy()
    return encode_angle(hour * 2 * np.pi / HOURS)


def encode_degrees(degrees: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return longitudes or latitudes in degrees as (chip, 2)."""
    return encode_angle(np.deg2rad(degrees))


def find_centres(table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles of chips' bounds: longitudes and latitudes in degrees (OGC:CRS84).

    The bounds of a chip at the antimeridian reach around the globe. Its middle comes from the parts
    of its footprint.

    Args:
        table: Rows of an index.

    Raises:
        IndexFormatError: A chip has no bounds, because it lies outside the Earth's edge.
    """
    bbox = table["bbox"].combine_chunks()
    if bbox.null_count:
        row = int(np.flatnonzero(bbox.is_null().to_numpy(zero_copy_only=False))[0])
        raise IndexFormatError(
            f"Chip {table['chipid'][row].as_py()!r} has no location: its bbox is null. "
            "Leave it out, by max_nodata or by its footprint."
        )
    west, south, east, north = (
        bbox.field(side).to_numpy(zero_copy_only=False) for side in ("xmin", "ymin", "xmax", "ymax")
    )
    lon, lat = (west + east) / 2, (south + north) / 2
    for row in np.flatnonzero(east - west > 180).tolist():  # only those at the antimeridian
        wkb = without_extension(table["geometry"])[row].as_py()
        if wkb is None:
            raise IndexFormatError(
                f"Chip {table['chipid'][row].as_py()!r} crosses the antimeridian, and has no "
                "footprint that says where. Index its item again: geometry is null."
            )
        lon[row] = _middle_of_parts(shapely.from_wkb(wkb))
    return lon, lat


def _middle_of_parts(footprint: shapely.Geometry) -> float:
    """Return the middle longitude, -180..180, of a footprint cut at the antimeridian."""
    bounds = shapely.bounds(shapely.get_parts(footprint))[:, [0, 2]]
    bounds[bounds[:, 0] < 0] += 360
    middle = (bounds.min() + bounds.max()) / 2
    return float((middle + 180) % 360 - 180)
