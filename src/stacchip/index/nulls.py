"""Columns of an index in which no row lacks a value, as the files say without a look at rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.index.files.layout import index_href
from stacchip.index.files.snapshot import open_index

if TYPE_CHECKING:
    import os

    from stacchip.storage import Storage

__all__ = ["may_be_null"]


def may_be_null(path: str | os.PathLike[str], column: str, storage: Storage) -> bool:
    """Return False if the statistics of an index say that no row lacks a value in a column.

    Args:
        path: As in `read_index`.
        column: The column's name.
        storage: How to reach the index.
    """
    return any(chips.nulls(column) != 0 for chips in open_index(index_href(path), storage))
