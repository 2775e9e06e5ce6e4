"""`UnmeasuredChipIndexer`: the chips of an item, without a look at its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stacchip.indexer.base import ChipIndexer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class UnmeasuredChipIndexer(ChipIndexer):
    """Indexes an item without reading pixels: the shares of its chips are null, "not measured".

    Example:
        >>> UnmeasuredChipIndexer(item).create_index()["cloud_cover_percentage"].null_count
        16
    """

    def get_shares(self) -> dict[str, NDArray[np.float32]]:
        """Return no shares."""
        return {}

    def get_stats(self, x: int, y: int) -> tuple[float, float]:  # noqa: ARG002 - all are the same
        """Return (NaN, NaN) for every chip."""
        return np.nan, np.nan
