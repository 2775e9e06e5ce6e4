"""Aerial imagery, which has no QA band: NAIP (United States) and LINZ (New Zealand)."""

from __future__ import annotations

import re

from stacchip.sources.source import ItemLike, Source

_QUARTER_QUAD = re.compile(r"(^|_)m_\d{7}_(ne|nw|se|sw)_\d{2}_")


def is_naip(item: ItemLike) -> bool:
    """Return True if an id holds the name of a NAIP quarter quadrangle.

    Example:
        >>> from types import SimpleNamespace
        >>> is_naip(SimpleNamespace(id="fl_m_2808060_sw_17_060_20191215_20200114"))
        True
    """
    return _QUARTER_QUAD.search(item.id) is not None


def is_linz(item: ItemLike) -> bool:
    """Return True if LINZ's pipeline made the item, or its files lie in LINZ's imagery bucket.

    There, each survey is a collection of its own, with a ULID as its id.

    Example:
        >>> from types import SimpleNamespace
        >>> software = {"processing:software": {"linz/topo-imagery": "https://..."}}
        >>> is_linz(SimpleNamespace(id="BD31", properties=software, assets={}))
        True
    """
    if "linz/topo-imagery" in item.properties.get("processing:software", {}):
        return True
    return any(
        "nz-imagery" in asset.href.split("/")[2:3] or "//nz-imagery." in asset.href
        for asset in item.assets.values()
    )


NAIP = Source(
    name="naip",
    title="NAIP",
    collections=("naip",),
    recognises=is_naip,
    bands=("image",),
    clouds="none",
    is_complete=True,
)
"""NAIP: one asset of four bands (red, green, blue, near infrared), 0.3 to 1 m, no QA band.

`cloud` is 0, although a tile may have up to a tenth of cloud, of which no band tells. `nodata` is
measured if the file declares a nodata value or a mask. Otherwise it is 0: a quarter quadrangle is
delivered whole. The other shares are null. Bands: USDA, NAIP Information Sheet ("4-band"). Cloud:
the metadata that come with the tiles ("may contain as much as 10% cloud cover per tile").
"""

LINZ = Source(
    name="linz",
    title="LINZ aerial imagery",
    recognises=is_linz,
    bands=("visual",),
    clouds="none",
    is_complete=True,
)
"""LINZ aerial imagery of New Zealand: one asset of three or four bands, no QA band.

`cloud` is 0: surveys are flown under clear skies. `nodata` is measured by the file's alpha band,
mask or nodata value, which a tile at the edge of a survey has; it is 0 in a file without any. The
other shares are null. Bands: README of the `nz-imagery` bucket.
"""
