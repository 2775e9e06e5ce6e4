"""Kinds of imagery: each is data, and one pure function from QA pixels to shares.

`find_source(item)` returns the source of an item. A source states which classes count as cloud, so
you can change them:

>>> from dataclasses import replace
>>> no_shadow = replace(LANDSAT, classes={**LANDSAT.classes, "cloud": (1, 3)})

A kind of imagery has three names, each for one use:

- A *source* (`Source.name`, here) says how items are recognised and what their QA band means.
- A *platform* is the same name in the index's column `platform` and in an archive's folders. An
  item of no known source has its collection, or its satellite, as its platform. `training_bands`
  says which bands of a platform make a training chip.
- A *recipe* (`stacchip.collect.recipes`) says what `stacchip collect` fetches. Its name is that of
  the command: `sentinel-2`, `sentinel-1` and `landsat` fetch the platforms `sentinel-2-l2a`,
  `sentinel-1-rtc`, and `landsat-c2l1` and `landsat-c2l2-sr`. The other names are the same.

The files, in reading order:

```
source          what a source is
classify        functions from QA pixels to shares: by value, by bit
landsat         a source, with a table of its classes and the document they are from; so are
                sentinel2, sentinel1, modis, dea (Landsat of Digital Earth Australia) and aerial
                (NAIP, LINZ)
registry        finds the source of an item; registers new ones
harmonize       brings Sentinel-2 of all processing baselines onto one scale
training_bands  bands, wavelengths and types of a platform's training chips
```

Cloud in Landsat, for example: `LANDSAT` (`landsat.py`) says that bits 1, 3 and 4 count as cloud,
`classify_bits` reads them, and `stacchip.index.quality` counts the pixels of each chip.

To index a kind of imagery of your own, one `Source` is enough. Use a function of `classify`, or
write one if none fits the QA band. This drone's QA band holds the confidence of cloud in percent:

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

An installed package registers its sources by entry point instead: see `stacchip.sources.registry`.
A source of stacchip's own has a file here, and a place in `registry.BUILT_IN` and below. To give
its training chips default bands, add it to `training_bands.PLATFORMS`. To let `stacchip collect`
fetch it, add a recipe as `stacchip.collect.recipes` describes.

This folder imports only `stacchip.errors`, `stacchip.runtime` and `stacchip.raster.nodata`. It
knows items by `ItemLike`, and opens nothing.
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
from stacchip.sources.harmonize import Harmonize, boa_offset
from stacchip.sources.landsat import LANDSAT, LANDSAT_L1, LANDSAT_ST
from stacchip.sources.modis import MODIS, MODIS_STATE, classify_state
from stacchip.sources.registry import (
    clouds_of,
    find_source,
    get_source,
    list_sources,
    register_source,
)
from stacchip.sources.sentinel1 import SENTINEL_1
from stacchip.sources.sentinel2 import SENTINEL_2
from stacchip.sources.source import SHARES, Clouds, Source

__all__ = [
    "DEA_LANDSAT",
    "LANDSAT",
    "LANDSAT_L1",
    "LANDSAT_ST",
    "LINZ",
    "MODIS",
    "MODIS_STATE",
    "NAIP",
    "SENTINEL_1",
    "SENTINEL_2",
    "SHARES",
    "Clouds",
    "Harmonize",
    "Source",
    "boa_offset",
    "classify_bits",
    "classify_low_bits",
    "classify_nodata",
    "classify_nothing",
    "classify_state",
    "classify_values",
    "clouds_of",
    "find_source",
    "get_source",
    "list_sources",
    "register_source",
]
