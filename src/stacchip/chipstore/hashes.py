"""Hashes of the keys of chips, by which the catalogue finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stacchip.runtime.key_hash import hash_numbers, hash_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipstore.pack import Pack

__all__ = ["hash_item", "hash_keys", "hashes_in"]


def hash_item(platform: str, item_id: str, chip_size: int) -> int:
    """Return a hash of an item and a chip size."""
    return hash_text(f"{platform}\0{item_id}\0{chip_size}")


def hash_keys(keys: Sequence[ChipKey], items: Sequence[int]) -> list[int]:
    """Return a hash of each chip's key, as SQLite holds numbers.

    Args:
        keys: The keys.
        items: The hash of the item of each.
    """
    x = np.array([key.x for key in keys], np.int64)
    y = np.array([key.y for key in keys], np.int64)
    hashes: list[int] = hash_numbers(np.array(items, np.uint64), x, y).view(np.int64).tolist()
    return hashes


def hashes_in(pack: Pack) -> list[int]:
    """Return the hash of the chip in each row of a pack."""
    items = [hash_item(*item, pack.kind.chip_size) for item in pack.items]
    item, x, y = np.asarray(pack.chips, np.int64).T
    hashed = hash_numbers(np.array(items, np.uint64)[item], x, y)
    hashes: list[int] = hashed.view(np.int64).tolist()
    return hashes
