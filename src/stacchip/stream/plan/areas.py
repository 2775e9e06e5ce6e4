"""Areas: groups of neighbouring chips that share blocks, and are read together."""

from __future__ import annotations

from math import ceil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

# An area of more decoded bytes is made smaller. The number is fixed, since the order of a shuffle
# depends on the areas, and may not depend on the memory of a machine.
MOST_AREA_BYTES: Final = 85 << 20


Areas = SimpleNamespace  # pickles of 0.x name it: surveys held one, which nothing reads now


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
    """The size of the areas into which an item's chips are grouped, and of their parts.

    A part of an area is what one block of the finest raster spans. A shuffle reads an area part by
    part, so that few blocks are in memory; the coarse blocks that the parts share stay meanwhile.

    Attributes:
        height: Pixels of the chip grid that an area spans down.
        width: Pixels of the chip grid that it spans across.
        size_bytes: Approximate decoded bytes of the blocks of a whole area.
        chip_bytes: Approximate decoded bytes of the blocks that one chip touches.
        part_height: Pixels of the chip grid that a part spans down.
        part_width: Pixels of the chip grid that it spans across.
        part_bytes: Approximate decoded bytes of the blocks of a part.
    """

    height: int
    width: int
    size_bytes: int
    chip_bytes: int
    part_height: int = 0  # pickles of earlier versions have none
    part_width: int = 0
    part_bytes: int = 0

    @classmethod
    def square(cls, side: int, chip_size: int) -> AreaShape:
        """Return a square area of one part, of a raster of which nothing is known."""
        return cls(side, side, side**2, chip_size**2, side, side, side**2)


def find_shape(layers: Sequence[Blocks], chip_size: int) -> AreaShape:
    """Return the largest area that a block of some raster spans and that takes at most 85 MB.

    A block of 1024 px of a 20 m band spans 2048 px of a 10 m grid: an area of 64 chips of 256 px,
    in which all blocks of the 10 m and 20 m bands nest. Its four parts are the blocks of the 10 m
    bands. A block of a 60 m band spans 6144 px. An area of that size would take a gigabyte, so nine
    of the smaller areas share the block.

    If no such area is small enough, the smallest one is returned.
    """
    heights = sorted({max(chip_size, round(_span(layer)[0])) for layer in layers})
    widths = sorted({max(chip_size, round(_span(layer)[1])) for layer in layers})
    sizes = [
        (_decoded_bytes(layers, height, width), height, width)
        for height in heights
        for width in widths
    ]
    fitting = [size for size in sizes if size[0] <= MOST_AREA_BYTES]
    if fitting:
        size_bytes, height, width = max(fitting, key=lambda size: (size[1] * size[2], size))
    else:
        size_bytes, height, width = min(sizes, key=lambda size: (size[1] * size[2], size))
    part = (heights[0], widths[0])
    return AreaShape(
        height,
        width,
        size_bytes,
        _decoded_bytes(layers, chip_size, chip_size),
        *part,
        _decoded_bytes(layers, *part),
    )


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
