"""Chips in order files are those of a table, in the same order."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.chipper.index_rows import ChipRows
from stacchip.index.choosing import choose_rows
from stacchip.index.filters import Selection
from stacchip.index.table_rows import take_rows
from stacchip.stream.plan.areas import AreaShape
from stacchip.stream.plan.stored_chips import StoredChips, some_groups_at_once
from stacchip.stream.plan.wanted_chips import WantedChips

SHAPES = [AreaShape(128, 128, 1000, 300, 64, 64, 300), AreaShape(96, 192, 1000, 300, 32, 64, 300)]


class FakeIndex:
    """An index on disk whose rows are in memory, in row groups of 37 rows."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.scans = 0
        self.digest = str(hash(str(table.to_pydict())))

    def scan_numbered(
        self, columns: Sequence[str], chosen: Selection
    ) -> Iterator[tuple[np.ndarray, pa.Table]]:
        self.scans += 1
        rows = choose_rows(self.table, chosen)
        for part in np.split(rows, np.arange(37, len(rows), 37)):
            yield part, take_rows(self.table.select(columns), part)

    def digest_for(self, chosen: Selection) -> str:
        return self.digest

    def count_left_out(self, chosen: Selection) -> int:
        return 0

    def report_absent(self, chosen: Selection) -> None:
        pass


class FakeRows:
    """The rows of such an index."""

    def __init__(self, table: pa.Table) -> None:
        self.index = FakeIndex(table)
        key = ["platform", "item_id", "chip_size"]
        texts = [str(row) for row in table.select(key).to_pylist()]
        starts = np.array([n for n in range(len(texts)) if not n or texts[n] != texts[n - 1]], int)
        self.runs = take_rows(table.select(key), starts).append_column(
            "first", pa.array(starts)
        ).append_column("rows", pa.array(np.diff(np.append(starts, len(texts)))))  # fmt: skip

    def __len__(self) -> int:
        return self.index.table.num_rows


def table_of(*runs: tuple[int, int], width: int = 9) -> pa.Table:
    """Runs of chips of items; a chip's place follows from its number in its item."""
    numbers: dict[int, int] = {}
    items, places = [], []
    for item, count in runs:
        begin = numbers.get(item, 0)
        numbers[item] = begin + count
        items += [item] * count
        places += range(begin, begin + count)
    x, y = np.array(places, np.int32) % width, np.array(places, np.int32) // width
    return pa.table(
        {
            "platform": [f"source-{item % 2}" for item in items],
            "item_id": [f"item-{item // 2}" for item in items],
            "chip_size": pa.array([32 if item == 3 else 64 for item in items], pa.int32()),
            "chip_index_x": pa.array(x, pa.int32()),
            "chip_index_y": pa.array(y, pa.int32()),
        },
        pa.schema(
            [("platform", pa.string()), ("item_id", pa.string())]
            + [(name, pa.int32()) for name in ("chip_size", "chip_index_x", "chip_index_y")]
        ),
    )


def classes_of(chips: StoredChips | WantedChips) -> tuple[np.ndarray, list[AreaShape]]:
    """Classes such that each has chips of one size."""
    names = {
        key: n for n, key in enumerate(sorted({(g.platform, g.chip_size) for g in chips.groups}))
    }
    of_group = np.array([names[g.platform, g.chip_size] for g in chips.groups], np.uint8)
    return of_group, [SHAPES[n % 2] for n in range(len(names))]


def compare(stored: StoredChips, table: WantedChips) -> None:
    assert len(stored) == len(table)
    assert list(stored.groups) == list(table.groups)
    assert stored.counts == table.counts
    assert stored.by_kind == table.by_kind
    assert stored.fingerprint == table.fingerprint
    every = np.arange(len(table))
    assert stored.rows_at(every).tolist() == table.rows_at(every).tolist()
    of_group, shapes = classes_of(table)
    for by_row in (True, False):
        own, expected = (each.tabulate(of_group, shapes, by_row=by_row) for each in (stored, table))
        for name in ("x", "y", "row", "first", "group", "chip_sizes", "stretches"):
            assert np.array_equal(getattr(own, name), getattr(expected, name)), name


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACCHIP_CACHE_DIR", str(tmp_path_factory.mktemp("caches")))
        yield


