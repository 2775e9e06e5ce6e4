"""`_removed.part-{number}.parquet`: the rows of a folder's files that were removed.

It has a row for each range: the name of the file, its first row and the number of its rows, as the
file has them. Chips and records of items are marked alike. `_index.json` names the file, and each
removal writes a new one for all that was removed so far. `compact_index` writes an index without
such rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from stacchip.errors import IndexFormatError, ObjectNotFound
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.row_ranges import NO_ROWS, RowRanges
from stacchip.parquet.sealed_writer import SealedWriter
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stacchip.storage import Storage

    Removed = Mapping[str, RowRanges]
    """The rows that were removed from each file, by its name."""

__all__ = ["REMOVED", "join_removed", "read_removed", "write_removed"]

REMOVED: Final = "_removed.parquet"
_SCHEMA: Final = pa.schema(
    [pa.field("file", pa.string()), pa.field("first", pa.int64()), pa.field("rows", pa.int64())]
)


def read_removed(href: str, storage: Storage) -> dict[str, RowRanges]:
    """Read the rows that were removed from the files of a folder.

    Raises:
        IndexFormatError: The file is damaged, or gone: no reader can tell which rows are left.
    """
    try:
        table = open_parquet(href, storage).read(_SCHEMA.names).cast(_SCHEMA)
    except (ObjectNotFound, KeyError, pa.ArrowException) as error:
        raise _unknown(href, error) from error
    ranges: dict[str, list[tuple[int, int]]] = {}
    for name, first, rows in zip(
        *(table[each].to_pylist() for each in table.column_names), strict=True
    ):
        if None in (name, first, rows) or first < 0 or rows <= 0:
            raise _unknown(href, f"{rows} rows from {first} of {name}")
        ranges.setdefault(name, []).append((first, rows))
    return {name: RowRanges.of(several) for name, several in ranges.items()}


def _unknown(href: str, reason: object) -> IndexFormatError:
    return IndexFormatError(
        f"{redact(href)} does not say which rows of the index were removed: {reason}. Copy the "
        "whole folder of the index again, or write the index again.",
        href=redact(href),
    )


def write_removed(path: Path, removed: Removed) -> None:
    """Write the rows that were removed from the files of a folder."""
    rows = [
        {"file": name, "first": first, "rows": rows}
        for name in sorted(removed)
        for first, rows in removed[name].pairs()
    ]
    with SealedWriter(path, _SCHEMA, compression="zstd", use_dictionary=["file"]) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


def join_removed(one: Removed, other: Removed) -> dict[str, RowRanges]:
    """Return the rows of both."""
    return {
        name: one.get(name, NO_ROWS).join(other.get(name, NO_ROWS)) for name in {**one, **other}
    }
