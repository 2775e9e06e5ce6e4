"""The chips of a stream whose index is on disk: what is as long as the index is in order files.

There are two of them. One has the chosen chips as they come in the index; the index is scanned once
for it. The other has them area by area, and is made from the first. In memory is an entry for each
item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from stacchip.index.table_rows import encode_texts
from stacchip.stream.plan.by_area import AreaSides, find_chip_sizes
from stacchip.stream.plan.chip_table import CHIPS_IN_PIECE, ChipTable, Group, cut_in_pieces
from stacchip.stream.plan.order_cache import OrderCache
from stacchip.stream.plan.order_file import NARROW, VERSION, WIDE, OrderWriter, fits
from stacchip.stream.plan.wanted_chips import PLACE, Fingerprint, count_by_kind, number_by_first

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.chipper.stored_rows import StoredRows
    from stacchip.index.filters import Selection
    from stacchip.stream.plan.areas import AreaShape
    from stacchip.stream.plan.order_file import OrderFile

__all__ = ["ByRowWriter", "StoredChips", "digest_of_order", "some_groups_at_once"]

_AT_ONCE: Final = 1 << 19  # chips that are put in order together, at 80 bytes each
_GROUPS_HELD: Final = 4096


class StoredChips:
    """The chosen chips of an index on disk.

    Args:
        rows: The index.
        chosen: The chips wanted.

    Attributes:
        cache: Finds order files, or makes them.
        name: What these chips are called among order files; other chips have another name.

    Raises:
        UsageError: A filter is on a column that the index lacks.
    """

    def __init__(self, rows: StoredRows, chosen: Selection) -> None:
        self._rows = rows
        self._chosen = chosen
        self.cache = OrderCache()
        self.name = digest_of_order("rows", rows.index.digest_for(chosen), chosen.digest)
        self._forget_file()
        if not chosen.wants_all:
            chosen.report_left_out(self._by_row().facts["left_out"])
            rows.index.report_absent(chosen)

    def _forget_file(self) -> None:
        self._file: OrderFile | None = None
        self._parts: frozenset[str] = frozenset()

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: self.__dict__[name] for name in ("_rows", "_chosen", "cache", "name")}
        return {**kept, "_file": None, "_parts": frozenset()}

    # -- what is known by item

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """The number of chosen chips of each run of the index."""
        if self._chosen.wants_all:
            return np.asarray(self._rows.runs["rows"].to_numpy(), np.int64)
        return np.array(self._by_row("runs").runs)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The place, among all chosen chips, of the first of each run."""
        return np.cumsum(self._counts) - self._counts

    @cached_property
    def _grouped(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The group of each run, which is -1 without chips; and the first run of each group."""
        runs = self._rows.runs
        platform, item = (encode_texts(runs[name])[0] for name in ("platform", "item_id"))
        size = runs["chip_size"].to_numpy().astype(np.int64)
        there = np.flatnonzero(self._counts)
        of_run = np.full(len(size), -1, np.int32)
        of_run[there], first = number_by_first(np.stack([platform, item, size])[:, there])
        return of_run, there[first]

    @property
    def grouped(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The group of each run, which is -1 without chips; and the first run of each group."""
        return self._grouped

    @property
    def record(self) -> np.dtype[Any]:
        """The kind of records that hold the chips."""
        return self._by_row().chips.dtype

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The distinct items and chip sizes, in the order of their first chips."""
        return _Groups(self._rows.runs, self._grouped[1])

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """A row of each group, by which its item is found."""
        return np.asarray(self._rows.runs["first"].to_numpy(), np.int64)[self._grouped[1]]

    @cached_property
    def counts(self) -> Sequence[int]:
        """The number of chips of each group."""
        there = self._counts > 0
        counts = np.bincount(self._grouped[0][there], self._counts[there], len(self.groups))
        found: list[int] = counts.astype(np.int64).tolist()
        return found

    @cached_property
    def by_kind(self) -> dict[tuple[str, int], int]:
        """The number of chips of each platform and chip size."""
        return count_by_kind(self.groups, self.counts)

    def __len__(self) -> int:
        return int(self._counts.sum())

    @property
    def fingerprint(self) -> str:
        """A digest of the selection; it is that of the same chips in memory."""
        fingerprint: str = self._by_row().facts["fingerprint"]
        return fingerprint

    def rows_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of chips by their places among all, in the order of the index."""
        if self._chosen.wants_all:
            run = np.searchsorted(self._starts + self._counts, places, side="right")
            first = self._rows.runs["first"].to_numpy()
            return np.asarray(first[run] + places - self._starts[run], np.int64)
        return np.asarray(self._by_row().records(places)["row"], np.int64)

    def places_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places, among all, of the chips in some rows, which must be among them."""
        low, high = np.zeros_like(rows), np.full_like(rows, len(self) - 1)
        while (low < high).any():
            middle = (low + high) // 2
            is_before = self.rows_at(middle) < rows
            low, high = np.where(is_before, middle + 1, low), np.where(is_before, high, middle)
        return low

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return self._starts + self._counts

    def look_between(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """Return the runs, the groups and the records of chips that follow each other.

        Args:
            start: The place of the first among all.
            stop: The place after the last.
        """
        first, last = np.searchsorted(self._ends, (start, stop - 1), side="right").tolist()
        runs = np.arange(first, last + 1)
        ends = np.minimum(self._ends[runs], stop)
        run = np.repeat(runs, np.diff(ends, prepend=start))
        return run, self._grouped[0][run], self._by_row("runs").between(start, stop)

    def forget_pages(self) -> None:
        """Let go of the memory that the pages of the file take."""
        self._by_row().forget_pages()

    # -- in order

    def tabulate(
        self,
        class_of_group: NDArray[np.integer[Any]],
        shapes: Sequence[AreaShape],
        *,
        by_row: bool = False,
    ) -> ChipTable:
        """Return the chips area by area; arguments are those of `WantedChips.tabulate`."""
        if by_row:
            file = self._by_row("areas")
        else:
            sizes = [(shape.height, shape.width) for shape in shapes]
            classes = class_of_group.astype("<i8").tobytes()
            name = digest_of_order("areas", self.name, repr(sizes), classes.hex())
            write = partial(self._write_by_area, name, class_of_group, shapes)
            file = self.cache.find(name, write, parts=("areas",))
        return ChipTable(
            x=file.chips["x"],
            y=file.chips["y"],
            row=file.chips["row"],
            first=file.areas[:, 0],
            group=file.areas[:-1, 1],
            groups=self.groups,
            class_of_group=class_of_group,
            shapes=tuple(shapes),
            chip_sizes=find_chip_sizes(self.groups, class_of_group, len(shapes)),
            by_row=by_row,
            file=file,
        )

    def _by_row(self, *parts: str) -> OrderFile:
        """Return the file with the chips as they come in the index; some other parts are read."""
        if self._file is None or not self._parts.issuperset(parts):
            self._file = self.cache.find(self.name, self._write_by_row, parts=parts)
            self._parts = self._parts.union(parts)
        return self._file

    def _write_by_row(self, path: Path) -> None:
        record = NARROW if fits(NARROW, len(self._rows)) else WIDE
        if not self._scan_into(path, record):
            path.unlink()
            self._scan_into(path, WIDE)

    def _scan_into(self, path: Path, record: np.dtype[Any]) -> bool:
        """Write the chips as they come in the index; return False if records cannot hold them."""
        firsts = self._rows.runs["first"].to_numpy()
        with OrderWriter(path, record) as writer:
            by_row = ByRowWriter(writer, record, len(firsts))
            for rows, part in self._rows.index.scan_numbered(PLACE, self._chosen):
                x, y = (part[name].to_numpy() for name in PLACE)
                if not len(rows):
                    continue
                if not all(fits(record, 0, int(place.min()), int(place.max())) for place in (x, y)):
                    return False
                run = np.searchsorted(firsts, rows, side="right") - 1
                by_row.add(rows, x, y, run)
            self._finish(by_row, self._rows.index.count_left_out(self._chosen))
        return True

    def _finish(self, by_row: ByRowWriter, left_out: int) -> None:
        """Write the rest of a file of chips by row."""
        counts = by_row.counts
        self.__dict__["_counts"] = counts
        starts, group = self._runs_of_groups()
        ends = np.append(starts, counts.sum())[1:]
        first, _ = cut_in_pieces(starts, ends, CHIPS_IN_PIECE)
        by_row.writer.add_areas(first, group[np.searchsorted(starts, first, side="right") - 1])
        told = by_row.fingerprint.finish(starts, group, self.groups)
        by_row.writer.finish(self.name, counts, {"fingerprint": told, "left_out": left_out})

    def _runs_of_groups(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return where chips of one group begin, among all chosen ones, and the groups."""
        there = np.flatnonzero(self._counts)
        group = self._grouped[0][there]
        turns = np.flatnonzero(np.diff(group, prepend=-1))
        return self._starts[there[turns]], group[turns]

    def _write_by_area(
        self,
        name: str,
        class_of_group: NDArray[np.integer[Any]],
        shapes: Sequence[AreaShape],
        path: Path,
    ) -> None:
        source = self._by_row()
        sides = AreaSides(self.groups, class_of_group, shapes)
        done = 0
        with OrderWriter(path, source.chips.dtype) as writer:
            rank = sides.rank(self._grouped[0])
            for runs in some_groups_at_once(self._counts, rank, _AT_ONCE):
                counts = self._counts[runs]
                offsets = np.cumsum(counts) - counts
                places = np.arange(counts.sum()) + np.repeat(self._starts[runs] - offsets, counts)
                chips = source.records(places)
                group = np.repeat(self._grouped[0][runs], counts)
                found = sides.arrange(group, chips["x"].astype(np.int64), chips["y"])
                writer.add_chips(chips[found.order])
                writer.add_areas(done + found.first, found.group)
                done += len(chips)
                source.forget_pages()
            writer.finish(name, np.empty(0, np.int64), {})


class ByRowWriter:
    """Writes chips as they come in the index, and counts them.

    Args:
        writer: Writes the file.
        record: The kind of its records.
        runs: The number of runs that chips may be of.

    Attributes:
        writer: The writer.
        fingerprint: The digest of the chips so far.
        counts: The number of chips of each run.
    """

    def __init__(self, writer: OrderWriter, record: np.dtype[Any], runs: int) -> None:
        self.writer = writer
        self.fingerprint = Fingerprint()
        self.counts = np.zeros(runs, np.int64)
        self._record = record

    def add(
        self,
        rows: NDArray[np.int64],
        x: NDArray[np.integer[Any]],
        y: NDArray[np.integer[Any]],
        run: NDArray[np.int64],
    ) -> None:
        """Add further chips, at least one.

        Args:
            rows: Their rows in the index.
            x: Column of each in the grid of its item.
            y: Row of each there.
            run: Their runs, which do not fall.
        """
        chips = np.empty(len(rows), self._record)
        chips["row"], chips["x"], chips["y"] = rows, x, y
        self.writer.add_chips(chips)
        self.fingerprint.add(x, y)
        self.counts[run[0] : run[-1] + 1] += np.bincount(run - run[0])


def some_groups_at_once(
    counts: NDArray[np.int64], rank: NDArray[np.integer[Any]], most: int
) -> Iterator[NDArray[np.intp]]:
    """Yield runs that are put in order together: all those of some groups.

    Args:
        counts: The number of chips of each run.
        rank: The place of each run's group in the order of the areas; -1 for none.
        most: The number of chips, unless a single group has more.

    Example:
        >>> counts, rank = np.array([4, 0, 3, 2, 9]), np.array([1, -1, 0, 1, 2])
        >>> [runs.tolist() for runs in some_groups_at_once(counts, rank, 8)]
        [[2], [0, 3], [4]]
    """
    there = np.flatnonzero(rank >= 0)
    runs = there[np.argsort(rank[there], kind="stable")]
    ends = np.cumsum(counts[runs])
    stops = np.flatnonzero(np.diff(rank[runs], append=-1)) + 1  # of groups
    start = 0
    while start < len(runs):
        before = int(ends[start - 1]) if start else 0
        fitting = int(np.searchsorted(ends[stops - 1], before + most, side="right"))
        next_group = int(np.searchsorted(stops, start, side="right"))
        stop = int(stops[max(fitting - 1, next_group)])
        yield runs[start:stop]
        start = stop


class _Groups(Sequence[Group]):
    """The groups of runs of an index, made when they are asked for.

    Args:
        runs: The runs.
        first: The first run of each group.
    """

    def __init__(self, runs: pa.Table, first: NDArray[np.int64]) -> None:
        names = ("platform", "item_id", "chip_size")
        self._columns = [runs[name].combine_chunks().take(first) for name in names]
        self._get = lru_cache(_GROUPS_HELD)(self._make)

    def _make(self, number: int) -> Group:
        return Group(*(column[number].as_py() for column in self._columns))

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, number: int) -> Group: ...
    @overload
    def __getitem__(self, number: slice) -> list[Group]: ...
    def __getitem__(self, number: int | slice) -> Group | list[Group]:
        if isinstance(number, slice):
            return [self._get(each) for each in range(*number.indices(len(self)))]
        return self._get(int(number))

    def __iter__(self) -> Iterator[Group]:
        for start in range(0, len(self), _GROUPS_HELD):
            parts = (column.slice(start, _GROUPS_HELD).to_pylist() for column in self._columns)
            yield from map(Group, *parts)


def digest_of_order(*said: str) -> str:
    """Return the name of an order file by what it is of, in this version of the format."""
    form = f"{VERSION} {CHIPS_IN_PIECE}"
    return hashlib.sha256("\n".join([form, *said]).encode()).hexdigest()[:32]
