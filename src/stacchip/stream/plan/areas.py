"""Areas: groups of neighbouring chips that share blocks, and are read together."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.wanted_chips import WantedChips

# an area takes at most this share of the memory: a shuffle draws from 24 areas at once
SMALLEST_SHARE = 1 / 24


class Blocks(Protocol):
    """The blocks of a raster: the facts that decide how chips are grouped."""

    @property
    def block_shape(self) -> tuple[int, int]:
        """(height, width) of a block."""

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the chip grid for each pixel of the raster, (down, across)."""

    @property
    def pixel_bytes(self) -> int:
        """Decoded bytes of one pixel of all bands."""


class AreaShape(NamedTuple):
    """The size of the areas into which an item's chips are grouped.

    Attributes:
        height: Rows of the chip grid that an area spans.
        width: Columns of the chip grid.
        size_bytes: Approximate decoded bytes of the blocks of a whole area.
        chip_bytes: Approximate decoded bytes of the blocks that one chip touches.
    """

    height: int
    width: int
    size_bytes: int
    chip_bytes: int


def find_shape(layers: Sequence[Blocks], chip_size: int, memory_bytes: int) -> AreaShape:
    """Return the largest area that a block of some raster spans and that fits 24 times in memory.

    A block of 1024 px of a 20 m band spans 2048 px of a 10 m grid: an area of 64 chips of 256 px,
    in which all blocks of the 10 m and 20 m bands nest. A block of a 60 m band spans 6144 px.
    An area of that size would take a gigabyte, so nine of the smaller areas share the block.

    If no such area fits, the smallest one is returned.
    """
    heights = {max(chip_size, round(_span(layer)[0])) for layer in layers}
    widths = {max(chip_size, round(_span(layer)[1])) for layer in layers}
    shapes = [
        AreaShape(
            height,
            width,
            _decoded_bytes(layers, height, width),
            _decoded_bytes(layers, chip_size, chip_size),
        )
        for height in heights
        for width in widths
    ]
    fitting = [shape for shape in shapes if shape.size_bytes <= memory_bytes * SMALLEST_SHARE]
    if not fitting:
        return min(shapes, key=lambda shape: (shape.height * shape.width, shape))
    return max(fitting, key=lambda shape: (shape.height * shape.width, shape))


def _span(layer: Blocks) -> tuple[float, float]:
    """Return (height, width) of a block, in pixels of the chip grid."""
    return layer.block_shape[0] * layer.scale[0], layer.block_shape[1] * layer.scale[1]


def _decoded_bytes(layers: Sequence[Blocks], height: int, width: int) -> int:
    """Return decoded bytes of the blocks in a window of the grid that starts at a block."""
    total = 0
    for layer in layers:
        down, across = _span(layer)
        blocks = ceil(height / down) * ceil(width / across)
        total += blocks * layer.block_shape[0] * layer.block_shape[1] * layer.pixel_bytes
    return total


@dataclass(frozen=True, eq=False)
class Areas:
    """The area of each chip.

    Attributes:
        of_row: Number of each row's area. Areas are numbered by group, then down, then across.
        sorted_rows: The rows, area by area; within an area down, then across.
        size_bytes: Approximate decoded bytes of all blocks of each area.
        chip_bytes: Approximate decoded bytes of the blocks of one chip of each area.
    """

    of_row: NDArray[np.int64]
    sorted_rows: NDArray[np.int64]
    size_bytes: NDArray[np.float64]
    chip_bytes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.size_bytes)

    def nominal_bytes(
        self, areas: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Estimate the bytes decoded for a number of chips of each of these areas."""
        nominal: NDArray[np.float64] = np.minimum(
            self.size_bytes[areas], counts * self.chip_bytes[areas]
        )
        return nominal


def find_areas(chips: WantedChips, shapes: Mapping[tuple[str, int], AreaShape]) -> Areas:
    """Group chips into areas.

    Args:
        chips: The chips.
        shapes: How chips are grouped, by platform and chip size.
    """
    nothing = AreaShape(1, 1, 1, 1)  # numpy needs a row to index, even if there is no chip
    table = np.array(
        [shapes[group.platform, group.chip_size] for group in chips.groups] or [nothing]
    )
    size = np.array([group.chip_size for group in chips.groups] or [1])[chips.group]
    shape = table[chips.group]
    row, col = chips.y * size // shape[:, 0], chips.x * size // shape[:, 1]
    order = np.lexsort((chips.x, chips.y, col, row, chips.group))
    sorted_keys = np.stack([chips.group, row, col])[:, order]
    begins = np.ones(len(order), bool)
    begins[1:] = (sorted_keys[:, 1:] != sorted_keys[:, :-1]).any(axis=0)
    of_row = np.empty(len(order), np.int64)
    of_row[order] = np.cumsum(begins) - 1
    of_area = shape[order[begins]].astype(np.float64)
    return Areas(of_row, order, of_area[:, 2], of_area[:, 3])
