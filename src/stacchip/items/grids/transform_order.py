"""The order of the numbers in `proj:transform`: the specification's, or GDAL's.

The specification has `a b c d e f` (6 numbers, or 9 with `0 0 1`), as rasterio writes it. GDAL's
geotransform is `c a b f d e`. Many catalogues have written it as it came.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from affine import Affine

if TYPE_CHECKING:
    from collections.abc import Sequence

SPECIFIED: Final = "the specification's"
GDAL: Final = "GDAL's"
MOST_ASPECT: Final = 1000
"""No imagery has pixels of such sides, but numbers in another order do."""


def likely_orders(numbers: Sequence[float] | None) -> tuple[str, ...]:
    """Return the orders that numbers may be in, the likeliest first.

    Args:
        numbers: 6 or 9 numbers; None for none.

    Example:
        >>> likely_orders([10, 0, 500000, 0, -10, 4200000])
        ("the specification's",)
        >>> likely_orders([500000, 10, 0, 4200000, 0, -10, 0, 0, 1])
        ("GDAL's",)
    """
    if numbers is None or numbers[1] == numbers[3] == 0:  # north is up, as in nearly all items
        return (SPECIFIED,)
    orders = (GDAL, SPECIFIED) if _is_gdal_order(numbers) else (SPECIFIED, GDAL)
    # pixels as the wrong order makes them are so large that all boxes lie within the grid
    return orders if _are_pixels(in_order(numbers, orders[1])) else orders[:1]


def in_order(numbers: Sequence[float], order: str) -> Affine:
    """Return the transform of numbers in an order.

    Example:
        >>> tuple(in_order([500000, 10, 0, 4200000, 0, -10], GDAL))[:6]
        (10.0, 0.0, 500000.0, 0.0, -10.0, 4200000.0)
    """
    return Affine.from_gdal(*numbers[:6]) if order == GDAL else Affine(*numbers[:6])


def aspect(transform: Affine) -> float:
    """Return how many times a pixel's longer side is the shorter one; inf without area.

    Example:
        >>> aspect(Affine(30, 0, 0, 0, -10, 0))
        3.0
    """
    sides = math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)
    return max(sides) / min(sides) if min(sides) > 0 else math.inf


def _are_pixels(transform: Affine) -> bool:
    """Return True if neither side of a pixel is ten times the other."""
    return aspect(transform) < 10


def _is_gdal_order(numbers: Sequence[float]) -> bool:
    """Return True if numbers can hardly be anything but `x0, dx, rx, y0, ry, dy`.

    In the specification's order `x0, dx, 0, y0, 0, dy` would mean a grid without pixel height, or
    one rotated by exactly 90 degrees whose x origin is exactly 0 and whose pixels are `dx` wide and
    `y0` high. Of a rotated grid it would make pixels that are `x0` wide and `dy` high.
    """
    x0, dx, row_rotation, _, column_rotation, dy = numbers[:6]
    specified, gdal = (in_order(numbers, order) for order in (SPECIFIED, GDAL))
    if row_rotation == column_rotation == 0 and dx != 0 and dy != 0:
        return not (x0 == 0 and _are_pixels(specified))
    return aspect(specified) > MOST_ASPECT and _are_pixels(gdal)
