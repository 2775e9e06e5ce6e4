"""The chips that an epoch draws from a large index, in order files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from stacchip.stream.plan.chip_table import Group
from stacchip.stream.plan.order_file import OrderWriter
from stacchip.stream.plan.stored_chips import ByRowWriter, StoredChips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["DrawnChips", "DrawnRows"]


class DrawnRows(NamedTuple):
    """Chips of an epoch; one that comes twice is there twice.

    Attributes:
        row: Their rows in the index.
        x: Column of each in the grid of its item.
        y: Row of each there.
        run: Their runs; with parts of a mix, the run times the number of parts, plus the part.
    """

    row: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    run: NDArray[np.int64]


class DrawnChips(StoredChips):
    """The chips of an epoch.

    Their groups are those of the chips that they are drawn from, also those without a chip. With
    parts of a mix, each group comes once for each part.

    Args:
        chips: The chips that they are drawn from.
        name: The name of their order file.
        parts: The number of parts that are read side by side.
        draw: Yields them, run by run.
    """

    def __init__(
        self, chips: StoredChips, name: str, parts: int, draw: Callable[[], Iterator[DrawnRows]]
    ) -> None:
        self._base = chips
        self._parts_of_mix = parts
        self._draw = draw
        self.cache = chips.cache
        self.name = name
        self._forget_file()

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        return np.array(self._by_row("runs").runs)

    @cached_property
    def _grouped(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        parts = self._parts_of_mix
        of_run, first = self._base.grouped
        group = of_run[:, None] * parts + np.arange(parts, dtype=np.int32)
        is_empty = (of_run < 0)[:, None] | (self._counts.reshape(-1, parts) == 0)
        return np.where(is_empty, -1, group).ravel().astype(np.int32), np.repeat(first, parts)

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The items and chip sizes, in the order of the index."""
        return _Repeated(self._base.groups, self._parts_of_mix)

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """A row of each group, by which its item is found."""
        return np.repeat(self._base.first_rows, self._parts_of_mix)

    def rows_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of chips by their places among all, in the order of the index."""
        return np.asarray(self._by_row().records(places)["row"], np.int64)

    def _write_by_row(self, path: Path) -> None:
        record, runs = self._base.record, len(self._base.grouped[0]) * self._parts_of_mix
        with OrderWriter(path, record) as writer:
            by_row = ByRowWriter(writer, record, runs)
            for part in self._whole_runs():
                order = np.argsort(part.run, kind="stable")
                by_row.add(*(values[order] for values in part))
            self._finish(by_row, 0)

    def _whole_runs(self) -> Iterator[DrawnRows]:
        """Yield the chips such that those of a run come together, if there are parts of a mix."""
        parts = self._parts_of_mix
        held: list[DrawnRows] = []  # of one run
        for part in self._draw():
            if not len(part.row):
                continue
            if parts == 1:
                yield part
                continue
            last = int(part.run.max()) // parts * parts  # runs come one after another
            is_of_last = part.run >= last
            if held and held[-1].run.max() < last:
                held.append(DrawnRows(*(values[~is_of_last] for values in part)))
                yield _join(held)
                held = []
            elif not is_of_last.all():
                yield DrawnRows(*(values[~is_of_last] for values in part))
            held.append(DrawnRows(*(values[is_of_last] for values in part)))
        if held:
            yield _join(held)


def _join(parts: Sequence[DrawnRows]) -> DrawnRows:
    return DrawnRows(*map(np.concatenate, zip(*parts, strict=True)))


class _Repeated(Sequence[Group]):
    """Groups, each several times.

    Args:
        groups: The groups.
        times: How often each comes.
    """

    def __init__(self, groups: Sequence[Group], times: int) -> None:
        self._groups = groups
        self._times = times

    def __len__(self) -> int:
        return len(self._groups) * self._times

    @overload
    def __getitem__(self, number: int) -> Group: ...
    @overload
    def __getitem__(self, number: slice) -> list[Group]: ...
    def __getitem__(self, number: int | slice) -> Group | list[Group]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        return self._groups[range(len(self))[number] // self._times]

    def __iter__(self) -> Iterator[Group]:
        for group in self._groups:
            for _ in range(self._times):
                yield group
