"""The rows of an index in parts, whether it is on disk or in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import UsageError
from stacchip.index import scan_index
from stacchip.index.foreign.tables import as_table
from stacchip.runtime.near_names import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from stacchip.storage import Storage

__all__ = ["scan_parts"]

_ROWS_AT_ONCE: Final = 100_000


def scan_parts(index: Any, columns: Sequence[str], storage: Storage | None) -> Iterator[pa.Table]:
    """Yield some columns of an index, in parts.

    Args:
        index: Its folder or file, or a table of any library.
        columns: Names of columns.
        storage: How to reach it.

    Raises:
        UsageError: A column is absent.
    """
    names = list(dict.fromkeys(columns))
    if isinstance(index, str | os.PathLike):
        yield from scan_index(index, columns=names, storage=storage)
        return
    table = as_table(index)
    if absent := [name for name in names if name not in table.column_names]:
        there = list_names(table.column_names, near=absent)
        raise UsageError(f"The table has no column {absent[0]!r}; it has: {there}.")
    wanted = table.select(names)
    for first in range(0, max(1, len(wanted)), _ROWS_AT_ONCE):
        yield wanted.slice(first, _ROWS_AT_ONCE)
