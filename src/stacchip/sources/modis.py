"""MODIS surface reflectance, Terra and Aqua, daily and eight-day."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stacchip.sources.classify import classify_low_bits, classify_values
from stacchip.sources.source import ItemLike, Source

if TYPE_CHECKING:
    from stacchip.sources.classify import Classes, Flags, Pixels

_PRODUCT = re.compile(r"M[OY]D09(A1|GA)\.A\d{7}\.h\d\dv\d\d\.")
_QC_ASSETS = ("sur_refl_qc_500m", "QC_500m", "QC_500m_1")
# of eight days at 500 m; of a day at 1 km, as its file and as catalogues name it
_STATE_ASSETS = ("sur_refl_state_500m", "state_1km_1", "state_1km")
# first bit and number of bits of each field of the state that tells a share
_STATE_FIELDS = {
    "cloud": (0, 2),
    "shadow": (2, 1),
    "water": (3, 3),
    "cirrus": (8, 2),
    "snow": (12, 1),
}


def is_modis_reflectance(item: ItemLike) -> bool:
    """Return True for the id of a MOD09A1, MYD09A1, MOD09GA or MYD09GA granule.

    Example:
        >>> from types import SimpleNamespace
        >>> is_modis_reflectance(SimpleNamespace(id="MOD09GA.A2008296.h14v17.006.2015181011753"))
        True
    """
    return _PRODUCT.match(item.id) is not None


def classify_state(pixels: Pixels, classes: Classes, nodata: float | None) -> dict[str, Flags]:
    """Return the shares of a band whose bits are fields of numbers: the state of MODIS.

    Args:
        pixels: State values, of 16 bits, signed or not, of any shape.
        classes: For each share, the numbers of its field that count; for `nodata`, whole values. A
            pixel of `nodata` counts for no other share: its bits mean nothing.
        nodata: The nodata value that the file declares; it counts as `nodata`, as its classes do.

    Example:
        >>> import numpy as np
        >>> state = np.array([[0b01_001_0_01, 1 << 12 | 0b001_0_00, 65535]], "uint16")
        >>> shares = classify_state(state, MODIS_STATE.classes, None)
        >>> shares["cloud"].tolist(), shares["snow"].tolist(), shares["nodata"].tolist()
        ([[True, False, False]], [[False, True, False]], [[False, False, True]])
    """
    if pixels.dtype.kind == "i":  # the bits of a signed type: -1 is 65535
        pixels = pixels.astype(np.uint16)
        nodata = None if nodata is None else nodata % (1 << 16)
    shares = classify_values(pixels, {"nodata": classes.get("nodata", ())}, nodata)
    for share, numbers in classes.items():
        if share != "nodata":
            first, count = _STATE_FIELDS[share]
            field = np.bitwise_and(np.right_shift(pixels, first), (1 << count) - 1)
            shares[share] = classify_values(field, {share: numbers}, None)[share]
            shares[share] &= ~shares["nodata"]
    return shares


def with_state(source: Source, item: ItemLike) -> Source:
    """Return a MODIS source that takes its shares from the state band, if the item has one.

    A source whose QA band or classes somebody chose stays as it is.

    Example:
        >>> from types import SimpleNamespace
        >>> item = SimpleNamespace(assets={"sur_refl_qc_500m": ..., "sur_refl_state_500m": ...})
        >>> with_state(MODIS, item).qa_asset(item)
        'sur_refl_state_500m'
    """
    is_ours = (source.qa_assets, source.classes) == (MODIS.qa_assets, MODIS.classes)
    if not is_ours or MODIS_STATE.qa_asset(item) not in _STATE_ASSETS:
        return source
    return replace(
        source,
        qa_assets=MODIS_STATE.qa_assets,
        classes=MODIS_STATE.classes,
        classify=MODIS_STATE.classify,
        adapt=None,
    )


MODIS = Source(
    name="modis",
    title="MODIS surface reflectance 500 m",
    collections=("modis-09A1-061", "modis-09A1-006", "modis-09GA-061", "modis-09GA-006"),
    recognises=is_modis_reflectance,
    qa_assets=_QC_ASSETS,
    classes={"nodata": (3,), "cloud": (2,)},
    classify=classify_low_bits,
    bands=tuple(f"sur_refl_b{band:02d}" for band in range(1, 8)),
    rgb=("sur_refl_b01", "sur_refl_b04", "sur_refl_b03"),
    nodata=-28672,
    adapt=with_state,
)
"""MODIS surface reflectance (MOD09A1, MOD09GA), with shares from the state band: `MODIS_STATE`.

Items without a state band are measured by `sur_refl_qc_500m` or `QC_500m`, which hardly ever say
cloud: they say what was produced.

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

MODIS_STATE = replace(
    MODIS,
    qa_assets=(*_STATE_ASSETS, *_QC_ASSETS),
    classes={
        "nodata": (65535,),
        "cloud": (1, 2),
        "shadow": (1,),
        "water": (0, 3, 4, 5, 6, 7),
        "cirrus": (1, 2, 3),
        "snow": (1,),
    },
    classify=classify_state,
    adapt=None,
)
"""MODIS by its state band: `sur_refl_state_500m` of eight days, `state_1km` of a day.

`MODIS` becomes this for each item that has such a band.

| field | values that count | counts as |
|---|---|---|
| bits 0-1, cloud state | 1 cloudy, 2 mixed (0 is clear, 3 not set and assumed clear) | cloud |
| bit 2, cloud shadow | 1 | shadow |
| bits 3-5, land and water | 0 shallow ocean, 3 shallow inland, 4 ephemeral, 5 deep inland water, \
6 continental and 7 deep ocean (1 is land, 2 coastline and shore) | water |
| bits 8-9, cirrus detected | 1 small, 2 average, 3 high | cirrus |
| bit 12, snow or ice of MOD35 | 1 | snow |
| the whole value | 65535, the fill | nodata, and nothing else |

Bits: MODIS Surface Reflectance User's Guide, Collection 6 (version 1.4), table 13, "State QA
description"; fill: tables 4 and 6. The files of Collection 6.1 name the same bits, in an attribute.
"""
