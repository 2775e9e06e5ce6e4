"""Places: the same ground, whatever the date or sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stacchip.errors import UsageError
from stacchip.index.centres import find_known_centres
from stacchip.runtime.key_hash import hash_numbers
from stacchip.splits.cells import CellGrid

if TYPE_CHECKING:
    import pyarrow as pa

    from stacchip.runtime.key_hash import Hashes

__all__ = ["Places"]

_GROUND: Final = ("bbox", "geometry")
_SMALL: Final = "chip_size"  # a column that all indexes have


@dataclass(frozen=True, eq=False)
class Places:
    """Tells the places of chips: the cells of a grid that have their centres.

    Attributes:
        grid: The grid; None to tell none.
        columns: The columns to read. There is always one, which says how many rows there are.
    """

    grid: CellGrid | None
    columns: tuple[str, ...]

    @classmethod
    def of(cls, km: float | None, schema: pa.Schema) -> Places:
        """Return what tells the places of an index.

        Args:
            km: The size of a cell; None to tell none.
            schema: The columns of the index.

        Raises:
            UsageError: The index has no bounds of chips.
        """
        if km is None:
            return cls(None, (_SMALL,))
        if "bbox" not in schema.names:
            raise UsageError('The index has no column bbox, so that by="place" finds no places.')
        return cls(CellGrid(km), tuple(name for name in _GROUND if name in schema.names))

    def find(self, part: pa.Table) -> Hashes | None:
        """Return hashes of the places of chips; 0 for one that has no bounds."""
        if self.grid is None:
            return None
        lon, lat = find_known_centres(part)
        known = ~np.isnan(lon)
        places = np.zeros(len(lon), np.uint64)
        cells = self.grid.at(lon[known], lat[known])
        places[known] = hash_numbers(np.ones(len(cells), np.uint64), cells)
        return places
