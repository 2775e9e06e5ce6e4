"""The chips of a stream as thin arrays, area by area."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.chipper.index_rows import ChipKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.areas import AreaShape
    from stacchip.stream.plan.visits import Visit


AREAS_IN_REGION: Final = 64


@dataclass(frozen=True)
class Group:
    """Chips of one size of one item."""

    platform: str
    item_id: str
    chip_size: int

    @property
    def name(self) -> tuple[str, int]:
        """Platform and chip size, by which a survey looks at items."""
        return self.platform, self.chip_size


@dataclass(frozen=True, eq=False)
class ChipTable:
    """The chips of a stream, and the areas that they lie in.

    Chips are numbered from 0, area by area, so that an area is its first chip and a count. Areas
    are numbered class by class, then as the items come in the index, then down and across. A class
    has chips of one platform, size and kind. If chips are numbered as in the index (`by_row`),
    areas come in pieces, which count as areas here.

    Attributes:
        x: Column of each chip in the grid of its item.
        y: Row of each chip there.
        row: Row of each chip in the index.
        first: First chip of each area, and at the end the number of all chips.
        group: Group of each area.
        groups: The items and chip sizes.
        class_of_group: Class of each group.
        shapes: The size of the areas of each class.
        chip_sizes: Pixels a side of the chips of each class.
        stretches: Where areas of one class follow each other: the first, the next, and the class.
        by_row: True if chips are numbered as in the index.
        fingerprint: A digest of the selection; a saved state belongs to one selection.
    """

    x: NDArray[np.integer[Any]]
    y: NDArray[np.integer[Any]]
    row: NDArray[np.integer[Any]]
    first: NDArray[np.int64]
    group: NDArray[np.int64]
    groups: Sequence[Group]
    class_of_group: NDArray[np.int64]
    shapes: tuple[AreaShape, ...]
    chip_sizes: tuple[int, ...]
    stretches: Sequence[tuple[int, int, int]]
    by_row: bool
    fingerprint: str

    def __len__(self) -> int:
        return len(self.row)

    def ranges(self, classes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return runs of up to 64 neighbouring areas of some classes: first areas, and the next.

        Neighbours are of one class. The runs are in the order of the areas.
        """
        starts, stops = [], []
        for begin, end, own in self.stretches:
            if own not in classes:
                continue
            starts.append(np.arange(begin, end, AREAS_IN_REGION))
            stops.append(np.minimum(starts[-1] + AREAS_IN_REGION, end))
        nothing = np.empty(0, np.int64)
        return np.concatenate([nothing, *starts]), np.concatenate([nothing, *stops])

    def area_of(self, chips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the areas of some chips."""
        areas: NDArray[np.int64] = np.searchsorted(self.first, chips, side="right") - 1
        return areas

    def key(self, chip: int, group: int) -> ChipKey:
        """Return the key of a chip of a group."""
        own = self.groups[group]
        x, y = int(self.x[chip]), int(self.y[chip])
        return ChipKey(own.platform, own.item_id, own.chip_size, x, y)

    def visit_bytes(self, visit: Visit, *, is_part: bool) -> int:
        """Estimate the decoded bytes of the blocks of a visit.

        Args:
            visit: The visit.
            is_part: True if it is to a part of an area, and not to all of it.
        """
        shape = self.shapes[self.class_of_group[visit.group]]
        most = shape.part_bytes if is_part else shape.size_bytes
        return int(min(most, len(visit.chips) * shape.chip_bytes))
