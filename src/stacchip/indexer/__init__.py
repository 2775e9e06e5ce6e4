"""Make the index of a STAC item: a table with one row for each chip.

`Indexer(item)` finds the item's source and measures the chips by that source's QA band. If an
item does not name its source, use an indexer of one source, such as `Sentinel2Indexer(item)`, or
`Indexer(item, source=...)`. To measure chips in your own way, subclass `ChipIndexer` and override
`get_stats`.

```
reference_grid.py   the reference band of an item, by its files if they are known, else by the item
base.py             ChipIndexer: the grid of an item's chips, and its table, and simple indexers
unmeasured.py       chips whose shares are null, since no pixel is read
nodata.py           nodata from the reference band, if no QA band tells it
by_source.py        Indexer: shares of cloud and nodata from the QA band of the item's source
many.py             index_items: many items to one index, written only when all items are done
intake.py           the items of such a run: each once, or why it cannot be read
outcome.py          what became of them: indexed, left out, dropped, without chips
no_chips.py         why an item has no chip
```

If an item and its file disagree about where pixels lie, the file is believed, and the difference is
logged and kept in `differences` (`stacchip.items.file_grids` compares them). `index_items` knows
the headers of all files. `Indexer` looks at the QA band's, and opens the reference band if that one
differs. `open_files=True` looks at all bands. `stacchip.sources` says which QA bits mean cloud,
and `stacchip.index.quality` counts them. A new source therefore needs no indexer: add it to
`stacchip.sources`, or register it.

This folder imports from `index` and the folders before it.
"""

from stacchip.indexer.base import (
    ChipIndexer,
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
from stacchip.indexer.unmeasured import UnmeasuredChipIndexer
from stacchip.items import GridDifference

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
    "UnmeasuredChipIndexer",
    "index_items",
]
