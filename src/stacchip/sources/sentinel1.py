"""Sentinel-1, radiometrically terrain corrected: backscatter, no QA band."""

from __future__ import annotations

import re

from stacchip.sources.classify import classify_nodata
from stacchip.sources.source import ItemLike, Source

_CORRECTED = re.compile(r"S1[A-D]_.*_rtc$|OPERA_L2_RTC-S1_", re.IGNORECASE)
# each archive has its own spelling: Planetary Computer, its pipeline, the AWS archive, OPERA
_BANDS = tuple(
    form.format(name)
    for name in ("vv", "VV", "vh", "VH", "hh", "HH", "hv", "HV")
    for form in ("{}", "{}-rtc", "gamma0_{}")
)


def is_sentinel_1_rtc(item: ItemLike) -> bool:
    """Return True if an item without a known collection is terrain-corrected Sentinel-1.

    GRD and SLC are not: they lie in radar geometry, which no chip grid fits.

    Example:
        >>> from types import SimpleNamespace
        >>> is_sentinel_1_rtc(SimpleNamespace(id="S1A_IW_GRDH_1SDV_0378DC_rtc", assets={}))
        True
    """
    return _CORRECTED.match(item.id) is not None or "gamma0_vv" in item.assets


SENTINEL_1 = Source(
    name="sentinel-1-rtc",
    title="Sentinel-1 RTC",
    collections=("sentinel-1-rtc", "sentinel1-rtc-aws"),
    recognises=is_sentinel_1_rtc,
    qa_assets=_BANDS,
    classes={"nodata": (-32768,)},
    classify=classify_nodata,
    bands=_BANDS,
    rgb=None,
    nodata=-32768,
    clouds="not applicable",
)
"""Sentinel-1 RTC, with nodata from the pixels of the first polarisation (vv, else vh, hh, hv).

| pixel | counts as |
|---|---|
| NaN | nodata |
| -32768 (Planetary Computer) | nodata |
| the value that the file or item declares (0 in the AWS archive, NaN in OPERA's) | nodata |

Radar sees through cloud: `cloud` does not apply. It is null, as the other shares are. Values:
Planetary Computer's `sentinel-1-rtc` (`raster:bands` of its items); OPERA RTC-S1 product
specification (JPL D-108758).
"""
