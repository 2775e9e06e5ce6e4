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
import pyarrow.compute as pc

from stacchip.index.centres import find_centres

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = [
    "HOURS",
    "WEEKS",
    "encode_angle",
    "encode_degrees",
    "encode_hour",
    "encode_week",
    "find_centres",
]

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
        >>> import pyarrow as pa
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
        >>> import pyarrow as pa
        >>> early = pa.chunked_array([[datetime(2024, 5, 1, 6, 59, tzinfo=UTC)]])
        >>> encode_hour(early).round(6).tolist()
        [[1.0, 0.0]]
    """
    hour = pc.hour(datetime).to_numpy()
    return encode_angle(hour * 2 * np.pi / HOURS)


def encode_degrees(degrees: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return longitudes or latitudes in degrees as (chip, 2)."""
    return encode_angle(np.deg2rad(degrees))
