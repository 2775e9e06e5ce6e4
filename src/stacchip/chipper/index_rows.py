"""The rows of an index: the chip in each row, and the row that a caller means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import AmbiguousChip, ChipNotFound, ChipOutOfRange, UsageError
from stacchip.grid.window import Window
from stacchip.index.choosing import choose_rows
from stacchip.index.filters import Selection
from stacchip.index.table_rows import take_rows
from stacchip.items.keys import ItemKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.grid.chip_grid import ChipGrid
    from stacchip.index.foreign.item_columns import FindItem

_ALL: Final = Selection()


@dataclass(frozen=True)
class ChipKey:
    """The key of a chip, as in the index."""

    platform: str
    item_id: str
    chip_size: int
    x: int
    y: int

    @property
    def item(self) -> ItemKey:
        """The key of the item that it is cut from."""
        return ItemKey(self.platform, self.item_id)

    @property
    def chipid(self) -> str:
        """The chip's id, as in the index."""
        return f"{self.item_id}-{self.x}-{self.y}"

    @property
    def window(self) -> Window:
        """The pixels of the chip in its item's grid."""
        size = self.chip_size
        return Window(self.y * size, self.x * size, size, size)


class Rows(Protocol):
    """Rows of an index, looked up by position or by what is known of a chip."""

    def __len__(self) -> int: ...
    @property
    def table(self) -> pa.Table:
        """All rows, in memory."""
        ...

    def position(self, index: int, /) -> int:
        """Return a row number as counted from the front."""
        ...

    def key(self, row: int, /) -> ChipKey:
        """Return the key of the chip in a row."""
        ...

    def item(self, row: int, /) -> ItemKey:
        """Return the key of the item in a row."""
        ...

    def item_keys(self) -> set[ItemKey]:
        """Return the keys of the items that have rows."""
        ...

    def take(self, rows: NDArray[np.int64], /) -> pa.Table:
        """Return some of the rows, with all columns."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        ...

    def column(self, rows: NDArray[np.int64], name: str, /) -> pa.ChunkedArray:
        """Return one column of some of the rows."""
        ...

    def count_nulls(self, column: str, /) -> int:
        """Return in how many of all rows a column is null."""
        ...

    def scan(
        self,
        columns: Sequence[str],
        chosen: Selection = ...,
        find_item: FindItem | None = None,
        /,
    ) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield columns of the chosen rows in parts, in their order, with the numbers of rows."""
        ...

    def value(self, row: int, column: str, /) -> Any:
        """Return a chip's value in a column, or None if there is no such column."""
        ...

    def codes(self, column: Literal["platform", "item_id"], /) -> NDArray[np.int64]:
        """Return a number for each row, the same for the same platform or item."""
        ...

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
        """Return the one row that matches everything given."""
        ...


