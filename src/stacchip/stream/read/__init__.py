"""Read an epoch: each block is decoded once for all chips that need it.

```
reading.py        one pass: does what the ledger says before each chip
open_items.py     the items, opened ahead
layers.py         an item's rasters as blocks
loading.py        blocks being fetched and decoded, in memory, or failed
cutting.py        chips out of decoded blocks
pasting.py        chips out of what a store of chips holds
from_store.py     the same in the background, straight into a batch
filling_store.py  areas of which a store lacks chips, read so that it keeps them
kept_reading.py   one pass in any order over chips of a store
decode_speed.py   how fast this machine decodes, for `explain`
```

The pixels are those of `Chipper`, to the bit. A new codec needs an encoder in `decode_speed.py`.
"""
