"""Radar images in the geometry of their sensor, as far as items tell them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pystac

    from stacchip.grid.geobox import GeoBox

# `sar:product_type` until version 1.0 of the SAR extension, `product:type` of another one since
_PRODUCT_FIELDS: Final = ("sar:product_type", "product:type", "s1:product_type", "product_type")
# the SAR extension's names of products, which occur within longer ones such as IW_GRDH_1S
_IN_RADAR_GEOMETRY: Final = re.compile(
    "GRD|SLC|SSC|MGD|ground.?range|single.?look.?complex|slant.?range", re.IGNORECASE
)
_ON_THE_GROUND: Final = re.compile("RTC|GTC|GEC|terrain|geocod", re.IGNORECASE)
# how far the sides of a pixel may differ, in degrees, if it was not stretched over a bbox
_SQUARE: Final = 0.01


def describe_stretched(item: pystac.Item, grid: GeoBox) -> str | None:
    """Return why a grid is one that a catalogue invented for a radar image; None if it is not.

    Pixels in the geometry of the sensor lie oblique to the meridian, and are placed by control
    points. The item's transform is its bbox divided by its shape, which fits no pixel. Such a
    transform is recognised by pixels that are not square in degrees. A file's header tells more
    (`stacchip.raster.location`), but it takes a request.

    Example:
        >>> from datetime import datetime
        >>> import pystac
        >>> from affine import Affine
        >>> from stacchip.grid.geobox import make_geobox
        >>> pixel = Affine(3.7 / 26144, 0, 1.5, 0, -2 / 16676, 46.5)
        >>> grid = make_geobox("EPSG:4326", pixel, (16676, 26144))
        >>> properties = {"product:type": "IW_GRDH_1S"}
        >>> item = pystac.Item("a", None, None, datetime(2024, 5, 1), properties)
        >>> describe_stretched(item, grid)
        'proj:transform [0.0001...] stretches a IW_GRDH_1S image over its bbox, but it lies in ...'
    """
    product, transform = _product(item), grid.affine
    if product is None or grid.crs is None or not grid.crs.geographic:
        return None
    width = math.hypot(transform.a, transform.d)
    height = math.hypot(transform.b, transform.e)
    if abs(width / height - 1) <= _SQUARE:
        return None
    return (
        f"proj:transform {list(transform)[:6]} stretches a {product} image over its bbox, but it "
        "lies in radar geometry. Use a terrain-corrected product (RTC)"
    )


def _product(item: pystac.Item) -> str | None:
    """Return the item's name of its product if that is one in radar geometry, or None."""
    for field in _PRODUCT_FIELDS:
        name = str(item.properties.get(field) or "")
        if _IN_RADAR_GEOMETRY.search(name) and not _ON_THE_GROUND.search(name):
            return name
    return None
