"""What a kind of imagery is: data, and one pure function from QA pixels to shares.

`find_source(item)` tells which it is. Which classes count as cloud is a stated part of a source:

>>> from dataclasses import replace
>>> no_shadow = replace(LANDSAT, classes={**LANDSAT.classes, "cloud": (1, 3)})

A source of your own is a `Source`, with one of the functions of `stacchip.sources.classify`, or one
of yours where they do not fit its QA band. Here, a drone's with a confidence of cloud in percent:

>>> def classify_confidence(pixels, classes, nodata):
...     (limit,) = classes["cloud"]
...     return {"cloud": (pixels > limit) & (pixels <= 100), "nodata": pixels > 100}
>>> DRONE = Source(
...     name="my-drone",
...     title="Drone survey",
...     collections=("surveys-2024",),
...     qa_assets=("cloud_confidence",),
...     classes={"cloud": (60,), "nodata": ()},
...     classify=classify_confidence,
...     bands=("red", "green", "blue", "nir"),
... )
>>> register_source(DRONE)  # doctest: +SKIP

A package that is installed beside stacchip registers its sources by entry point instead: see
`stacchip.sources.registry`.
"""

from stacchip.sources.aerial import LINZ, NAIP
from stacchip.sources.classify import (
    classify_bits,
    classify_low_bits,
    classify_nodata,
    classify_nothing,
    classify_values,
)
from stacchip.sources.dea import DEA_LANDSAT
from stacchip.sources.landsat import LANDSAT, LANDSAT_L1, LANDSAT_ST
from stacchip.sources.modis import MODIS
from stacchip.sources.registry import find_source, get_source, list_sources, register_source
from stacchip.sources.sentinel1 import SENTINEL_1
from stacchip.sources.sentinel2 import SENTINEL_2
from stacchip.sources.source import SHARES, Source

__all__ = [
    "DEA_LANDSAT",
    "LANDSAT",
    "LANDSAT_L1",
    "LANDSAT_ST",
    "LINZ",
    "MODIS",
    "NAIP",
    "SENTINEL_1",
    "SENTINEL_2",
    "SHARES",
    "Source",
    "classify_bits",
    "classify_low_bits",
    "classify_nodata",
    "classify_nothing",
    "classify_values",
    "find_source",
    "get_source",
    "list_sources",
    "register_source",
]