FILTERS = [
    Selection(),
    Selection(where=pc.field("chip_index_x") > 3),
    Selection(platform="source-1"),
    Selection(where=pc.field("chip_index_x") > 100),
]


@pytest.mark.parametrize("chosen", FILTERS, ids=["all", "some", "source", "none"])
@given(
    runs=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 150)), max_size=8),
)
def test_chips_are_those_of_a_table(chosen: Selection, runs: list[tuple[int, int]]) -> None:
    table = table_of(*runs)
    stored = StoredChips(FakeRows(table), chosen)
    compare(stored, WantedChips.of(ChipRows(table), chosen))


def test_chips_far_out_in_their_grids_are_held() -> None:
    table = table_of((0, 100), (1, 100), width=1)
    far = pc.multiply(table["chip_index_y"], pa.scalar(7000, pa.int32()))
    table = table.set_column(4, "chip_index_y", far)
    stored = StoredChips(FakeRows(table), Selection())
    compare(stored, WantedChips.of(ChipRows(table)))
    assert stored.tabulate(*classes_of(stored)).y.max() == 99 * 7000


def test_an_index_is_scanned_once_for_all_processes() -> None:
    rows = FakeRows(table_of((0, 1000), (1, 1000)))
    chosen = Selection(where=pc.field("chip_index_x") < 5)
    first = StoredChips(rows, chosen)
    first.tabulate(*classes_of(first))
    first.tabulate(*classes_of(first), by_row=True)
    again = StoredChips(rows, Selection(where=pc.field("chip_index_x") < 5))
    assert again.fingerprint == first.fingerprint
    copy = pickle.loads(pickle.dumps(first))
    copy.tabulate(*classes_of(copy))
    assert rows.index.scans == 1


def test_a_copy_makes_a_file_again_that_is_gone() -> None:
    stored = StoredChips(FakeRows(table_of((0, 300), (1, 500))), Selection(item_id="item-0"))
    table = stored.tabulate(*classes_of(stored))
    order = table.row.tolist()
    sent = pickle.dumps(stored)
    for file in table.file.path.parent.iterdir():
        file.unlink()
    assert table.row.tolist() == order, "who has it open reads on"
    copy = pickle.loads(sent)
    assert copy.tabulate(*classes_of(copy)).row.tolist() == order
    assert table.file.path.exists()


def test_selections_that_differ_in_the_middle_of_a_list_have_their_own_files() -> None:
    ids = [f"item-{number}" for number in range(1000)]
    digests = {
        Selection(item_id=[*ids[:middle], "other", *ids[middle + 1 :]]).digest
        for middle in (300, 500, 700)
    }
    assert len(digests) == 3
    assert Selection(bbox=(0, 0, 1, 1)).digest != Selection(bbox=(0, 0, 1, 2)).digest
    assert Selection(item_id=ids).digest == Selection(item_id=list(ids)).digest


@given(
    counts=st.lists(st.integers(0, 9), max_size=20),
    groups=st.integers(1, 6),
    most=st.integers(1, 20),
)
def test_runs_of_a_group_come_together(counts: list[int], groups: int, most: int) -> None:
    rank = np.array([n % groups if count else -1 for n, count in enumerate(counts)], np.int64)
    parts = [part.tolist() for part in some_groups_at_once(np.array(counts, np.int64), rank, most)]
    runs = [run for part in parts for run in part]
    assert sorted(runs) == [n for n, count in enumerate(counts) if count]
    assert [rank[run] for run in runs] == sorted(rank[runs])
    seen = [{int(rank[run]) for run in part} for part in parts]
    assert len(set().union(*seen)) == sum(map(len, seen)), "no group is in two parts"
    for part, of_part in zip(parts, seen, strict=True):
        assert sum(counts[run] for run in part) <= most or len(of_part) == 1


def test_the_pickle_of_many_chips_is_small() -> None:
    stored = StoredChips(FakeRows(table_of((0, 10))), Selection())
    stored.tabulate(*classes_of(stored))
    state = stored.__getstate__()
    assert len(pickle.dumps({name: state[name] for name in state if name != "_rows"})) < 2000
    assert Path(stored.tabulate(*classes_of(stored)).file.path).exists()
