"""Chips that were cut once, kept in a folder, and served from then on without their files.

`ChipStore` is what a user makes. Its files, in the order in which a chip passes them:

```
store.py        `ChipStore`: finds and keeps chips
folder.py       its folder: packs, and those that are being written
known_packs.py  the packs that a process has open
keeping.py      the packs that a process writes, within the bytes allowed
hashes.py       hashes of the keys of chips
wanted.py       which pixels of which versions of its files an item's chips are made of
kinds.py        which planes the chips of a pack have, and in which arrays these lie
encoding.py     the pixels of a chip, encoded
planes.py       the bands of a chip: codec and checksum
pack_writer.py  a pack that is being written
zarr_form.py    metadata and arrays of Zarr
pack.py         a complete pack
held.py         what packs hold of a chip, and its pixels
open_files.py   the files that are kept open
catalogue.py    which chips are in which packs
claims.py       which process fills which part
```

A store is a folder of packs. A pack is a Zarr group with some hundred chips, beside a table of
them; it appears whole, and never changes. `docs/store.md` describes the form for other programs.

This folder imports from `chipper` and the folders before it. A chipper, a stream or a dataset is
given a store, and knows only what `chipper/kept_chips.py` says of it.
"""

from stacchip.chipstore.held import HeldChip, HeldPart
from stacchip.chipstore.store import ChipStore

__all__ = ["ChipStore", "HeldChip", "HeldPart"]
