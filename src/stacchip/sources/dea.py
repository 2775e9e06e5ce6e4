"""Landsat as Digital Earth Australia publishes it: analysis-ready, with Fmask."""

from __future__ import annotations

import re

from stacchip.sources.classify import classify_values
from stacchip.sources.source import ItemLike, Source

_PRODUCT = re.compile(r"ga_ls[5789][tec]_ard_3$")


def is_dea_landsat(item: ItemLike) -> bool:
    """Return True if an item without a collection names a DEA Landsat product.

    Example:
        >>> from types import SimpleNamespace
        >>> is_dea_landsat(SimpleNamespace(id="x", properties={"odc:product": "ga_ls8c_ard_3"}))
        True
    """
    return _PRODUCT.match(str(item.properties.get("odc:product"))) is not None


DEA_LANDSAT = Source(
    name="ga_ls_ard_3",
    title="Digital Earth Australia Landsat",
    collections=("ga_ls5t_ard_3", "ga_ls7e_ard_3", "ga_ls8c_ard_3", "ga_ls9c_ard_3"),
    recognises=is_dea_landsat,
    qa_assets=("oa_fmask", "fmask"),
    classes={"nodata": (0,), "cloud": (2, 3), "shadow": (3,), "snow": (4,), "water": (5,)},
    classify=classify_values,
    bands=(
        *("nbart_coastal_aerosol", "nbart_blue", "nbart_green", "nbart_red", "nbart_nir"),
        *("nbart_swir_1", "nbart_swir_2", "nbart_panchromatic"),
    ),
    rgb=("nbart_red", "nbart_green", "nbart_blue"),
    nodata=-999,
)
"""Digital Earth Australia's Landsat surface reflectance, with shares from Fmask.

| Fmask | class | counts as |
|---|---|---|
| 0 | nodata | nodata |
| 1 | clear | |
| 2 | cloud | cloud |
| 3 | cloud shadow | cloud, shadow |
| 4 | snow | snow |
| 5 | water | water |

Classes: Digital Earth Australia, product page of `ga_ls8c_ard_3`, "Fmask". That shadow counts as
cloud follows the other sources.
"""
