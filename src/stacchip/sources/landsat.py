"""Landsat Collection 2, Levels 1 and 2: QA_PIXEL is the same in both."""

from __future__ import annotations

import re
from dataclasses import replace

from stacchip.sources.classify import classify_bits
from stacchip.sources.source import ItemLike, Source

# LXSS_LLLL_PPPRRR_YYYYMMDD_(yyyymmdd_)CC_TX: sensor, satellite, level, path and row, dates,
# collection, tier (LSDS-1656); Planetary Computer leaves the processing date out
_PRODUCT = re.compile(
    r"L[COTEM]0[1-9]_(L\d[A-Z]{2})_\d{6}_\d{8}_(?:\d{8}_)?02_(?:T1|T2|RT)(_\w+)?$"
)


def _level(item: ItemLike) -> str | None:
    """Return `L1`, `L2` or `ST` if an item's id is that of a Collection 2 product."""
    product = _PRODUCT.match(item.id)
    if product is None:
        return None
    return "ST" if product[2] == "_ST" else product[1][:2]


def is_landsat_l2(item: ItemLike) -> bool:
    """Return True for the id of a Collection 2 Level-2 product (surface reflectance).

    Example:
        >>> from types import SimpleNamespace
        >>> is_landsat_l2(SimpleNamespace(id="LC08_L2SP_047027_20201204_02_T1"))
        True
    """
    return _level(item) == "L2"


def is_landsat_st(item: ItemLike) -> bool:
    """Return True for the id of a Collection 2 surface temperature item, as USGS lists them.

    Example:
        >>> from types import SimpleNamespace
        >>> is_landsat_st(SimpleNamespace(id="LT04_L2SP_002026_19830110_20200918_02_T1_ST"))
        True
    """
    return _level(item) == "ST"


def is_landsat_l1(item: ItemLike) -> bool:
    """Return True for the id of a Collection 2 Level-1 product.

    Example:
        >>> from types import SimpleNamespace
        >>> is_landsat_l1(SimpleNamespace(id="LM01_L1GS_001010_19720908_20200909_02_T2"))
        True
    """
    return _level(item) == "L1"


def without_unused_bits(source: Source, item: ItemLike) -> Source:
    """Return a Landsat source without the shares whose bits the item's sensor leaves unused.

    A bit that is never set would read as "no cirrus", although the sensor cannot see it. OLI sets
    all bits; TM and ETM+ have no cirrus band; MSS has neither cirrus, shadow, snow nor water.

    Example:
        >>> from types import SimpleNamespace
        >>> tm = SimpleNamespace(id="LT05_L2SP_010067_19860424_20200918_02_T2_SR")
        >>> "cirrus" in without_unused_bits(LANDSAT, tm).classes
        False
    """
    unused = {
        "LT": {"cirrus"},
        "LE": {"cirrus"},
        "LM": {"cirrus", "shadow", "snow", "water"},
    }.get(str(item.id)[:2], set())
    if not unused & set(source.classes):
        return source
    return replace(source, classes={s: b for s, b in source.classes.items() if s not in unused})


LANDSAT = Source(
    name="landsat-c2l2-sr",
    title="Landsat Collection 2 Level-2",
    collections=(
        "landsat-c2l2-sr",  # USGS
        "landsat-c2l2alb-sr",
        "landsat-c2ard-sr",
        "landsat-c2-l2",  # Planetary Computer, Earth Search
    ),
    recognises=is_landsat_l2,
    # not Collection 1's pixel_qa, whose bits have other meanings
    qa_assets=("qa_pixel", "QA_PIXEL", "QA_PIXEL.TIF"),
    classes={
        "nodata": (0,),
        "cloud": (1, 3, 4),
        "shadow": (4,),
        "cirrus": (2,),
        "snow": (5,),
        "water": (7,),
    },
    classify=classify_bits,
    bands=(
        *("coastal", "blue", "green", "red", "nir08", "swir16", "swir22"),
        *("SR_B1.TIF", "SR_B2.TIF", "SR_B3.TIF", "SR_B4.TIF", "SR_B5.TIF", "SR_B6.TIF"),
        "SR_B7.TIF",
    ),
    nodata=None,  # the bands' nodata is 0, as their files say; QA_PIXEL 0 means no findings
    adapt=without_unused_bits,
)
"""Landsat Collection 2 Level-2, with shares from the bits of QA_PIXEL (30 m).

| bit | meaning | counts as |
|---|---|---|
| 0 | fill | nodata, and nothing else |
| 1 | dilated cloud | cloud |
| 2 | cirrus, high confidence (Landsat 8 and 9; unused before) | cirrus |
| 3 | cloud, high confidence | cloud |
| 4 | cloud shadow (unused by MSS) | cloud, shadow |
| 5 | snow (unused by MSS) | snow |
| 6 | clear | |
| 7 | water (unused by MSS) | water |
| 8-15 | confidences, two bits each | |

Bits: "Pixel Quality Assessment (QA_PIXEL)" in the Landsat 8-9 Collection 2 Level 2 Science Product
Guide (LSDS-1619), in that of Landsat 4-7 (LSDS-1618), and for MSS in the Landsat 1-5 Level 1 Data
Format Control Book. That dilated cloud and shadow count as cloud is the rule of the original
stacchip.
"""

LANDSAT_ST = replace(
    LANDSAT,
    name="landsat-c2l2-st",
    title="Landsat Collection 2 surface temperature",
    collections=("landsat-c2l2-st", "landsat-c2l2alb-st", "landsat-c2ard-st"),
    recognises=is_landsat_st,
    bands=("lwir11", "lwir", "ST_B10.TIF", "ST_B6.TIF"),
    rgb=None,
)
"""Landsat Collection 2 surface temperature, if a catalogue lists it apart from reflectance."""

LANDSAT_L1 = replace(
    LANDSAT,
    name="landsat-c2l1",
    title="Landsat Collection 2 Level-1",
    collections=("landsat-c2l1", "landsat-c2-l1"),
    recognises=is_landsat_l1,
    bands=(
        *("coastal", "blue", "green", "red", "nir08", "nir09", "swir16", "swir22"),
        *("pan", "cirrus", "lwir11", "lwir12", "lwir"),
    ),
)
"""Landsat Collection 2 Level-1: a source of its own, since its values are digital numbers."""
