"""Chips put area by area: class by class, item by item, down and across."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stacchip.stream.plan.areas import AreaShape
    from stacchip.stream.plan.chip_table import Group


class Areas(NamedTuple):
    """Chips in the order of their areas.

    Attributes:
        order: The chips, in that order.
        first: The first chip of each area, as numbered in that order.
        group: The group of each area.
    """

    order: NDArray[np.intp]
    first: NDArray[np.int64]
    group: NDArray[np.integer[Any]]


class AreaSides:
    """How large the areas of each group are.

    Args:
        groups: The groups.
        class_of_group: The class of each.
        shapes: The size of the areas of each class.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        class_of_group: NDArray[np.integer[Any]],
        shapes: Sequence[AreaShape],
    ) -> None:
        self.chip_sizes = find_chip_sizes(groups, class_of_group, len(shapes))
        self._class = class_of_group
        self._height, self._width = (
            np.array([getattr(shape, side) for shape in shapes], np.int64)
            for side in ("height", "width")
        )
        # classes follow each other; within one, groups keep their order
        in_order = np.argsort(class_of_group, kind="stable")
        self._rank = np.full(len(class_of_group) + 1, -1, np.int64)
        self._rank[in_order] = np.arange(len(class_of_group))

    def rank(self, group: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the places of groups in the order of the areas; -1 for a group of -1."""
        found: NDArray[np.int64] = self._rank[group]
        return found

    def areas(
        self,
        group: NDArray[np.integer[Any]],
        x: NDArray[np.integer[Any]],
        y: NDArray[np.integer[Any]],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which area of its group each chip is in, counted down and across."""
        kind = self._class[group]
        size = np.array(self.chip_sizes, np.int64)[kind]
        return y * size // self._height[kind], x * size // self._width[kind]

    def arrange(
        self,
        group: NDArray[np.integer[Any]],
        x: NDArray[np.integer[Any]],
        y: NDArray[np.integer[Any]],
    ) -> Areas:
        """Put chips area by area; chips at one place keep their order.

        Args:
            group: The group of each chip.
            x: Its column in the grid of its item.
            y: Its row there.
        """
        down, across = self.areas(group, x, y)
        area = _join(self._rank[group], down, across)
        place = None if area is None else _join(area, y, x)
        if area is None or place is None:  # the numbers are too large for one
            order = np.lexsort((x, y, across, down, self._rank[group]))
            keys = np.stack([group, down, across])[:, order]
        else:
            order = np.argsort(place, kind="stable")
            keys = area[order][None]
        begins = np.ones(len(order), bool)
        begins[1:] = (np.diff(keys, axis=1) != 0).any(axis=0)
        first = np.flatnonzero(begins)
        return Areas(order, first, group[order[first]])


def find_chip_sizes(
    groups: Sequence[Group], class_of_group: NDArray[np.integer[Any]], classes: int
) -> tuple[int, ...]:
    """Return the chip size of each class."""
    sizes = [0] * classes
    there, first = np.unique(class_of_group, return_index=True)
    for number, group in zip(there.tolist(), first.tolist(), strict=True):
        sizes[number] = groups[group].chip_size
    return tuple(sizes)


def _join(*numbers: NDArray[np.integer[Any]]) -> NDArray[np.int64] | None:
    """Return one number for several, in the same order; None if it would be too large.

    So it is for negative numbers.
    """
    if any(int(each.min(initial=0)) < 0 for each in numbers):
        return None
    joined = numbers[0].astype(np.int64)
    most = int(joined.max(initial=0)) + 1
    for each in numbers[1:]:
        count = int(each.max(initial=0)) + 1
        most *= count
        if most > np.iinfo(np.int64).max:
            return None
        joined = joined * count + each
    return joined
