"""Plan an epoch: which chips come, in what order, and which blocks they need meanwhile.

Everything here is decided from numbers (rows, positions, bytes), so the same inputs give the same
plan. Nothing here opens a file, and nothing imports `stacchip.stream.read`.

```
wanted_chips.py   the chosen chips of an index as arrays: item, size, column and row of each
stored_chips.py   the same of a large index on disk: what is as long as the index is in files
weighed_chips.py  the chips with what a draw knows of each, in memory or in files
epoch_draw.py     the chips that an epoch draws from them
drawn_chips.py    the same from a large index, in files of their own
areas.py          neighbouring chips that share blocks, grouped to be read together
by_area.py        chips put area by area
chip_table.py     the chips area by area: what an epoch puts in order
order_file.py     a chip table as a file that all processes map into memory
order_cache.py    finds order files, or makes them
epoch_order.py    the order of an epoch: sequences, and the lanes that they are cut into
sequence.py       the chips of one kind in their order, found piece by piece; the shuffle is here
permuted.py       the same as one permutation of all, for chips that a store holds
permutation.py    a permutation of any number of things, of which each is found by itself
segments.py       stretches of a sequence that are read side by side
braid.py          the chips of several parts of a mix in one order
shares.py         what one process delivers
lanes.py          the lanes of a share, chip by chip, and the visits that they make up
schedule.py       of which kind each batch of a process is
course.py         the batches of a process, and their visits
visits.py         from the first to the last chip of a part of an area: its blocks are kept so long
ledger.py         what to load and drop before each chip, within the memory allowed
```
"""
