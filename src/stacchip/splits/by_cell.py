"""Splits by the cells of a global grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import UsageError
from stacchip.splits.cells import CellGrid
from stacchip.splits.ground import bounds_of, grow, require_buffer
from stacchip.splits.shares import BORDER, draw_split, make_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.splits.shares import Codes, Shares

__all__ = ["CellRule", "cells_of_centres"]

_MOST_CELLS: Final = 4096  # that a chip may touch; one that touches more is in no split
_MOST_KNOWN: Final = 1 << 24  # cells of a grid of 6 km; the splits of smaller ones are not kept
_UNKNOWN: Final = -2


@dataclass(frozen=True)
class CellRule:
    """Each cell of a grid is in a split by chance.

    A chip is in a split if all cells that its bounds touch, grown by the buffer, are in it. The
    chance of a cell is a hash (BLAKE2b, 8 bytes, big endian) of the text `{salt}/{km}km/{cell}`.

    Attributes:
        shares: Names and shares of the splits.
        cell_km: The size of a cell.
        buffer_km: Chips of two splits are farther apart than this.
        salt: Another text gives other splits.
        cells: The splits of some cells, by name, which are not left to chance.
    """

    shares: Shares
    cell_km: float
    buffer_km: float
    salt: str
    cells: Mapping[str, str] = field(default_factory=dict)

    columns = ("bbox",)

    def __post_init__(self) -> None:
        require_buffer(self.buffer_km)
        _ = self.grid
        if strange := sorted(set(self.cells.values()) - {*self.splits, ""})[:3]:
            raise UsageError(f"Cells are in splits that have no share: {', '.join(strange)}.")

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(name for name, _ in self.shares)

    @cached_property
    def grid(self) -> CellGrid:
        """The grid of the cells."""
        return CellGrid(self.cell_km)

    @cached_property
    def _known(self) -> Codes:
        """The splits of all cells, as far as they were asked for."""
        return np.full(len(self.grid), _UNKNOWN, np.int8)

    def codes(self, rows: pa.Table) -> Codes:
        """Return for each row the number of its split; `BORDER` for none."""
        box = grow(bounds_of(rows), self.buffer_km)
        codes = np.full(rows.num_rows, BORDER, np.int8)
        west, south, east, north = box
        high = (north - south) / self.grid.height + 2
        wanted = np.isfinite(west) & (high <= _MOST_CELLS)
        seen = np.zeros(rows.num_rows, np.int64)
        west, south, east, north = (np.where(wanted, side, 0.0) for side in box)
        for boxes, cells in self.grid.touched(west, south, east, north, wanted):
            found = self.of_cells(cells)
            is_first = seen[boxes] == 0
            codes[boxes] = np.where(is_first | (codes[boxes] == found), found, BORDER)
            seen[boxes] += 1
            wanted[boxes] = (codes[boxes] != BORDER) & (seen[boxes] < _MOST_CELLS)
        codes[seen >= _MOST_CELLS] = BORDER
        return codes

    def of_cells(self, cells: NDArray[np.int64]) -> Codes:
        """Return the splits of cells by number; `BORDER` where a cell is in none."""
        if len(self.grid) > _MOST_KNOWN:
            some, places = np.unique(cells, return_inverse=True)
            codes: Codes = self._decide(some)[places]
            return codes
        new = np.unique(cells[self._known[cells] == _UNKNOWN])
        self._known[new] = self._decide(new)
        return self._known[cells]

    def _decide(self, cells: NDArray[np.int64]) -> Codes:
        return np.array([self._of_name(name) for name in self.grid.names(cells)], np.int8)

    def _of_name(self, name: str) -> int:
        if (split := self.cells.get(name)) is not None:
            return self.splits.index(split) if split else BORDER
        return draw_split(self.shares, f"{self.salt}/{self.cell_km:g}km/{name}")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        facts = {
            "by": "cell",
            "shares": dict(self.shares),
            "cell_km": self.cell_km,
            "buffer_km": self.buffer_km,
            "salt": self.salt,
        }
        return {**facts, "cells": dict(self.cells)} if self.cells else facts

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> CellRule:
        """Return it from plain values."""
        return cls(
            make_shares(facts["shares"]),
            float(facts["cell_km"]),
            float(facts["buffer_km"]),
            str(facts["salt"]),
            dict(facts.get("cells", {})),
        )


def cells_of_centres(rule: CellRule, rows: pa.Table) -> NDArray[np.int64]:
    """Return the cell that the centre of each chip is in; -1 where it is not known.

    Args:
        rule: A rule whose grid has the cells.
        rows: Rows with the column `bbox`.
    """
    west, south, east, north = bounds_of(rows)
    cells = np.full(len(west), -1, np.int64)
    is_known = np.isfinite(west)
    lon, lat = (west + east)[is_known] / 2, (south + north)[is_known] / 2
    cells[is_known] = rule.grid.at(lon, lat)
    return cells
