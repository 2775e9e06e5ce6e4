"""MODIS surface reflectance, Terra and Aqua, daily and eight-day."""

from __future__ import annotations

import re

from stacchip.sources.classify import classify_low_bits
from stacchip.sources.source import ItemLike, Source

_PRODUCT = re.compile(r"M[OY]D09(A1|GA)\.A\d{7}\.h\d\dv\d\d\.")


def is_modis_reflectance(item: ItemLike) -> bool:
    """Return True for the id of a MOD09A1, MYD09A1, MOD09GA or MYD09GA granule.

    Example:
        >>> from types import SimpleNamespace
        >>> is_modis_reflectance(SimpleNamespace(id="MOD09GA.A2008296.h14v17.006.2015181011753"))
        True
    """
    return _PRODUCT.match(item.id) is not None


MODIS = Source(
    name="modis",
    title="MODIS surface reflectance 500 m",
    collections=("modis-09A1-061", "modis-09A1-006", "modis-09GA-061", "modis-09GA-006"),
    recognises=is_modis_reflectance,
    qa_assets=("sur_refl_qc_500m", "QC_500m"),
    classes={"nodata": (3,), "cloud": (2,)},
    classify=classify_low_bits,
    bands=tuple(f"sur_refl_b{band:02d}" for band in range(1, 8)),
    nodata=-28672,
)
"""MODIS surface reflectance (MOD09A1, MOD09GA), with shares from `sur_refl_qc_500m` or `QC_500m`.

| bits 0-1 | MODLAND QA | counts as |
|---|---|---|
| 0 | produced at ideal quality | |
| 1 | produced, less than ideal quality in some or all bands | |
| 2 | not produced due to cloud | cloud |
| 3 | not produced for other reasons, may be fill | nodata |

Bits: MODIS Surface Reflectance User's Guide, Collection 6.1, "500 m QA descriptions". (The original
stacchip counted 1 as cloud, which is reflectance of lower quality.) The fill of the bands is
-28672; that of the QA bands, 4294967295 or 787410671, has both bits set.
"""
