"""The first look at rows: which splits there are, and where on a coarse grid each of them is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.selection.coarse_grid import CoarseGrid
from stacchip.selection.ellipsoid import grow_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.selection.split_rows import RowPart, SplitRows

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

__all__ = ["NO_SPLIT", "SAMPLE", "SplitNames", "Survey", "survey"]

NO_SPLIT: Final = -1
"""The number of rows that are in no split."""
SAMPLE: Final = 10_000
"""Rows of a split that are drawn for its distances, at most."""
_MOST_SPLITS: Final = 63
_MOST_CLASSES: Final = 100_000
_ITEM: Final = ("platform", "item_id")


class SplitNames:
    """The names of splits, and their numbers in the order in which they come.

    Args:
        by: Name of the column.
    """

    def __init__(self, by: str) -> None:
        self._by = by
        self.names: list[str] = []

    def numbers(self, column: pa.ChunkedArray) -> Integers:
        """Return the number of each row's split, or `NO_SPLIT`.

        Raises:
            UsageError: There are more than 63 splits, or the column holds no names.
        """
        texts = as_texts(column, self._by).combine_chunks().dictionary_encode()
        told = texts.dictionary.to_pylist()
        self.names += [name for name in told if name is not None and name not in self.names]
        if len(self.names) > _MOST_SPLITS:
            shown = ", ".join(map(repr, self.names[:5]))
            raise UsageError(
                f"Column {self._by!r} has more than {_MOST_SPLITS} values ({shown}, ...), which "
                "are no splits. Pass by= the name of the column with the splits."
            )
        number = {name: place for place, name in enumerate(self.names)}
        table = np.array([*(number.get(name, NO_SPLIT) for name in told), NO_SPLIT], np.int64)
        places = texts.indices.fill_null(len(told)).to_numpy(zero_copy_only=False)
        numbers: Integers = table[places]
        return numbers


def as_texts(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column of names, numbers or booleans as texts; null and NaN stay null.

    Raises:
        UsageError: It holds something else.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_texts(column.cast(kind.value_type), name)
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return column.cast(pa.string())
    except pa.ArrowException as error:
        raise UsageError(
            f"Column {name!r} has type {kind}, not names of splits or classes."
        ) from error


@dataclass
class Survey:
    """What the first look found.

    Attributes:
        splits: The names of the splits.
        grid: The grid.
        painted: For each cell, a bit for each split of which it holds something, or what is nearer
            than the buffer.
        meetings: How many rows meet each cell.
        centered: The same as `painted` of the middles of rows, without a buffer.
        rows: Number of rows of each split.
        unassigned: Number of rows in no split.
        placeless: Number of rows of a split that have no footprint.
        items: The splits of each item, as bits; None if the rows do not tell their items.
        classes: Number of rows by split and class.
        samples: Of each split, the middles of rows drawn evenly: longitude and latitude, (row, 2).
    """

    splits: SplitNames
    grid: CoarseGrid
    painted: NDArray[np.uint64]
    meetings: Integers
    centered: NDArray[np.uint64]
    rows: Counter[int] = field(default_factory=Counter)
    unassigned: int = 0
    placeless: int = 0
    items: dict[tuple[str | None, str | None], int] | None = field(default_factory=dict)
    classes: Counter[tuple[int, str]] = field(default_factory=Counter)
    samples: dict[int, _Sample] = field(default_factory=dict)

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """True for cells of several splits."""
        several: NDArray[np.bool_] = (self.painted & (self.painted - np.uint64(1))) != 0
        return several


@dataclass
class _Sample:
    """The rows with the least hashes of their numbers: an even draw, the same every time."""

    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    places: Floats = field(default_factory=lambda: np.empty((0, 2)))

    def add(self, hashes: NDArray[np.uint64], places: Floats) -> None:
        if len(self.hashes) == SAMPLE:
            wanted = hashes < self.hashes[-1]
            hashes, places = hashes[wanted], places[wanted]
        every = np.concatenate([self.hashes, hashes])
        order = np.argsort(every, kind="stable")[:SAMPLE]
        self.hashes = every[order]
        self.places = np.concatenate([self.places, places])[order]


def survey(rows: SplitRows, by: str, buffer_m: float, classes: str | None) -> Survey:
    """Return what a first look at all rows finds.

    Raises:
        UsageError: A column is absent, holds no names, or holds fewer than two splits.
        IndexFormatError: There are no footprints.
    """
    names = SplitNames(by)
    found: Survey | None = None
    wanted = [by] if classes is None else [by, classes]
    for part in rows.scan(wanted, _ITEM):
        splits = names.numbers(part.table[by])
        bounds = part.bounds()
        grown = grow_bounds(bounds.sides, buffer_m)
        if found is None:
            grid = CoarseGrid.for_bounds(grown)
            empty = np.zeros(grid.cells, np.uint64)
            found = Survey(names, grid, empty, np.zeros(grid.cells, np.int64), empty.copy())
        _paint(found, splits[bounds.rows], grown)
        _count(found, part, splits, np.unique(bounds.rows))
        _note_items(found, part, splits)
        if classes is not None:
            _note_classes(found, as_texts(part.table[classes], classes), splits, classes)
    if found is None or len(names.names) < 2:
        there = ", ".join(map(repr, names.names)) or "none"
        raise UsageError(
            f"Column {by!r} of {rows.name} holds fewer than two splits ({there}): there is nothing "
            "to compare. Pass by= the name of the column with the splits."
        )
    return found


def _paint(found: Survey, splits: Integers, grown: Floats) -> None:
    for split in np.unique(splits[splits >= 0]).tolist():
        _, cells = found.grid.cells_of(grown[splits == split])
        found.painted[cells] |= np.uint64(1 << split)
        np.add.at(found.meetings, cells, 1)


def _count(found: Survey, part: RowPart, splits: Integers, placed: Integers) -> None:
    counts = np.bincount(splits + 1, minlength=len(found.splits.names) + 1).tolist()
    found.unassigned += counts[0]
    found.rows.update(dict(enumerate(counts[1:])))
    has_place = np.zeros(len(splits), bool)
    has_place[placed] = True
    found.placeless += int(((splits >= 0) & ~has_place).sum())
    lon, lat = part.centers()
    has_place &= np.isfinite(lon)
    hashes = _hash(part.numbers)
    for split in np.unique(splits[has_place & (splits >= 0)]).tolist():
        here = has_place & (splits == split)
        places = np.stack([lon[here], lat[here]], axis=1)
        found.centered[found.grid.cells_at(*places.T)] |= np.uint64(1 << split)
        found.samples.setdefault(split, _Sample()).add(hashes[here], places)


def _hash(numbers: Integers) -> NDArray[np.uint64]:
    """Return numbers mixed so that their order is as good as random (splitmix64)."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _note_items(found: Survey, part: RowPart, splits: Integers) -> None:
    names = [name for name in _ITEM if name in part.table.column_names]
    if found.items is None or "item_id" not in names:
        found.items = None
        return
    pairs = part.table.select(names).append_column("split", pa.array(splits))
    items = found.items
    for row in pairs.group_by([*names, "split"]).aggregate([]).to_pylist():
        if row["split"] >= 0 and row["item_id"] is not None:
            key = (_text(row.get("platform")), _text(row["item_id"]))
            items[key] = items.get(key, 0) | 1 << row["split"]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _note_classes(found: Survey, classes: pa.ChunkedArray, splits: Integers, name: str) -> None:
    pairs = pa.table({"class": classes, "split": splits})
    counted = pairs.group_by(["class", "split"]).aggregate([([], "count_all")])
    for row in counted.to_pylist():
        if row["split"] >= 0 and row["class"] is not None:
            found.classes[row["split"], row["class"]] += row["count_all"]
    if len(found.classes) > _MOST_CLASSES:
        raise UsageError(
            f"Column {name!r} has more than {_MOST_CLASSES:,} values, which are no classes. "
            "Pass classes= the name of the column with the classes."
        )
