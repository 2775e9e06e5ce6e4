"""The rows of an index on disk: the chip in each row is read when it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property, reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.chipper.index_rows import ChipKey, ChipRows, find_position, no_chip, several_chips
from stacchip.errors import UsageError
from stacchip.index.filters import Selection
from stacchip.index.schema import SCHEMA
from stacchip.index.table_rows import take_rows
from stacchip.items.keys import ItemKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.index.foreign.item_columns import FindItem
    from stacchip.index.on_disk import StoredIndex

__all__ = ["StoredRows"]

_ALL: Final = Selection()
# Columns of items' rows that are held: of bounds, 64 kB each.
_LEAST_HELD: Final = 64
_HELD_BYTES: Final = 32 << 20
_OF_RUN: Final = ("platform", "item_id", "chip_size", "date", "datetime", "item_href")


class StoredRows:
    """The rows of an index on disk, looked up as `ChipRows` looks up those of a table.

    It holds an entry for each item. The whole index, `table`, is read into memory only for callers
    that ask for it, which nothing here does; from then on the rows come from there.

    Args:
        index: The index.
    """

    _held_bytes = 0  # of the class: pickles of earlier versions have none

    def __init__(self, index: StoredIndex) -> None:
        self._index = index
        self._held: OrderedDict[tuple[int, str], pa.ChunkedArray] = OrderedDict()
        self._nulls: dict[str, int] = {}

    @property
    def index(self) -> StoredIndex:
        """The index."""
        return self._index

    @property
    def runs(self) -> pa.Table:
        """Which rows are of which item, with the metadata of the index."""
        return self._index.runs

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        return np.asarray(self.runs["first"].to_numpy(), np.int64)

    @cached_property
    def _whole(self) -> ChipRows:
        return ChipRows(self._index.read())

    @property
    def table(self) -> pa.Table:
        """All rows with all columns, which it reads into memory."""
        return self._whole.table

    def codes(self, column: Literal["platform", "item_id"]) -> NDArray[np.int64]:
        """Return a number for each row, the same for the same platform or item."""
        return self._whole.codes(column)

    def __len__(self) -> int:
        return len(self._index)

    def position(self, index: int) -> int:
        """Return a row number as counted from the front; a negative one counts from the end.

        Raises:
            ChipOutOfRange: Past either end.
        """
        return find_position(index, len(self))

    def key(self, row: int) -> ChipKey:
        """Return the key of the chip in a row."""
        if "_whole" in self.__dict__:
            return self._whole.key(row)
        names = ("platform", "item_id", "chip_size", "chip_index_x", "chip_index_y")
        return ChipKey(*(self.value(row, name) for name in names))

    def item(self, row: int) -> ItemKey:
        """Return the key of the item in a row."""
        return ItemKey(*(self.value(row, name) for name in ItemKey._fields))

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Return some of the rows, with all columns of `SCHEMA`."""
        return self._index.take(rows, SCHEMA.names)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows: those of `SCHEMA`, and then others."""
        return self._index.schema

    def column(self, rows: NDArray[np.int64], name: str) -> pa.ChunkedArray:
        """Return one column of some of the rows; of items whose rows are held, nothing is read."""
        run = np.searchsorted(self._first, rows, side="right") - 1
        if name in _OF_RUN:
            return take_rows(self.runs.select([name]), run)[name]
        runs, place = np.unique(run, return_inverse=True)
        columns = [self._column(each, name) for each in runs.tolist()]
        self._forget_all_but(len(runs))
        starts = np.cumsum([0, *map(len, columns)])[:-1]
        chunks = [chunk for column in columns for chunk in column.chunks]
        values = pa.table({name: pa.chunked_array(chunks, self.schema.field(name).type)})
        return take_rows(values, starts[place] + rows - self._first[run])[name]

    def count_nulls(self, column: str) -> int:
        """Return in how many of all rows a column is null; reads it if no statistics tell."""
        if column not in self._nulls:
            known = self._index.nulls(column)
            if known is None:
                known = sum(part[column].null_count for _, part in self.scan([column]))
            self._nulls[column] = known
        return self._nulls[column]

    def scan(
        self,
        columns: Sequence[str],
        chosen: Selection = _ALL,
        find_item: FindItem | None = None,  # noqa: ARG002 - of the protocol
    ) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield columns of the chosen rows in parts, in their order, with the numbers of rows.

        What `read_index` logs of chips that are not chosen is logged at the end.
        """
        yield from self._index.scan_numbered(columns, chosen)
        if not chosen.wants_all:
            chosen.report_left_out(self._index.count_left_out(chosen))
            self._index.report_absent(chosen)

    def item_keys(self) -> set[ItemKey]:
        """Return the keys of the items that have rows."""
        return set(map(ItemKey, *(self.runs[name].to_pylist() for name in ItemKey._fields)))

    def value(self, row: int, column: str) -> Any:
        """Return a chip's value in a column, or None if the index has no such column."""
        if "_whole" in self.__dict__:
            return self._whole.value(row, column)
        if column not in self.schema.names:
            return None
        run = int(np.searchsorted(self._first, row, side="right")) - 1
        if column in _OF_RUN:
            return self.runs[column][run].as_py()
        values = self._column(run, column)
        self._forget_all_but(1)
        return values[row - int(self._first[run])].as_py()

    def _column(self, run: int, column: str) -> pa.ChunkedArray:
        """Return a column of an item's rows, which is held from now on."""
        held = self._held.pop((run, column), None)
        if held is None:
            first, rows = int(self._first[run]), self.runs["rows"][run].as_py()
            held = self._index.take(np.arange(first, first + rows), [column])[column]
            self._held_bytes += held.nbytes
            other = self._held.pop((run, column), None)  # of a thread that read it meanwhile
            self._held_bytes -= 0 if other is None else other.nbytes
        self._held[run, column] = held  # the last
        return held

    def _forget_all_but(self, used: int) -> None:
        """Forget what was used least recently; what the next batch may need as well is kept.

        Args:
            used: How many columns of items were used just now.
        """
        least = max(_LEAST_HELD, used)
        while len(self._held) > least and self._held_bytes > _HELD_BYTES:
            _, values = self._held.popitem(last=False)
            self._held_bytes -= values.nbytes

    def find(
        self,
        x: int | None = None,
        y: int | None = None,
        *,
        platform: str | None = None,
        item_id: str | None = None,
        chip_size: int | None = None,
        chipid: str | None = None,
    ) -> int:
        """Return the one row that matches everything given.

        Raises:
            UsageError: Neither a place in the grid nor a chipid is given.
            ChipNotFound: No row matches.
            AmbiguousChip: Several rows match; the message says how they differ.
        """
        if chipid is None and (x is None or y is None):
            raise UsageError("Say which chip: give x and y, or chipid.")
        asked = {"x": x, "y": y, "platform": platform, "item_id": item_id,
                 "chip_size": chip_size, "chipid": chipid}  # fmt: skip
        of_item = item_id if chipid is None or item_id is not None else chipid.rsplit("-", 2)[0]
        columns = {"chip_index_x": x, "chip_index_y": y, "chipid": chipid}
        given = [pc.field(name) == value for name, value in columns.items() if value is not None]
        chosen = Selection(
            platform=platform, item_id=of_item, chip_size=chip_size, where=reduce(and_, given)
        )
        found = list(self._index.scan_numbered(["platform", "item_id", "chip_size"], chosen))
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
        if not len(rows):
            raise no_chip(asked, len(self))
        if len(rows) > 1:
            raise several_chips(self._index.take(rows, ["platform", "item_id", "chip_size"]), asked)
        return int(rows[0])

    def __getstate__(self) -> dict[str, Any]:
        return {"_index": self._index, "_held": OrderedDict(), "_nulls": {}}
