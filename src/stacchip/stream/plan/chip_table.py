"""The chips of a stream as thin arrays, area by area."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.chipper.index_rows import ChipKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.areas import AreaShape
    from stacchip.stream.plan.order_file import OrderFile
    from stacchip.stream.plan.visits import Visit


AREAS_IN_REGION: Final = 64
CHIPS_IN_PIECE: Final = 64
_AT_ONCE: Final = 1 << 18


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
    has chips of one platform, size and kind.

    If chips are numbered as in the index (`by_row`), up to 64 chips of one group that follow each
    other count as an area here.

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
        by_row: True if chips are numbered as in the index.
        file: The file that the arrays are mapped from, if they are; `rows` and `records` check it.
    """

    x: NDArray[np.integer[Any]]
    y: NDArray[np.integer[Any]]
    row: NDArray[np.integer[Any]]
    first: NDArray[np.int64]
    group: NDArray[np.integer[Any]]
    groups: Sequence[Group]
    class_of_group: NDArray[np.integer[Any]]
    shapes: tuple[AreaShape, ...]
    chip_sizes: tuple[int, ...]
    by_row: bool
    file: OrderFile | None = None

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def stretches(self) -> NDArray[np.int64]:
        """Where areas of one class follow each other: the first, the next, and the class."""
        parts, last = [np.empty((0, 2), np.int64)], -1
        for start in range(0, len(self.group), _AT_ONCE):
            own = self.class_of_group[self.group[start : start + _AT_ONCE]].astype(np.int64)
            turns = np.flatnonzero(np.diff(own, prepend=last))
            parts.append(np.stack([start + turns, own[turns]], axis=1))
            last = int(own[-1])
        begins, classes = np.concatenate(parts).T
        return np.stack([begins, np.append(begins, len(self.group))[1:], classes], axis=1)

    def ranges(self, classes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return runs of up to 64 neighbouring areas of some classes: first areas, and the next.

        Neighbours are of one class. The runs are in the order of the areas.
        """
        begins, ends, own = self.stretches.T
        chosen = np.isin(own, classes)
        begins, ends = begins[chosen], ends[chosen]
        return cut_in_pieces(begins, ends, AREAS_IN_REGION)

    def area_of(self, chips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the areas of some chips."""
        areas: NDArray[np.int64] = np.searchsorted(self.first, chips, side="right") - 1
        return areas

    def forget_pages(self) -> None:
        """Let go of the memory that the file's pages take."""
        if self.file is not None:
            self.file.forget_pages()

    def records(self, chips: NDArray[np.int64]) -> NDArray[Any]:
        """Return records of some chips, with their `row`, `x` and `y`; those of a file are checked.

        Raises:
            StorageError: The file is damaged.
        """
        if self.file is not None:
            return self.file.records(chips)
        kinds = [(name, getattr(self, name).dtype) for name in ("row", "x", "y")]
        found = np.empty(len(chips), kinds)
        for name, _ in kinds:
            found[name] = getattr(self, name)[chips]
        return found

    def rows(self, chips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows in the index of some chips."""
        if self.file is not None:
            return np.asarray(self.file.records(chips)["row"], np.int64)
        return np.asarray(self.row[chips], np.int64)

    def key(self, group: int, x: int, y: int) -> ChipKey:
        """Return the key of a chip of a group."""
        own = self.groups[group]
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


def cut_in_pieces(
    begins: NDArray[np.integer[Any]], ends: NDArray[np.integer[Any]], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut stretches of numbers into pieces of up to `most`, and return where these begin and end.

    Example:
        >>> cut_in_pieces(np.array([0, 10]), np.array([5, 12]), 2)
        (array([ 0,  2,  4, 10]), array([ 2,  4,  5, 12]))
    """
    counts = -(-(ends - begins) // most)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(begins, counts) + number * most
    return starts, np.minimum(starts + most, np.repeat(ends, counts))
