"""The order of items in a merged index: neighbours in space and time are near in the file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hilbert_distance", "order_items"]

_BITS: Final = 16  # cells of 600 m by 300 m; items are larger


def order_items(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    time: NDArray[np.int64],
    rows: NDArray[np.int64],
    rows_per_group: int,
) -> list[NDArray[np.intp]]:
    """Sort items into regions, and by time within each, so that filters on both skip row groups.

    Items are sorted along a Hilbert curve and cut into regions of about equal numbers of rows; with
    G row groups there are about sqrt(G) regions of sqrt(G) row groups each. A filter on a place
    reads one region, a filter on a short time one row group of each region.

    Args:
        lon: Longitude of each item's centre, degrees.
        lat: Latitude, degrees.
        time: Any number that rises with time.
        rows: Number of rows of each item.
        rows_per_group: Rows that a row group will have.

    Returns:
        The positions of the items in each region, in order. Items of equal time keep the order
        along the curve.

    Example:
        >>> lon = np.array([10.0, -60.0, 10.1, -60.1])
        >>> time = np.array([2, 2, 1, 1])
        >>> rows = np.full(4, 100)
        >>> [region.tolist() for region in order_items(lon, lon * 0, time, rows, 100)]
        [[3, 1], [2, 0]]
    """
    along = np.argsort(hilbert_distance(lon, lat), kind="stable")
    groups = math.ceil(int(rows.sum()) / rows_per_group)
    regions = max(1, round(math.sqrt(groups)))
    before = np.cumsum(rows[along]) - rows[along]
    region = np.minimum(before * regions // max(1, int(rows.sum())), regions - 1)
    parts = (along[region == number] for number in range(regions))
    return [part[np.argsort(time[part], kind="stable")] for part in parts if len(part)]


def hilbert_distance(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the position of each place along a Hilbert curve over the globe.

    The algorithm is `xy2d` of "Hilbert curve", Wikipedia, for arrays.

    Example:
        >>> hilbert_distance(np.array([-180.0, 180.0]), np.array([-90.0, -90.0])).tolist()
        [0, 4294967295]
    """
    cells = 1 << _BITS
    x = np.clip((lon + 180) / 360 * cells, 0, cells - 1).astype(np.int64)
    y = np.clip((lat + 90) / 180 * cells, 0, cells - 1).astype(np.int64)
    distance = np.zeros_like(x)
    for bit in reversed(range(_BITS)):
        side = 1 << bit
        right, upper = (x & side) > 0, (y & side) > 0
        distance += side * side * ((3 * right) ^ upper)
        # turn the quadrant so that its curve continues the one before
        mirrored = ~upper & right
        x, y = np.where(mirrored, cells - 1 - x, x), np.where(mirrored, cells - 1 - y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
    return distance
