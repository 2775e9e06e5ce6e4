"""Footprints that may lie near one of another split, put aside band by band of latitude."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pyarrow as pa

from stacchip.index.files.spill import Spill
from stacchip.selection.ellipsoid import grow_bounds
from stacchip.selection.split_rows import Bounds, shapes_of
from stacchip.selection.split_survey import NO_SPLIT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.selection.coarse_grid import CoarseGrid
    from stacchip.selection.split_rows import RowPart
    from stacchip.selection.split_survey import Survey

    Shapes = NDArray[np.object_]
    Integers = NDArray[np.int64]

__all__ = ["BAND_ROWS", "HELD_BYTES", "Band", "Bands", "Candidates"]

_SCHEMA: Final = pa.schema(
    {
        "wkb": pa.binary(),
        "split": pa.int8(),
        "low": pa.int32(),
        "high": pa.int32(),
        "row": pa.int64(),
        "rows": pa.int64(),
    }
)
BAND_ROWS: Final = 150_000
"""Candidates of a band, unless one row of the grid has more: each takes 2 kB with what finds it."""
HELD_BYTES: Final = 64 << 20
"""Bytes of candidates that are held in memory before they are written to a file."""


@dataclass(frozen=True)
class Bands:
    """Bands of latitude, each of so few candidates that they fit into memory.

    Attributes:
        grid: A coarse grid, of which a band is a few rows.
        mixed: True for the cells of several splits. What meets one is a candidate.
        buffer_m: The distance in metres from which a footprint meets a cell.
        of_row: The band of each row of the grid.
    """

    grid: CoarseGrid
    mixed: NDArray[np.bool_]
    buffer_m: float
    of_row: Integers

    @classmethod
    def of(cls, seen: Survey, buffer_m: float) -> Bands:
        """Return the bands for rows that were surveyed.

        Args:
            seen: What the survey found.
            buffer_m: Distance in metres below which footprints are too near.
        """
        mixed = seen.mixed
        counts = np.add.reduceat(np.where(mixed, seen.meetings, 0), seen.grid.firsts[:-1])
        bands, band, held = [], 0, 0
        for count in counts.tolist():
            if held and held + count > BAND_ROWS:
                band, held = band + 1, 0
            bands.append(band)
            held += count
        return cls(seen.grid, mixed, buffer_m, np.array(bands, np.int64))

    @property
    def count(self) -> int:
        """The number of bands."""
        return int(self.of_row[-1]) + 1

    def candidates(self, bounds: Bounds) -> tuple[Integers, Integers, Integers]:
        """Return the rows that are candidates, and the first and the last band that each meets."""
        sides = grow_bounds(bounds.sides, self.buffer_m)
        box, cells = self.grid.cells_of(sides)
        rows = np.unique(bounds.rows[box[self.mixed[cells]]])
        low, high = (self.of_row[self.grid.rows_of(sides[:, side])] for side in (1, 3))
        most = int(bounds.rows.max(initial=-1)) + 1
        lows, highs = np.full(most, self.count, np.int64), np.full(most, -1, np.int64)
        np.minimum.at(lows, bounds.rows, low)
        np.maximum.at(highs, bounds.rows, high)
        return rows, lows[rows], highs[rows]


@dataclass(frozen=True)
class Band:
    """The footprints of one band; rows of the same footprint and split are one.

    Attributes:
        number: Its number.
        shapes: The footprints.
        splits: The number of the split of each.
        counts: How many rows each stands for.
        rows: The first of these.
        lows: The first band that each meets.
        highs: The last one.
        wkb: The bytes of each as the rows have them.
    """

    number: int
    shapes: Shapes
    splits: Integers
    counts: Integers
    rows: Integers
    lows: Integers
    highs: Integers
    wkb: pa.ChunkedArray


class Candidates:
    """Candidates by band: in memory if they are few, else in a file.

    Args:
        bands: The bands.
        path: A file to create, where they are many.

    Attributes:
        placeless: Number of rows that have bounds, but no footprint to compare.
    """

    def __init__(self, bands: Bands, path: Path) -> None:
        self._bands = bands
        self._path = path
        self.placeless = 0
        self._held: dict[int, list[pa.Table]] = defaultdict(list)
        self._held_bytes = 0
        self._spill: Spill | None = None
        self._spilled: dict[int, list[int]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._spill is not None:
            self._spill.__exit__()

    def add(self, part: RowPart, splits: Integers) -> None:
        """Put aside the footprints of a part's rows that may lie near one of another split.

        Args:
            part: The rows.
            splits: The numbers of their splits.
        """
        bounds = part.bounds()
        inside = splits[bounds.rows] != NO_SPLIT
        rows, lows, highs = self._bands.candidates(
            Bounds(bounds.rows[inside], bounds.sides[inside])
        )
        if not len(rows):
            return
        ones = np.ones(len(rows), np.int64)
        columns = [part.footprints(rows), splits[rows], lows, highs, part.numbers[rows], ones]
        made = pa.table(columns, names=_SCHEMA.names).cast(_SCHEMA)
        self.placeless += made["wkb"].null_count
        made = _merge(made.filter(made["wkb"].is_valid()))
        low, high = made["low"].to_numpy(), made["high"].to_numpy()
        if not len(low):
            return
        for band in range(int(low.min()), int(high.max()) + 1):
            here = (low <= band) & (band <= high)
            if here.any():
                inside = made if here.all() else made.filter(here)
                self._held[band].append(inside)
                self._held_bytes += inside.nbytes
        if self._held_bytes > HELD_BYTES:
            self._put_aside()

    def _put_aside(self) -> None:
        if self._spill is None:
            self._spill = Spill(self._path)
        for band, tables in self._held.items():
            table = _merge(pa.concat_tables(tables))
            self._spilled[band] += [self._spill.append(batch) for batch in table.to_batches()]
        self._held.clear()
        self._held_bytes = 0

    def band(self, number: int) -> Band:
        """Return the footprints of a band."""
        tables = self._held.pop(number, [])
        if self._spill is not None:
            batches = [self._spill.read(each) for each in self._spilled.get(number, [])]
            tables = [*tables, pa.Table.from_batches(batches, _SCHEMA)]
        table = _merge(pa.concat_tables(tables)) if tables else _SCHEMA.empty_table()
        table = table.sort_by("row")
        splits, counts, rows, lows, highs = (
            table[name].to_numpy().astype(np.int64)
            for name in ("split", "rows", "row", "low", "high")
        )
        wkb = table["wkb"]
        return Band(number, shapes_of(wkb), splits, counts, rows, lows, highs, wkb)


def _merge(table: pa.Table) -> pa.Table:
    """Return one row for each footprint and split."""
    keys = ["wkb", "split", "low", "high"]
    merged = table.group_by(keys).aggregate([("row", "min"), ("rows", "sum")])
    return (
        merged.rename_columns(
            [{"row_min": "row", "rows_sum": "rows"}.get(name, name) for name in merged.column_names]
        )
        .select(_SCHEMA.names)
        .cast(_SCHEMA)
    )
