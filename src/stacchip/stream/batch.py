"""Batches: chips of one kind in one array."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from stacchip.chipper.stored_rows import StoredRows
from stacchip.errors import UsageError
from stacchip.items import item_datetime
from stacchip.runtime.memory import MemoryPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.chipper import Chip
    from stacchip.chipper.index_rows import ChipKey, Rows
    from stacchip.grid.geobox import GeoBox
    from stacchip.stream.read.layers import ItemLayers


class ChipKind(NamedTuple):
    """The properties that chips in one array share.

    Attributes:
        bands: The names of their bands.
        chip_size: Pixels a side.
        dtype: Type of the pixels.
    """

    bands: tuple[str, ...]
    chip_size: int
    dtype: np.dtype[Any]


class Apart(NamedTuple):
    """An asset whose bands are cut into an array of their own, in a type of their own.

    Attributes:
        asset: Key of the asset.
        type_of: Returns the type of the array for that of the file's pixels.
    """

    asset: str
    type_of: Callable[[np.dtype[Any]], np.dtype[Any]]


Kinds: TypeAlias = tuple[ChipKind, ...]
"""The kind of a chip's pixels, and that of an asset that is cut apart, if one is."""


def find_kinds(
    item: ItemLayers, chip_size: int, dtype: np.dtype[Any] | None, apart: Apart | None
) -> Kinds:
    """Return the kinds of an item's chips.

    Args:
        item: The item.
        chip_size: Pixels a side.
        dtype: Type of the pixels; None for the common type of their bands.
        apart: The asset that is cut apart, if one is.
    """
    key = (chip_size, dtype, apart)
    if key not in item.kinds:
        item.kinds[key] = _make_kinds(item, *key)
    kinds: Kinds = item.kinds[key]
    return kinds


def _make_kinds(
    item: ItemLayers, chip_size: int, dtype: np.dtype[Any] | None, apart: Apart | None
) -> Kinds:
    pixels, *rest = item.parts(None if apart is None else apart.asset)
    kinds = [ChipKind(pixels.bands, chip_size, dtype or pixels.dtype)]
    if apart is not None:
        kinds += [ChipKind(part.bands, chip_size, apart.type_of(part.dtype)) for part in rest]
    return tuple(kinds)


@dataclass(frozen=True, eq=False)
class ChipBatch:
    """Several chips.

    Attributes:
        array: Pixels (chip, band, y, x).
        valid: Boolean (chip, band, y, x), True where a pixel may be used; None if not asked for.
        bands: The name of each band.
        rows: Each chip's row in the index.
        keys: Each chip's key: platform, item, size, x and y.
        apart: The same chips, of the asset that the stream cuts apart; None if it cuts none.
        step: The number of batches that the process has delivered with this one.
    """

    array: NDArray[Any]
    valid: NDArray[np.bool_] | None
    bands: tuple[str, ...]
    rows: NDArray[np.int64]
    keys: tuple[ChipKey, ...]
    _items: tuple[ItemLayers, ...]
    _index: Rows
    apart: ChipBatch | None = None
    step: int = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        chips = state.pop("_chips", None)  # pickles of earlier versions have these for the index
        self.__dict__.update(state if chips is None else {**state, "_index": chips.rows})

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> Chip:
        """Return one of the chips; its arrays are views of the batch's."""
        key, opened = self.keys[number], self._items[number].opened
        pixels = self.array[number]
        valid = np.ones(pixels.shape, bool) if self.valid is None else self.valid[number]
        return opened.make_chip(key, pixels, valid, self.bands)

    def __iter__(self) -> Iterator[Chip]:
        return (self[number] for number in range(len(self)))

    def geobox(self, number: int) -> GeoBox:
        """Return the CRS, transform and shape of one of the chips."""
        return self._items[number].opened.chip_geobox(self.keys[number])

    @property
    def chipids(self) -> tuple[str, ...]:
        """Each chip's id."""
        return tuple(key.chipid for key in self.keys)

    @property
    def datetimes(self) -> tuple[datetime, ...]:
        """Each chip's time of acquisition (UTC)."""
        return tuple(item_datetime(item.opened.item) for item in self._items)

    @cached_property
    def table(self) -> pa.Table:
        """The chips' rows of the index."""
        return self._index.take(self.rows)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the index that the stream was made from."""
        return self._index.schema

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column of the chips' rows of the index.

        Raises:
            UsageError: The index has no such column.
        """
        if name not in self.schema.names:
            raise UsageError(
                f"Column {name!r} is not in the index; it has: {', '.join(self.schema.names)}."
            )
        return self._index.column(self.rows, name)

    def count_nulls(self, name: str) -> tuple[int, int]:
        """Return in how many rows of the whole index a column is null, and the number of rows."""
        return self._index.count_nulls(name), len(self._index)

    @property
    def is_in_memory(self) -> bool:
        """True if the index that the stream was made from is a table in memory."""
        return not isinstance(self._index, StoredRows)

    @property
    def index(self) -> pa.Table:
        """All rows of the index that the stream was made from; one on disk is read into memory."""
        return self._index.table


