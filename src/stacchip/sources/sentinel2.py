"""Sentinel-2 Level-2A: surface reflectance with a scene classification."""

from __future__ import annotations

import re

from stacchip.sources.classify import classify_values
from stacchip.sources.source import ItemLike, Source

_LEVEL_2A = re.compile(r"(^|_)(MSI)?L2A(_|\.|$)")


def is_sentinel_2_l2a(item: ItemLike) -> bool:
    """Return True if an item without a known collection is Sentinel-2 Level-2A.

    The platform (`sentinel-2a`, `Sentinel-2B`) gives the constellation. `s2:product_type` gives the
    level, or else the id (`S2A_MSIL2A_...`, `S2B_33SVB_20210221_0_L2A`). Level-1C has no scene
    classification, and is not of this source.

    Example:
        >>> from types import SimpleNamespace
        >>> is_sentinel_2_l2a(SimpleNamespace(id="S2B_33SVB_20210221_0_L2A", properties={}))
        True
    """
    product = item.properties.get("s2:product_type")
    if product is not None:
        return bool(product == "S2MSI2A")
    platform = str(item.properties.get("platform") or item.id).lower()
    return platform.startswith(("sentinel-2", "s2")) and bool(_LEVEL_2A.search(item.id))


SENTINEL_2 = Source(
    name="sentinel-2-l2a",
    title="Sentinel-2 Level-2A",
    collections=(
        "sentinel-2-l2a",  # Planetary Computer, Earth Search v1, Copernicus Data Space
        "sentinel-2-c1-l2a",  # Earth Search, Collection 1
        "sentinel-2-pre-c1-l2a",
        "sentinel-s2-l2a",  # Earth Search v0
        "sentinel-s2-l2a-cogs",
        "s2_l2a",  # Digital Earth Africa
    ),
    recognises=is_sentinel_2_l2a,
    qa_assets=("scl", "SCL", "scl_20m", "SCL_20m", "SCL-20m", "scl_60m", "SCL_60m", "scl-jp2"),
    classes={
        "nodata": (0,),
        "cloud": (1, 3, 8, 9, 10),
        "shadow": (3,),
        "cirrus": (10,),
        "snow": (11,),
        "water": (6,),
    },
    classify=classify_values,
    bands=(
        *("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08"),
        *("swir16", "swir22"),
        *("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
    ),
    nodata=0,
)
"""Sentinel-2 Level-2A, with shares from the scene classification (SCL, 20 m).

| SCL | class | counts as |
|---|---|---|
| 0 | no data | nodata |
| 1 | saturated or defective | cloud |
| 2 | dark area (topographic shadow) | |
| 3 | cloud shadow | cloud, shadow |
| 4, 5 | vegetation, not vegetated | |
| 6 | water | water |
| 7 | unclassified | |
| 8, 9 | cloud, medium and high probability | cloud |
| 10 | thin cirrus | cloud, cirrus |
| 11 | snow or ice | snow |

Classes: Sentinel-2 Products Specification Document, "Scene Classification". That 1 and 3 count as
cloud is the rule of the original stacchip: such pixels are as useless to a model.
"""
