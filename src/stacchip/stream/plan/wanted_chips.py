"""The chips that a stream is made of, before they are ordered: the items, and where chips lie."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.chipper.stored_rows import StoredRows
from stacchip.index.filters import Selection
from stacchip.stream.plan.chip_table import ChipTable, Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.chipper.index_rows import ChipKey, Rows
    from stacchip.index.foreign.item_columns import FindItem
    from stacchip.stream.plan.areas import AreaShape

    FindGroup = Callable[[int, int], Group]

_ALL: Final = Selection()
_GROUP: Final = ("platform", "item_id", "chip_size")
_PLACE: Final = ("chip_index_x", "chip_index_y")


@dataclass(frozen=True, eq=False)
class WantedChips:
    """Rows of an index as arrays.

    Attributes:
        groups: The distinct items and chip sizes, in the order of their first rows.
        first_rows: The first row of each group, by which its item is found.
        group: Number of each row's group.
        x: Column of each row's chip in its grid.
        y: Row of each row's chip in its grid.
        row: Each row's number in the index.
    """

    groups: tuple[Group, ...]
    first_rows: NDArray[np.int64]
    group: NDArray[np.signedinteger]
    x: NDArray[np.signedinteger]
    y: NDArray[np.signedinteger]
    row: NDArray[np.int64]

    @classmethod
    def of(
        cls, rows: Rows, chosen: Selection = _ALL, find_item: FindItem | None = None
    ) -> WantedChips:
        """Return the chosen chips of an index; of one on disk, only the columns needed are read.

        Args:
            rows: The index.
            chosen: The chips wanted.
            find_item: Returns items, for what filters compare and a table lacks.

        Raises:
            UsageError: A filter is on a column that a table lacks.
        """
        parts = list(rows.scan(_PLACE, chosen, find_item))
        row = np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in parts)])
        x, y = (_numbers(part[name] for _, part in parts) for name in _PLACE)
        if isinstance(rows, StoredRows):
            groups, group = _groups_of_runs(rows.runs, row)
        else:
            groups, group = _groups_of_rows(rows, row)
        # groups are numbered by their first rows, so that "blocks" follows the index
        numbers, first, group = np.unique(group, return_index=True, return_inverse=True)
        by_first = np.argsort(first)
        rank = np.empty(len(first), np.int32)
        rank[by_first] = np.arange(len(first))
        own = tuple(groups(int(numbers[each]), int(row[first[each]])) for each in by_first)
        return cls(own, row[first[by_first]], rank[group.ravel()], x, y, row)

    @classmethod
    def of_keys(cls, keys: Sequence[ChipKey], rows: Sequence[int]) -> WantedChips:
        """Return the chips with these keys, which are in these rows; a chip may come twice."""
        groups: dict[Group, int] = {}
        first_rows: list[int] = []
        group = []
        places = [(key.x, key.y) for key in keys] or np.empty((0, 2))
        for key, row in zip(keys, rows, strict=True):
            own = Group(key.platform, key.item_id, key.chip_size)
            if own not in groups:
                groups[own] = len(groups)
                first_rows.append(row)
            group.append(groups[own])
        x, y = (np.array([place[axis] for place in places], np.int64) for axis in (0, 1))
        first, numbers, row_numbers = (np.array(e, np.int64) for e in (first_rows, group, rows))
        return cls(tuple(groups), first, numbers, x, y, row_numbers)

    def rows_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of chips by their places among all, in the order of the index."""
        return self.row[places]

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the selection."""
        digest = hashlib.blake2b(repr(self.groups).encode(), digest_size=8)
        for array in (self.group, self.x, self.y):
            digest.update(array.astype(np.int64).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def counts(self) -> list[int]:
        """The number of chips of each group."""
        counts: list[int] = np.bincount(self.group, minlength=len(self.groups)).tolist()
        return counts

    @cached_property
    def by_kind(self) -> dict[tuple[str, int], int]:
        """The number of chips of each platform and chip size."""
        counts: Counter[tuple[str, int]] = Counter()
        for group, count in zip(self.groups, self.counts, strict=True):
            counts[group.name] += count
        return dict(counts)

    def tabulate(
        self,
        class_of_group: NDArray[np.int64],
        shapes: Sequence[AreaShape],
        *,
        by_row: bool = False,
    ) -> ChipTable:
        """Return the chips area by area.

        Args:
            class_of_group: The class of each group.
            shapes: The size of the areas of each class.
            by_row: Keep the order of the rows; areas then come in pieces.
        """
        sizes = np.array([each.chip_size for each in self.groups] or [1])[self.group]
        classes = class_of_group[self.group]
        sides = np.array([(shape.height, shape.width) for shape in shapes] or [(1, 1)])[classes]
        down = self.y.astype(np.int64) * sizes // sides[:, 0]
        across = self.x.astype(np.int64) * sizes // sides[:, 1]
        keys = np.stack([classes, self.group, down, across])
        places = (self.x, self.y, *keys[::-1])
        order = np.arange(len(self)) if by_row else np.lexsort(places)
        begins = np.ones(len(order), bool)
        begins[1:] = (np.diff(keys[:, order], axis=1) != 0).any(axis=0)
        first = np.flatnonzero(begins)
        group = self.group[order[first]]
        of_area = class_of_group[group] if len(group) else group
        turns = np.flatnonzero(np.diff(of_area, prepend=-1, append=-1))
        stretches = [
            (begin, end, int(of_area[begin]))
            for begin, end in zip(turns[:-1].tolist(), turns[1:].tolist(), strict=True)
        ]
        chip_sizes = [0] * len(shapes)
        for number, own in enumerate(class_of_group.tolist()):
            chip_sizes[own] = self.groups[number].chip_size
        return ChipTable(
            x=self.x[order].astype(np.int32),
            y=self.y[order].astype(np.int32),
            row=self.row[order],
            first=np.append(first, len(order)),
            group=group,
            groups=self.groups,
            class_of_group=class_of_group,
            shapes=tuple(shapes),
            chip_sizes=tuple(chip_sizes),
            stretches=stretches,
            by_row=by_row,
            fingerprint=self.fingerprint,
        )


def _numbers(columns: Iterable[pa.ChunkedArray]) -> NDArray[np.int32]:
    """Return the values of columns that follow each other."""
    return np.concatenate([np.empty(0, np.int32), *(column.to_numpy() for column in columns)])


def _groups_of_runs(runs: pa.Table, rows: NDArray[np.int64]) -> tuple[FindGroup, NDArray[Any]]:
    """Return what finds a group, and the number of each row's group, in an index on disk."""
    keys = zip(*(runs[name].to_pylist() for name in _GROUP), strict=True)
    numbers: dict[Group, int] = {}
    of_run = np.array([numbers.setdefault(Group(*key), len(numbers)) for key in keys], np.int32)
    run = np.searchsorted(runs["first"].to_numpy(), rows, side="right") - 1
    groups = tuple(numbers)
    return lambda number, _: groups[number], of_run[run]


def _groups_of_rows(rows: Rows, chosen: NDArray[np.int64]) -> tuple[FindGroup, NDArray[Any]]:
    """Return what finds a group, and the number of each row's group, in a table."""
    platform, item = rows.codes("platform"), rows.codes("item_id")
    size = rows.table["chip_size"].to_numpy().astype(np.int64)
    group = (platform * (int(item.max(initial=0)) + 1) + item) * (int(size.max(initial=0)) + 1)

    def find(_: int, row: int) -> Group:
        key = rows.key(row)
        return Group(key.platform, key.item_id, key.chip_size)

    return find, (group + size)[chosen]