class ChipRows:
    """The rows of an index table, looked up by position or by what is known of a chip.

    Args:
        table: An index (see `stacchip.index.schema`), of any number of items and chip sizes.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table: pa.Table = table
        self._platforms = _encoded(table["platform"])
        self._items = _encoded(table["item_id"])
        self._x = table["chip_index_x"].to_numpy()
        self._y = table["chip_index_y"].to_numpy()
        self._sizes = table["chip_size"].to_numpy()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def position(self, index: int) -> int:
        """Return a row number as counted from the front; a negative one counts from the end.

        Raises:
            ChipOutOfRange: Past either end.
        """
        return find_position(index, len(self))

    def key(self, row: int) -> ChipKey:
        """Return the key of the chip in a row."""
        return ChipKey(
            platform=self._platforms.dictionary[self._platforms.indices[row].as_py()].as_py(),
            item_id=self._items.dictionary[self._items.indices[row].as_py()].as_py(),
            chip_size=int(self._sizes[row]),
            x=int(self._x[row]),
            y=int(self._y[row]),
        )

    def item(self, row: int) -> ItemKey:
        """Return the key of the item in a row."""
        return self.key(row).item

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Return some of the rows, with all columns."""
        return take_rows(self.table, rows)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        return self.table.schema

    def column(self, rows: NDArray[np.int64], name: str) -> pa.ChunkedArray:
        """Return one column of some of the rows."""
        return take_rows(self.table.select([name]), rows)[name]

    def count_nulls(self, column: str) -> int:
        """Return in how many of all rows a column is null."""
        values = self.table[column]
        if pa.types.is_dictionary(values.type):  # its values may be null, too
            values = values.cast(values.type.value_type)
        return int(values.null_count)

    def scan(
        self,
        columns: Sequence[str],
        chosen: Selection = _ALL,
        find_item: FindItem | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield columns of the chosen rows in parts, in their order, with the numbers of rows.

        Args:
            columns: Names of columns of the table.
            chosen: The chips wanted.
            find_item: Returns items, for what filters compare and the table lacks.

        Raises:
            UsageError: A filter is on a column that the table lacks.
        """
        wanted = self.table.select(columns)
        rows = choose_rows(self.table, chosen, find_item)
        yield rows, wanted if len(rows) == len(self) else take_rows(wanted, rows)

    def item_keys(self) -> set[ItemKey]:
        """Return the keys of the items that have rows."""
        names = [each.dictionary.to_pylist() for each in (self._platforms, self._items)]
        pairs = pc.unique(pa.array(self.codes("platform") * len(names[1]) + self.codes("item_id")))
        numbers = (divmod(pair, len(names[1])) for pair in pairs.to_pylist())
        return {ItemKey(names[0][platform], names[1][item]) for platform, item in numbers}

    def value(self, row: int, column: str) -> Any:
        """Return a chip's value in a column, or None if the table has no such column.

        A whole grid, made from an indexer, has fewer columns than an index.
        """
        return self.table[column][row].as_py() if column in self.table.column_names else None

    def codes(self, column: Literal["platform", "item_id"]) -> NDArray[np.int64]:
        """Return a number for each row, the same for the same platform or item."""
        encoded = self._platforms if column == "platform" else self._items
        codes: NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return codes

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
            message = "Say which chip: give x and y, or chipid."
            raise UsageError(message)
        chosen = np.ones(len(self), dtype=bool)
        if x is not None:
            chosen &= self._x == x
        if y is not None:
            chosen &= self._y == y
        if chip_size is not None:
            chosen &= self._sizes == chip_size
        if platform is not None:
            chosen &= _equal(self._platforms, platform)
        if item_id is not None:
            chosen &= _equal(self._items, item_id)
        if chipid is not None:
            chosen &= pc.equal(self.table["chipid"], chipid).to_numpy()
        rows = np.flatnonzero(chosen)
        asked = {"x": x, "y": y, "platform": platform, "item_id": item_id,
                 "chip_size": chip_size, "chipid": chipid}  # fmt: skip
        if len(rows) == 0:
            raise no_chip(asked, len(self))
        if len(rows) > 1:
            columns = ["platform", "item_id", "chip_size"]
            raise several_chips(take_rows(self.table.select(columns), rows), asked)
        return int(rows[0])


def find_position(index: int, count: int) -> int:
    """Return a row number as counted from the front; a negative one counts from the end.

    Raises:
        ChipOutOfRange: Past either end of so many rows.
    """
    if not -count <= index < count:
        message = f"Chip {index} is out of range: there are {count} chips."
        raise ChipOutOfRange(message)
    return index % count


def no_chip(asked: Mapping[str, Any], rows: int) -> ChipNotFound:
    """Return the error for a chip that none of so many rows is of."""
    message = (
        f"No chip matches {_describe(asked)} among the {rows} rows of the index. Chips beyond "
        "the grid, or with more nodata than the index allows, have no row."
    )
    return ChipNotFound(message, item_id=asked["item_id"], x=asked["x"], y=asked["y"])


def several_chips(found: pa.Table, asked: Mapping[str, Any]) -> AmbiguousChip:
    """Return the error for several rows that match; it names how they differ, with a few values."""
    columns = {name: pc.unique(found[name]).to_pylist() for name in found.column_names}
    choices = "; ".join(
        f"{name}= one of {', '.join(map(str, values[:5]))}{', ...' if len(values) > 5 else ''}"
        for name, values in columns.items()
        if len(values) > 1
    )
    remedy = f"Add {choices}." if choices else "The index holds this chip more than once."
    return AmbiguousChip(f"{found.num_rows} chips match {_describe(asked)}. {remedy}")


def grid_table(item_id: str, platform: str, grid: ChipGrid) -> pa.Table:
    """Return the rows of a whole grid, with the columns of `ChipKey` and `chipid` only."""
    y, x = (axis.ravel() for axis in np.indices((grid.y_size, grid.x_size), dtype=np.int32))
    return pa.table(
        {
            "platform": pa.repeat(platform, grid.size),
            "item_id": pa.repeat(item_id, grid.size),
            "chip_size": np.full(grid.size, grid.chip_size, np.int32),
            "chip_index_x": x,
            "chip_index_y": y,
            "chipid": pc.binary_join_element_wise(
                item_id, pa.array(x).cast(pa.string()), pa.array(y).cast(pa.string()), "-"
            ),
        }
    )


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a column of few distinct strings as codes: comparing integers is faster."""
    encoded = pc.dictionary_encode(column).combine_chunks()
    return encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded


def _equal(column: pa.DictionaryArray, value: str) -> NDArray[np.bool_]:
    code = column.dictionary.index(value).as_py()
    equal: NDArray[np.bool_] = column.indices.to_numpy(zero_copy_only=False) == code
    return equal


def _describe(asked: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in asked.items() if value is not None)
