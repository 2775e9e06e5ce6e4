"""`UnmeasuredChipIndexer`: the chips of an item, without a look at its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stacchip.indexer.base import ChipIndexer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class UnmeasuredChipIndexer(ChipIndexer):
    """Indexes an item without reading pixels: the shares of its chips are null, "not measured".

    Imagery that its source publishes free of clouds only (`Source.clouds` is `"none"`) has cloud 0:
    that takes no pixel.

    Example:
        >>> UnmeasuredChipIndexer(item).create_index()["cloud_cover_percentage"].null_count
        16
    """

    def get_shares(self) -> dict[str, NDArray[np.float32]]:
        """Return cloud 0 for a source that is free of clouds; else no shares."""
        if not self._is_cloudless:
            return {}
        return {"cloud": np.zeros((self.y_size, self.x_size), np.float32)}

    def get_stats(self, x: int, y: int) -> tuple[float, float]:  # noqa: ARG002 - all are the same
        """Return (NaN, NaN) for every chip, or (0, NaN) for a source that is free of clouds."""
        return (0.0 if self._is_cloudless else np.nan), np.nan

    @property
    def _is_cloudless(self) -> bool:
        return self.source is not None and self.source.clouds == "none"
