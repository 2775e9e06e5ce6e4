"""Statistics of bands: one pass over the pixels, mergeable over shards.

Counts, minima and maxima are exact; so are percentiles of imagery of 8 and 16 bits, which is
counted value by value. That of other types goes through a quantile sketch (KLL), whose rank error
is stated with the result.
"""

from stacchip.datasets.statistics.band import BandStatistics, new_statistics
from stacchip.datasets.statistics.histogram import Histogram
from stacchip.datasets.statistics.moments import Moments
from stacchip.datasets.statistics.part import Part
from stacchip.datasets.statistics.platform import PlatformStatistics
from stacchip.datasets.statistics.report import PERCENTILES, make_report, write_yaml
from stacchip.datasets.statistics.sketch import QuantileSketch

__all__ = [
    "PERCENTILES",
    "BandStatistics",
    "Histogram",
    "Moments",
    "Part",
    "PlatformStatistics",
    "QuantileSketch",
    "make_report",
    "new_statistics",
    "write_yaml",
]
