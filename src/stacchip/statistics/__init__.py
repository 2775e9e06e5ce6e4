"""Statistics of bands: mean, deviation, minimum, maximum and percentiles, for normalising chips.

```python
imagery = Imagery("s3://bucket/index", "sentinel-2-l2a")
statistics = index_statistics(imagery, Storage())
print(write_yaml(make_report([statistics])))
```

`stacchip stats` is the same call. The shares of cloud and nodata in an index are something else:
they describe chips, and `stacchip.index.quality` counts them while items are indexed.

One pass over the pixels is enough, and statistics of parts merge to those of the whole. Counts,
minima and maxima are exact, and so are percentiles of imagery of 8 and 16 bits, which is counted
value by value. Other types go through a quantile sketch (KLL), whose rank error the report states.
Valid pixels that are infinite or NaN are counted apart.

In reading order:

- `measure`: statistics of the chips of an index, or of cubes
- `sample`: which chips a run measures, and which it leaves out
- `platform`: the statistics of all bands of one platform, and which part of a run they are
- `band`: one band, by the way that suits its type:
- `histogram`: integers of 8 and 16 bits, counted value by value
- `moments`, `sketch`: other types, by merged moments and a quantile sketch
- `folder`: the parts that many jobs leave, and their merge
- `report`: the numbers as YAML, in the form of Clay's `configs/metadata.yaml`

A type that needs another way of counting gets a class in `band` (see `BandStatistics`) and its line
in `new_statistics`. This folder imports from `cubes`, `stream` and the folders before
them; only `cli` imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.runtime.lazy_names import offer_lazily
from stacchip.statistics.band import BandStatistics, NonFinite, new_statistics
from stacchip.statistics.histogram import Histogram
from stacchip.statistics.moments import Moments
from stacchip.statistics.platform import Part, PlatformStatistics
from stacchip.statistics.report import PERCENTILES, make_report, write_yaml
from stacchip.statistics.sample import Sample
from stacchip.statistics.sketch import QuantileSketch

if TYPE_CHECKING:
    from stacchip.statistics.folder import StatisticsFolder, merge_statistics
    from stacchip.statistics.measure import cube_statistics, index_statistics, list_platforms

__all__ = [
    "PERCENTILES",
    "BandStatistics",
    "Histogram",
    "Moments",
    "NonFinite",
    "Part",
    "PlatformStatistics",
    "QuantileSketch",
    "Sample",
    "StatisticsFolder",
    "cube_statistics",
    "index_statistics",
    "list_platforms",
    "make_report",
    "merge_statistics",
    "new_statistics",
    "write_yaml",
]

if not TYPE_CHECKING:  # merging statistics needs no stream
    __getattr__, __dir__ = offer_lazily(
        __name__,
        {
            "folder": ["StatisticsFolder", "merge_statistics"],
            "measure": ["cube_statistics", "index_statistics", "list_platforms"],
        },
    )
