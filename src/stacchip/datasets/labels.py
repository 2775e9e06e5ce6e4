"""Labels: what a model learns to predict from a chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.chipper import Chip
    from stacchip.stream import ChipBatch


@dataclass(frozen=True)
class Label:
    """The source of labels: exactly one of a function, a column and an asset.

    Args:
        function: Returns the label of a `Chip`: a number or an array, of one shape for all chips.
            It must be picklable to reach worker processes, so define it in a module.
        column: Name of a column of the index, or of the table that the stream was made from.
        asset: Key of a raster asset. It is cut like a band, and taken out of the pixels.

    Raises:
        UsageError: None of them was given, or several.

    Example:
        >>> Label(column="cloud_cover_percentage").asset is None
        True
    """

    function: Callable[[Chip], Any] | None = None
    column: str | None = None
    asset: str | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.function, self.column, self.asset) if value is not None]
        if len(given) != 1:
            raise UsageError("Give a Label exactly one of function=, column= and asset=.")

    def of(self, batch: ChipBatch) -> Any:
        """Return the labels of a batch: a tensor, or a list if a value is not a number.

        Raises:
            UsageError: There is no such column or asset.
        """
        if self.function is not None:
            return torch.as_tensor(np.stack([np.asarray(self.function(chip)) for chip in batch]))
        if self.column is not None:
            return _column(batch, self.column)
        bands = self.bands(batch.bands)
        pixels = batch.array[:, bands]
        if pixels.dtype.kind in "ui" and pixels.dtype.itemsize > 1:
            pixels = pixels.astype(
                np.int64
            )  # torch supports few operations on wider unsigned integers
        return torch.from_numpy(np.ascontiguousarray(pixels))

    def bands(self, names: tuple[str, ...]) -> list[int]:
        """Return the places of the label's bands among the bands of a chip.

        Raises:
            UsageError: The label's asset is not among them.
        """
        if self.asset is None:
            return []
        found = [number for number, name in enumerate(names) if name.split(":")[0] == self.asset]
        if not found:
            raise UsageError(
                f"The label's asset {self.asset!r} is not among the bands {', '.join(names)}: "
                "name it in assets=[...]."
            )
        return found


def _column(batch: ChipBatch, name: str) -> Any:
    if name not in batch.table.column_names:
        raise UsageError(
            f"The label's column {name!r} is not in the index; it has: "
            f"{', '.join(batch.table.column_names)}."
        )
    values = batch.table[name].to_pylist()
    if any(value is None or not isinstance(value, int | float) for value in values):
        return values
    return torch.tensor(values)
