"""Blocks of files that chips of several splits share: each is decoded for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from stacchip.grid.geobox import read_grid
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.selection.coarse_grid import unfold
from stacchip.selection.split_survey import NO_SPLIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.index.files.item_records import ItemRecord
    from stacchip.selection.split_rows import RowPart, SplitRows
    from stacchip.selection.split_survey import Survey

    Integers = NDArray[np.int64]

__all__ = ["SharedBlocks"]

_PLACE: Final = ("chip_index_x", "chip_index_y", "chip_size")
_ITEM: Final = ("platform", "item_id")
_KEPT: Final = 2_000_000


class SharedBlocks:
    """Counts the blocks of reference bands that chips of several splits share.

    Args:
        rows: The rows; only the folder of an index has headers of files.
        seen: What the survey found.
    """

    columns: Final = (*_ITEM, *_PLACE)
    """The columns that tell of which blocks a chip is."""

    def __init__(self, rows: SplitRows, seen: Survey) -> None:
        self._sizes: dict[tuple[str, str], tuple[int, int, int]] = {}
        self.is_known = rows.folder is not None and seen.items is not None
        self._found: list[Integers] = []
        self._held = 0
        if not self.is_known or rows.folder is None:
            return
        lookup = RecordLookup(rows.folder, rows.storage)
        shared = [key for key, bits in (seen.items or {}).items() if bits & (bits - 1)]
        for number, (platform, item_id) in enumerate(shared):
            record = lookup.find(platform or "", item_id or "")
            size = None if record is None else _block_shape(record)
            if size is None:
                self.is_known = False
                return
            self._sizes[platform or "", item_id or ""] = (number, *size)

    def add(self, part: RowPart, splits: Integers) -> None:
        """Take some rows."""
        table = part.table
        if not self._sizes or not {*self.columns} <= {*table.column_names}:
            self.is_known &= not self._sizes
            return
        names = (table[name].cast("string") for name in _ITEM)
        keys = pc.binary_join_element_wise(*names, "\0").combine_chunks().dictionary_encode()
        numbers = keys.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        x, y, size = (table[name].to_numpy().astype(np.int64) for name in _PLACE)
        for number, text in enumerate(keys.dictionary.to_pylist()):
            platform, _, item_id = text.partition("\0")
            if (platform, item_id) in self._sizes:
                here = (numbers == number) & (splits != NO_SPLIT)
                item, height, width = self._sizes[platform, item_id]
                blocks = _blocks(x[here], y[here], size[here], (height, width))
                self._keep(item, splits[here], *blocks)

    def _keep(
        self, item: int, splits: Integers, chip: Integers, row: Integers, col: Integers
    ) -> None:
        met = np.stack([np.full(len(chip), item), row, col, splits[chip]], axis=1)
        self._found.append(np.unique(met, axis=0))
        self._held += len(self._found[-1])
        if self._held > _KEPT:
            self._found = [np.unique(np.concatenate(self._found), axis=0)]
            self._held = -len(self._found[0])

    def count(self) -> int | None:
        """Return the number of blocks that several splits share; None if it is not known."""
        if not self.is_known:
            return None
        if not self._found:
            return 0
        met = np.unique(np.concatenate(self._found), axis=0)
        _, times = np.unique(met[:, :3], axis=0, return_counts=True)
        return int((times > 1).sum())


def _block_shape(record: ItemRecord) -> tuple[int, int] | None:
    """Return the height and width of a block of the reference band; None if it is not known."""
    grid = read_grid(record.item)
    header = None if grid is None else record.headers.get(grid.reference or "")
    return None if header is None else header.block_shape


def _blocks(
    x: Integers, y: Integers, size: Integers, shape: tuple[int, int]
) -> tuple[Integers, Integers, Integers]:
    """Return the blocks of chips: for each, the number of the chip, the row and the column.

    Example:
        >>> one = np.array([1])
        >>> [each.tolist() for each in _blocks(one, 0 * one, 200 * one, (512, 128))]
        [[0, 0, 0], [0, 0, 0], [1, 2, 3]]
    """
    height, width = shape
    top, left = y * size // height, x * size // width
    down = ((y + 1) * size - 1) // height - top + 1
    across = ((x + 1) * size - 1) // width - left + 1
    chip, row = unfold(top, down)
    line, col = unfold(left[chip], across[chip])
    return chip[line], row[line], col
