"""The chips that a stream is made of, before they are ordered: the items, and where chips lie."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from stacchip.chipper.stored_rows import StoredRows
from stacchip.index.filters import Selection
from stacchip.stream.plan.by_area import AreaSides
from stacchip.stream.plan.chip_table import CHIPS_IN_PIECE, ChipTable, Group, cut_in_pieces

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
PLACE: Final = ("chip_index_x", "chip_index_y")
"""The columns with a chip's place in the grid of its item."""


class Chips(Protocol):
    """The chips of a stream before they are ordered, in memory or on disk."""

    @property
    def groups(self) -> Sequence[Group]:
        """The distinct items and chip sizes, in the order of their first chips."""
        ...

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """A row of each group, by which its item is found."""
        ...

    @property
    def counts(self) -> Sequence[int]:
        """The number of chips of each group."""
        ...

    @property
    def by_kind(self) -> dict[tuple[str, int], int]:
        """The number of chips of each platform and chip size."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest of the selection."""
        ...

    def __len__(self) -> int: ...

    def rows_at(self, places: NDArray[np.int64], /) -> NDArray[np.int64]:
        """Return the rows of chips by their places among all, in the order of the index."""
        ...

    def places_of(self, rows: NDArray[np.int64], /) -> NDArray[np.int64]:
        """Return the places, among all, of the chips in some rows, which must be among them."""
        ...

    def tabulate(
        self,
        class_of_group: NDArray[np.integer[Any]],
        shapes: Sequence[AreaShape],
        *,
        by_row: bool = False,
    ) -> ChipTable:
        """Return the chips area by area."""
        ...


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
        parts = list(rows.scan(PLACE, chosen, find_item))
        row = np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in parts)])
        x, y = (_numbers(part[name] for _, part in parts) for name in PLACE)
        if isinstance(rows, StoredRows):
            groups, group = _groups_of_runs(rows.runs, row)
        else:
            groups, group = _groups_of_rows(rows, row)
        # groups are numbered by their first rows, so that "blocks" follows the index
        number, first = number_by_first(group)
        own = tuple(groups(int(group[place]), int(row[place])) for place in first)
        return cls(own, row[first], number, x, y, row)

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

    def places_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places, among all, of the chips in some rows, which must be among them."""
        return np.searchsorted(self.row, rows)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the selection."""
        digest = Fingerprint()
        digest.add(self.x, self.y)
        starts = np.flatnonzero(np.diff(self.group, prepend=-1))
        return digest.finish(starts, self.group[starts], self.groups)

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
        return count_by_kind(self.groups, self.counts)

    def tabulate(
        self,
        class_of_group: NDArray[np.integer[Any]],
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
        sides = AreaSides(self.groups, class_of_group, shapes)
        if by_row:
            order: Any = slice(None)
            first, group = pieces_of(np.flatnonzero(np.diff(self.group, prepend=-1)), self.group)
        else:
            order, first, group = sides.arrange(self.group, self.x, self.y)
        return ChipTable(
            x=self.x[order].astype(np.int32),
            y=self.y[order].astype(np.int32),
            row=self.row[order],
            first=np.append(first, len(self)),
            group=group,
            groups=self.groups,
            class_of_group=class_of_group,
            shapes=tuple(shapes),
            chip_sizes=sides.chip_sizes,
            by_row=by_row,
        )


def number_by_first(keys: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number different keys in the order in which they come first.

    Args:
        keys: The keys, (key,) or (part, key).

    Returns:
        The number of each key, and where each number comes first.

    Example:
        >>> number_by_first(np.array([7, 3, 7, 5]))
        (array([0, 1, 0, 2], dtype=int32), array([0, 1, 3]))
    """
    axis = None if keys.ndim == 1 else 1
    _, first, number = np.unique(keys, axis=axis, return_index=True, return_inverse=True)
    by_first = np.argsort(first)
    rank = np.empty(len(first), np.int32)
    rank[by_first] = np.arange(len(first))
    return rank[number.ravel()], first[by_first]


def count_by_kind(groups: Iterable[Group], counts: Iterable[int]) -> dict[tuple[str, int], int]:
    """Return the number of chips of each platform and chip size."""
    found: Counter[tuple[str, int]] = Counter()
    for group, count in zip(groups, counts, strict=True):
        found[group.name] += count
    return dict(found)


class Fingerprint:
    """A digest of chips in the order of their rows, which may be added in parts."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, x: NDArray[np.integer[Any]], y: NDArray[np.integer[Any]]) -> None:
        """Add the places of further chips in the grids of their items."""
        self._digest.update(np.stack([x, y], axis=1).astype("<i4").tobytes())

    def finish(
        self, starts: NDArray[np.integer[Any]], of_run: NDArray[Any], groups: Iterable[Group]
    ) -> str:
        """Return the digest.

        Args:
            starts: The first chip of each run of chips of one group.
            of_run: The group of each run; neighbours differ.
            groups: The groups.
        """
        self._digest.update(np.stack([starts, of_run], axis=1).astype("<i8").tobytes())
        for group in groups:
            self._digest.update(repr((group.platform, group.item_id, group.chip_size)).encode())
        return self._digest.hexdigest()[:16]


def pieces_of(
    starts: NDArray[np.integer[Any]], group: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the first chips of pieces of up to 64 chips of one group, and the groups.

    Args:
        starts: The first chip of each run of chips of one group.
        group: The group of each chip.
    """
    first, _ = cut_in_pieces(starts, np.append(starts, len(group))[1:], CHIPS_IN_PIECE)
    return first, group[first]


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
