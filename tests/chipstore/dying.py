"""Processes that fill a store, which die or fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip import Chipper, ChipStore, ChipStream

if TYPE_CHECKING:
    from pathlib import Path


def fill(folder: Path, index: str, limit_bytes: int, order: str = "blocks") -> None:
    """Read an epoch, and then each chip once more, with a store in a folder."""
    store = ChipStore(folder, limit_bytes)
    for _ in ChipStream(index, store=store, order=order).batches(8):
        pass
    Chipper(index, store=store).cut_row(0)
    store.flush()
