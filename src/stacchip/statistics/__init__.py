"""Statistics of bands: one pass over the pixels, mergeable over shards.

Counts, minima and maxima are exact; so are percentiles of imagery of 8 and 16 bits, which is
counted value by value. That of other types goes through a quantile sketch (KLL), whose rank error
is stated with the result.
"""

from stacchip.statistics.band import BandStatistics, new_statistics
from stacchip.statistics.histogram import Histogram
from stacchip.statistics.moments import Moments
from stacchip.statistics.platform import Part, PlatformStatistics
from stacchip.statistics.report import PERCENTILES, make_report, write_yaml
from stacchip.statistics.sketch import QuantileSketch

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
