"""A chipper of a large index on disk holds an entry for each item, and finds what a table would."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from index.tables import make_table
from scenes import Scene
from stacchip import Chipper
from stacchip.chipper.index_rows import ChipRows
from stacchip.chipper.stored_rows import StoredRows
from stacchip.cli import run
from stacchip.errors import AmbiguousChip, ChipNotFound, ChipOutOfRange, IndexReplaced, UsageError
from stacchip.index import SCHEMA, concat_indexes, read_index, write_index
from stacchip.index.on_disk import StoredIndex
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage


def make_index() -> pa.Table:
    """Four items of two platforms, two chip sizes, and an id that both platforms have."""
    return concat_indexes(
        [
            make_table("a-1", chips=(130, 130)),
            make_table("b-1", chips=(130, 130), day=1),
            make_table("b-1", chips=(130, 130), day=1, chip_size=128),
            make_table("c", chips=(130, 130), day=2),
            make_table("a-1", platform="landsat-c2l2-sr", chips=(130, 130), day=3),
        ]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "index"
    write_index(make_index(), path)
    return path


@pytest.fixture
def stored(folder: Path) -> StoredRows:
    index = StoredIndex.open(folder, Storage())
    assert index is not None
    return StoredRows(index)


@pytest.fixture(scope="module")
def whole(folder: Path) -> ChipRows:
    return ChipRows(read_index(folder))


def test_a_chipper_of_a_path_keeps_the_rows_on_disk(folder: Path, whole: ChipRows) -> None:
    chipper = Chipper(folder)
    assert isinstance(chipper.rows, StoredRows)
    assert len(chipper) == len(whole)
    assert len(pickle.dumps(chipper)) < 20_000, "no rows"


def test_chips_have_the_same_keys_and_values_as_in_a_table(stored, whole) -> None:
    assert len(stored) == len(whole)
    assert stored.item_keys() == whole.item_keys()
    for row in np.random.default_rng(0).integers(0, len(whole), 40).tolist():
        assert stored.key(row) == whole.key(row)
        for column in ("bbox", "item_href", "datetime", "chipid", "cloud_cover_percentage", "no"):
            assert stored.value(row, column) == whole.value(row, column)


ASKED = [
    {"x": 3, "y": 100, "item_id": "c"},
    {"x": 3, "y": 100, "item_id": "a-1", "platform": "landsat-c2l2-sr"},
    {"x": 129, "y": 129, "item_id": "b-1", "chip_size": 128},
    {"chipid": "c-7-8"},
    {"chipid": "a-1-7-8", "platform": "sentinel-2-l2a"},
]


@pytest.mark.parametrize("asked", ASKED)
def test_a_chip_is_found_where_a_table_has_it(stored, whole, asked) -> None:
    assert stored.find(**asked) == whole.find(**asked)


WRONG = [
    ({"x": 3, "y": 100, "item_id": "a-1"}, AmbiguousChip),
    ({"chipid": "b-1-7-8"}, AmbiguousChip),
    ({"x": 3, "y": 4}, AmbiguousChip),
    ({"x": 999, "y": 4, "item_id": "c"}, ChipNotFound),
    ({"chipid": "nowhere-1-2"}, ChipNotFound),
    ({"x": 3}, UsageError),
]


@pytest.mark.parametrize(("asked", "error"), WRONG)
def test_a_chip_that_is_not_there_once_is_told_as_for_a_table(stored, whole, asked, error) -> None:
    said = []
    for rows in (stored, whole):
        with pytest.raises(error) as caught:
            rows.find(**asked)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_positions_count_from_both_ends(stored, whole) -> None:
    assert stored.position(-1) == len(whole) - 1
    with pytest.raises(ChipOutOfRange):
        stored.position(len(whole))


def test_all_rows_are_there_for_callers_that_want_a_table(stored, whole) -> None:
    assert stored.table.equals(whole.table)
    assert np.array_equal(stored.codes("item_id"), whole.codes("item_id"))
    assert stored.key(5) == whole.key(5)


def test_a_copy_in_another_process_reads_the_same_rows(stored, whole) -> None:
    context = multiprocessing.get_context("forkserver")
    with context.Pool(1) as pool:
        assert pool.apply(stored.key, (70_000,)) == whole.key(70_000)


def test_a_copy_refuses_an_index_that_took_the_place(folder: Path, tmp_path: Path) -> None:
    write_index(make_index(), tmp_path / "index")
    chipper = Chipper(tmp_path / "index")
    text = pickle.dumps(chipper)
    before = chipper.rows.key(70_000)
    write_index(make_index().slice(1), tmp_path / "index")

    assert chipper.rows.key(70_000) == before, "open files stay as they were"
    with pytest.raises(IndexReplaced, match="replaced"):
        pickle.loads(text).rows.key(70_000)


def test_small_indexes_and_files_of_others_are_read_into_memory(tmp_path: Path) -> None:
    write_index(make_table(), tmp_path / "small")
    assert StoredIndex.open(tmp_path / "small", Storage()) is None
    assert isinstance(Chipper(tmp_path / "small").rows, ChipRows)


def test_pixels_are_those_of_a_table(scene: Scene, tmp_path: Path) -> None:
    small = NoStatsChipIndexer(scene.item, 256).create_index()
    others = [make_table(each, chips=(170, 170)) for each in ("before", "z")]
    write_index(concat_indexes([others[0], small, others[1]]), tmp_path / "index")
    chipper, expected = Chipper(tmp_path / "index"), Chipper(small)
    assert isinstance(chipper.rows, StoredRows)

    for chipid in small["chipid"].to_pylist()[:3]:
        chip, wanted = chipper.cut(chipid=chipid), expected.cut(chipid=chipid)
        assert np.array_equal(chip.array, wanted.array)
        assert np.array_equal(chip.valid, wanted.valid)
    x, y, arrays = chipper[chipper.rows.find(chipid=small["chipid"][0].as_py())]
    assert (x, y) == expected[0][:2]
    assert np.array_equal(arrays["red"], expected[0][2]["red"])


def test_the_command_line_finds_a_chip_by_its_item(scene: Scene, tmp_path: Path, capsys) -> None:
    small = NoStatsChipIndexer(scene.item, 256).create_index()
    write_index(concat_indexes([make_table("z", chips=(250, 250)), small]), tmp_path / "index")
    chipid = small["chipid"][1].as_py()

    assert run(["chip", str(tmp_path / "index"), chipid, "-o", str(tmp_path / "chip.npy")]) == 0

    expected = Chipper(small).cut(chipid=chipid)
    assert np.array_equal(np.load(tmp_path / "chip.npy"), expected.array)
    assert chipid in capsys.readouterr().out


class CountedIndex:
    """An index of items of equally many chips, which notes the items whose rows are read."""

    schema = SCHEMA

    def __init__(self, items: int, chips: int = 100) -> None:
        self._chips = chips
        self.runs = pa.table({"first": np.arange(items) * chips, "rows": np.full(items, chips)})
        self.read: list[int] = []

    def take(self, rows: np.ndarray, columns: list[str]) -> pa.Table:
        self.read.append(int(rows[0]) // self._chips)
        return pa.table({name: (rows / 1e8).astype(np.float32) for name in columns})


@pytest.mark.parametrize("items", [64, 65, 300])
def test_rows_of_the_items_of_a_batch_are_read_once(items: int) -> None:
    index = CountedIndex(items)
    rows = StoredRows(index)
    names = ("cloud_cover_percentage", "nodata_percentage")
    for batch in range(3):
        for name in names:  # two labels
            asked = np.random.default_rng(batch).permutation(np.arange(batch, items * 100, 100))
            found = rows.column(asked, name).to_numpy()
            assert np.array_equal(found, (asked / 1e8).astype(np.float32))
    assert sorted(index.read) == sorted([*range(items), *range(items)])


def test_rows_that_were_used_long_ago_are_forgotten() -> None:
    index = CountedIndex(200, chips=100_000)  # 400 kB each
    rows = StoredRows(index)
    before = pa.total_allocated_bytes()
    for item in [*range(200), 0, *range(180, 200)]:
        rows.column(np.array([item * 100_000]), "cloud_cover_percentage")
    assert pa.total_allocated_bytes() - before < 40e6
    assert index.read == [*range(200), 0]
