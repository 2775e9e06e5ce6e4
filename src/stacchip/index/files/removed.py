"""`_removed.part-{number}.parquet`: the rows of a folder's files that were removed.

It has a row for each range: the name of the file, its first row and the number of its rows, as the
file has them, and a digest of the file. Chips and records of items are marked alike. `_index.json`
names the marks, and each removal writes a new file for all that was removed so far. `compact_index`
writes an index without such rows.

A mark is of one version of a file, by its digest (`stacchip.index.files.opening.places_digest`): of
no other does any reader leave rows out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from stacchip.errors import IndexFormatError, ObjectNotFound
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.row_ranges import NO_ROWS, RowRanges
from stacchip.index.table_rows import encode_texts
from stacchip.parquet.sealed_writer import SealedWriter
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stacchip.storage import Storage

    Removed = Mapping[str, "Marks"]
    """What was removed from each file, by its name."""

__all__ = ["NO_MARKS", "REMOVED", "Marks", "join_removed", "read_removed", "write_removed"]

REMOVED: Final = "_removed.parquet"
_SCHEMA: Final = pa.schema(
    [
        pa.field("file", pa.string()),
        pa.field("digest", pa.string()),
        pa.field("first", pa.int64()),
        pa.field("rows", pa.int64()),
    ]
)
_MOST_ROWS: Final = 1 << 62
_NAME: Final = re.compile(r"[^/\\\x00-\x1f\x7f]+\.(geo)?parquet", re.IGNORECASE)


@dataclass(frozen=True)
class Marks:
    """The rows that were removed from a file.

    Attributes:
        rows: The rows, as the file has them.
        digest: The version of the file whose rows these are.
    """

    rows: RowRanges
    digest: str = ""

    def __bool__(self) -> bool:
        return bool(self.rows)


NO_MARKS: Final = Marks(NO_ROWS)


def read_removed(href: str, storage: Storage) -> dict[str, Marks]:
    """Read what was removed from the files of a folder.

    Raises:
        IndexFormatError: The file is damaged, or gone: no reader can tell which rows are left.
    """
    try:
        file = open_parquet(href, storage)
        if lacking := sorted(set(_SCHEMA.names).difference(file.schema.names)):
            raise _unknown(href, f"it lacks the column {lacking[0]!r}")
        table = file.read(_SCHEMA.names).cast(_SCHEMA)
    except (ObjectNotFound, pa.ArrowException) as error:
        raise _unknown(href, error) from error
    if any(column.null_count for column in table.columns):
        raise _unknown(href, "a value is missing")
    first, rows = (table[name].to_numpy() for name in ("first", "rows"))
    is_wrong = (first < 0) | (rows <= 0) | (first >= _MOST_ROWS) | (rows >= _MOST_ROWS)
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise _unknown(href, f"it has {rows[row]} rows from {first[row]} of {table['file'][row]}")
    removed: dict[str, Marks] = {}
    numbers, names = encode_texts(table["file"])
    versions, digests = encode_texts(table["digest"])
    order = np.argsort(numbers, kind="stable")
    begins = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    for own in np.split(order, begins[1:]) if len(order) else ():
        name = names[int(numbers[own[0]])].as_py()
        if not _NAME.fullmatch(name):
            raise _unknown(href, f"{name!r} is not the name of a file in its folder")
        if (versions[own] != versions[own[0]]).any():
            raise _unknown(href, f"it has rows of two versions of {name}")
        digest = digests[int(versions[own[0]])].as_py()
        removed[name] = Marks(RowRanges.of(first[own], rows[own]), digest)
    return removed


def _unknown(href: str, reason: object) -> IndexFormatError:
    return IndexFormatError(
        f"{redact(href)} does not say which rows of the index were removed: {reason}. Copy the "
        "whole folder of the index again, or write the index again.",
        href=redact(href),
    )


def write_removed(path: Path, removed: Removed) -> None:
    """Write what was removed from the files of a folder."""
    with SealedWriter(path, _SCHEMA, compression="zstd", use_dictionary=["file", "digest"]) as out:
        for name in sorted(removed):
            marks = removed[name]
            count = len(marks.rows.first)
            columns = [
                pa.repeat(pa.scalar(name, pa.string()), count),
                pa.repeat(pa.scalar(marks.digest, pa.string()), count),
                pa.array(marks.rows.first),
                pa.array(marks.rows.stop - marks.rows.first),
            ]
            out.write_table(pa.table(columns, schema=_SCHEMA))


def join_removed(one: Removed, other: Removed) -> dict[str, Marks]:
    """Return the rows of both, whose files are of the same versions."""
    joined = {**one, **other}
    for name in one.keys() & other.keys():
        joined[name] = Marks(one[name].rows.join(other[name].rows), other[name].digest)
    return joined
