"""Writing `_items.parquet`: records from many places, one for each item, sorted by id."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from stacchip.errors import IndexFormatError, InvalidMetadata
from stacchip.index.files.item_records import RECORD_SCHEMA
from stacchip.index.files.parquet import records_writer
from stacchip.index.files.spill import Spill
from stacchip.items.copies import is_same_item

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path
    from types import TracebackType

__all__ = ["RecordFile"]

_log = logging.getLogger(__name__)
# Records of a row group, the smallest unit of a look-up; a record has about 30 KB. A look-up takes
# 2 ms with 32 records and 20 ms with 256, in files of the same size.
_RECORDS_PER_GROUP = 32


class RecordFile:
    """Records of items put aside on disk, one for each platform and item id.

    Memory holds their ids only.

    Args:
        stage: A folder for the records that are put aside.
    """

    def __init__(self, stage: Path) -> None:
        self._spill = Spill(stage / "records.spill", RECORD_SCHEMA)
        self._numbers: dict[tuple[str, str], int] = {}  # (item id, platform) -> batch in the spill
        self._origins: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spill.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._numbers

    def add(self, table: pa.Table, origin: str, *, only_new: bool = False) -> None:
        """Add rows of `_items.parquet`.

        If an item is there already, the two must agree; the record with more headers is kept.

        Args:
            table: Rows of `RECORD_SCHEMA`.
            origin: Their address, for errors.
            only_new: Leave out items that are already there, without comparing them.

        Raises:
            IndexFormatError: The table holds no records.
            InvalidMetadata: An item differs from the one that is already there under its id.
        """
        try:
            table = table.select(RECORD_SCHEMA.names).cast(RECORD_SCHEMA)
        except (KeyError, ValueError) as error:
            raise IndexFormatError(
                f"{origin} does not hold records of items: {error}.", href=origin
            ) from error
        keys = zip(table["item_id"].to_pylist(), table["platform"].to_pylist(), strict=True)
        for row, key in enumerate(keys):
            record = table.slice(row, 1)
            there = self._numbers.get(key)
            if there is not None and (only_new or not self._replaces(record, there, origin)):
                continue
            self._numbers[key] = self._spill.append(record.combine_chunks().to_batches()[0])
            self._origins.append(origin)

    def _replaces(self, record: pa.Table, there: int, origin: str) -> bool:
        """Return True if a record has more headers than the one already there for its item."""
        old, new = self._spill.read(there).to_pylist()[0], record.to_pylist()[0]
        if not is_same_item(json.loads(old["item"]), json.loads(new["item"])):
            item_id, platform = new["item_id"], new["platform"]
            raise InvalidMetadata(
                f"Item '{item_id}' of '{platform}' in {origin} differs from that in "
                f"{self._origins[there]}, but an index keeps one item of an id. Index it again "
                "from one of them, or give one of the sources another name.",
                item_id=item_id,
            )
        return len(new["assets"] or ()) > len(old["assets"] or ())

    def write(self, path: Path, *, leave_out: Collection[tuple[str, str]] = ()) -> Path:
        """Write the records as `_items.parquet`, sorted by item id and platform; return the path.

        Args:
            path: The file to write.
            leave_out: (item id, platform) of records to leave out.
        """
        keys = [key for key in sorted(self._numbers) if key not in leave_out]
        with records_writer(path) as writer:
            for first in range(0, len(keys), _RECORDS_PER_GROUP):
                group = keys[first : first + _RECORDS_PER_GROUP]
                batches = [self._spill.read(self._numbers[key]) for key in group]
                writer.write_table(pa.Table.from_batches(batches, RECORD_SCHEMA))
        return path