class Allocator(Protocol):
    """Provides the memory of batches."""

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array, not filled."""


class Building:
    """A batch that is being filled.

    Args:
        kind: The kind of its chips.
        size: Number of chips that it can hold.
        pool: Provides its memory.
        with_valid: Also fill an array that says which pixels are valid.
    """

    def __init__(self, kind: ChipKind, size: int, pool: Allocator, *, with_valid: bool) -> None:
        shape = (size, len(kind.bands), kind.chip_size, kind.chip_size)
        self.kind = kind
        self._array = pool.array(shape, kind.dtype)
        self._valid = pool.array(shape, np.dtype(bool)) if with_valid else None
        self._keys: list[ChipKey] = []
        self._rows: list[int] = []
        self._items: list[ItemLayers] = []
        self._times: list[int] = []

    def slot(self) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return the arrays (band, y, x) for the next chip's pixels, and for which are valid."""
        number = len(self._rows)
        return self._array[number], None if self._valid is None else self._valid[number]

    def add(self, key: ChipKey, row: int, item: ItemLayers, time: int = -1) -> None:
        """Keep the chip that was written to `slot`, and when it comes."""
        self._keys.append(key)
        self._rows.append(row)
        self._items.append(item)
        self._times.append(time)

    @property
    def times(self) -> set[int]:
        """When its chips come."""
        return set(self._times)

    def remove(self, time: int) -> tuple[ChipKey, int]:
        """Take out a chip that could not be cut, and return its key and row; later ones move up."""
        number = self._times.index(time)
        for arrays in (self._array, self._valid):
            if arrays is not None:
                for later in range(number + 1, len(self)):
                    arrays[later - 1] = arrays[later]
        del self._times[number], self._items[number]
        return self._keys.pop(number), self._rows.pop(number)

    def __len__(self) -> int:
        """Return the number of chips so far."""
        return len(self._rows)

    def first(self) -> Building:
        """Return a copy that holds the first chip alone, in memory of its own."""
        alone = Building(self.kind, 1, MemoryPool(0), with_valid=self._valid is not None)
        alone.add_copy(self)
        return alone

    def add_copy(self, other: Building, number: int = 0) -> None:
        """Add a chip of another batch of the kind, or of this one."""
        pixels, valid = self.slot()
        pixels[...] = other._array[number]
        if valid is not None and other._valid is not None:
            valid[...] = other._valid[number]
        self.add(other._keys[number], other._rows[number], other._items[number])

    def fill_up(self, size: int) -> None:
        """Repeat chips, in their order, until there are `size`."""
        for number in range(size - len(self)):
            self.add_copy(self, number)

    def finish(self, index: Rows) -> ChipBatch:
        """Return the batch, with the chips added so far."""
        count = len(self)
        return ChipBatch(
            array=self._array[:count],
            valid=None if self._valid is None else self._valid[:count],
            bands=self.kind.bands,
            rows=np.array(self._rows, np.int64),
            keys=tuple(self._keys),
            _items=tuple(self._items),
            _index=index,
        )


def fit(own: ChipKind, kind: ChipKind, chip: NDArray[Any] | None, out: NDArray[Any]) -> None:
    """Write a chip (band, y, x) into the array of a larger kind; the rest of it becomes 0."""
    out[...] = 0
    places = [kind.bands.index(band) for band in own.bands]
    out[places, : own.chip_size, : own.chip_size] = chip


def require_fitting(own: ChipKind, kind: ChipKind, item_id: str) -> None:
    """Refuse a chip of one kind that does not fit into another kind.

    Raises:
        UsageError: The other kind lacks a band, is smaller, or cannot hold the values.
    """
    lacking = [band for band in own.bands if band not in kind.bands]
    if lacking or own.chip_size > kind.chip_size:
        raise UsageError(
            f"Item {item_id!r} has chips of {own.chip_size} px with bands {', '.join(own.bands)}: "
            f"they do not fit among those of {kind.chip_size} px with {', '.join(kind.bands)}, "
            "the bands of the first item of each platform. Choose assets that all items have: "
            "assets=[...].",
            item_id=item_id,
        )
    if not np.can_cast(own.dtype, kind.dtype):
        raise UsageError(
            f"Item {item_id!r} has pixels of {own.dtype}, which do not fit into {kind.dtype}, the "
            "common type of the first item of each platform. Choose a type that holds all: "
            f"dtype={np.result_type(own.dtype, kind.dtype).name!r}.",
            item_id=item_id,
        )
