"""From a STAC item to a table of its chips, one row a chip.

`Indexer(item)` finds the source of an item and measures its chips by that source's QA band; the
indexers of our sources can also be named (`Sentinel2Indexer(item)`). To measure chips in a way of
your own, subclass `ChipIndexer` and override `get_stats`.
"""

from stacchip.indexer.base import (
    ChipIndexer,
    GridDifference,
    NoDataMaskChipIndexer,
    NoStatsChipIndexer,
)
from stacchip.indexer.by_source import (
    Indexer,
    LandsatIndexer,
    ModisIndexer,
    Sentinel1Indexer,
    Sentinel2Indexer,
)
from stacchip.indexer.many import Indexed, index_items

__all__ = [
    "ChipIndexer",
    "GridDifference",
    "Indexed",
    "Indexer",
    "LandsatIndexer",
    "ModisIndexer",
    "NoDataMaskChipIndexer",
    "NoStatsChipIndexer",
    "Sentinel1Indexer",
    "Sentinel2Indexer",
    "index_items",
]
