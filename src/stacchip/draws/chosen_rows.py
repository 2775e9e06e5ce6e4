"""The rows of an index that a draw may choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import Rows
    from stacchip.index import Selection
    from stacchip.index.foreign.item_columns import FindItem

__all__ = ["ChosenRows"]


@dataclass(frozen=True)
class ChosenRows:
    """Rows of an index that are chosen by filters.

    Attributes:
        rows: The index.
        chosen: The filters.
        find_item: Returns items, for what filters compare and a table lacks.
    """

    rows: Rows
    chosen: Selection
    find_item: FindItem | None = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of the index."""
        return self.rows.schema

    def scan(self, columns: Iterable[str]) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
        """Yield columns of the rows in parts, in their order, with the numbers of the rows.

        Args:
            columns: Names of columns, which may come several times.
        """
        yield from self.rows.scan([*dict.fromkeys(columns)], self.chosen, self.find_item)
