"""Cut chips out of the original files: a row of an index becomes arrays of pixels.

`Chipper` cuts chips, and `Chip` is one of them. Its files, in the order in which a row passes them:

```
chipper.py      what a user calls
rows_to_cut.py  rows of any table that name chips, completed as far as cutting needs
index_rows.py   the chip in each row (`ChipKey`), and the row that a caller means
stored_rows.py  the same for an index that stays on disk
find_item.py    the row's item: given, kept by the index, or at its address
found_item.py   that item, the headers that the index keeps, and the grid of the chips
open_item.py    the item's rasters, opened and read together
placing.py      where each raster lies on that grid, and which are refused
file_versions.py  the version of each file that was opened first, which the chips have in common
shared_versions.py  the same for copies of a chipper in other processes
kept_chips.py   what is asked of a store of chips that were cut before
open_items.py   the cache of open items, for chippers and streams alike
chip.py         the result: pixels, valid, place and time
data_array.py   the result for xarray
```

A block that is sparse, missing or broken is handled in `stacchip.raster`; here the error gets its
item and asset. Chips by the thousand are cut in `stacchip.stream`, from the same open items.

This folder imports from `indexer` and the folders before it.
"""

from stacchip.chipper.chip import Chip
from stacchip.chipper.chipper import Chipper

__all__ = ["Chip", "Chipper"]
