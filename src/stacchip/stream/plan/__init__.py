"""Plan an epoch: which chips come, in what order, and which blocks they need meanwhile.

Everything here is decided from numbers (rows, positions, bytes), so the same inputs give the same
plan. Nothing here opens a file, and nothing imports `stacchip.stream.read`.

```
wanted_chips.py   the rows of an index as arrays: item, size, column and row of each chip
areas.py          neighbouring chips that share blocks, grouped to be read together
epoch_order.py    the order of the chips; the shuffle is here
visits.py         from the first to the last chip of an area: the time that its blocks are kept
ledger.py         what to load and drop before each chip, within the memory allowed
```
"""
