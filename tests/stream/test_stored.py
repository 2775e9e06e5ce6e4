"""A stream of an index on disk, of which it reads no more than it needs."""

from __future__ import annotations

import pickle
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stacchip.chipper.stored_rows import StoredRows
from stacchip.index import read_index
from stacchip.stream import ChipStream
from stream.conftest import index_items, make_item

SIZE = 32
MEMORY = 2 << 20  # little is read ahead
SOME = pc.bit_wise_and(pc.field("chip_index_x"), 3) < pc.bit_wise_and(pc.field("chip_index_y"), 3)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three items of 57,600 chips of 8 px: an index of several row groups."""
    folder = tmp_path_factory.mktemp("stored")
    items = [make_item(folder / name, name, {"red": (10, 1920)}).item for name in "abc"]
    return index_items(items, folder / "index", chip_size=8)


@pytest.fixture(scope="module")
def rows(path: str) -> pa.Table:
    return read_index(path)


@pytest.mark.parametrize("filters", [{}, {"item_id": "b"}, {"where": SOME}], ids=str)
@pytest.mark.parametrize("order", ["index", "blocks", "shuffle"])
def test_its_chips_are_those_of_a_table(
    path: str, rows: pa.Table, order: str, filters: dict
) -> None:
    stream = ChipStream(path, order=order, seed=2, memory_bytes=MEMORY, **filters)
    table = ChipStream(rows, order=order, seed=2, memory_bytes=MEMORY, **filters)
    assert isinstance(stream.chipper.rows, StoredRows)
    assert (len(stream), stream.state_dict()) == (len(table), table.state_dict())
    assert np.array_equal(stream.rows(), table.rows())
    pairs = zip(stream.batches(SIZE), table.batches(SIZE), strict=False)
    for batch, expected in islice(pairs, 3):
        assert batch.keys == expected.keys
        assert batch.rows.tolist() == expected.rows.tolist()
        assert np.array_equal(batch.array, expected.array)
    assert "_whole" not in vars(stream.chipper.rows), "the table was not read"


def test_the_rows_of_a_batch_are_read_from_disk(path: str) -> None:
    stream = ChipStream(path, order="shuffle", memory_bytes=MEMORY)
    batch = next(stream.batches(SIZE))
    assert batch.table["chipid"].to_pylist() == list(batch.chipids)
    assert "_whole" not in vars(stream.chipper.rows)


def test_one_column_of_a_batch_is_read_from_disk(path: str) -> None:
    rows = np.array([60_000, 3, 57_700, 3, 115_199])
    stored, table = (ChipStream(index).chipper.rows for index in (path, read_index(path)))
    for name in ("item_id", "chip_index_x", "bbox", "geometry"):
        assert stored.column(rows, name).to_pylist() == table.column(rows, name).to_pylist()
        assert stored.column(rows[:0], name).type == table.column(rows[:0], name).type
    assert "_whole" not in vars(stored)


def test_nulls_are_counted_by_statistics_and_else_in_the_column(path: str, monkeypatch) -> None:
    rows = ChipStream(path).chipper.rows
    table = read_index(path)
    assert rows.count_nulls("shadow_percentage") == table["shadow_percentage"].null_count
    scanned: list[str] = []
    monkeypatch.setattr(StoredRows, "scan", lambda _, columns: scanned.extend(columns) or iter(()))
    assert rows.count_nulls("chip_index_x") == rows.count_nulls("bbox") == 0
    assert scanned == []


def test_some_of_its_chips_are_taken_by_their_rows(path: str) -> None:
    stream = ChipStream(path, memory_bytes=MEMORY)
    (batch,) = stream.take([57_700, 3, 57_701])
    assert batch.rows.tolist() == [57_700, 3, 57_701]
    table = ChipStream(read_index(path), memory_bytes=MEMORY)
    assert np.array_equal(batch.array, table.take([57_700, 3, 57_701])[0].array)


def test_a_copy_goes_without_the_rows(path: str) -> None:
    stream = ChipStream(path, order="shuffle", memory_bytes=MEMORY)
    stream.rows()
    again = pickle.loads(pickle.dumps(stream))
    assert np.array_equal(again.rows(), stream.rows())
    assert Path(path).exists()


@pytest.mark.parametrize("column", ["chip_index_x", "nodata_percentage", "item_id"])
def test_a_label_out_of_a_column_reads_that_column_of_a_few_rows(path: str, column: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is absent: make torch")
    from stacchip.datasets import ChipStreamDataset, Label

    streams = [
        ChipStream(index, order="shuffle", memory_bytes=MEMORY)
        for index in (path, read_index(path))
    ]
    stored, table = (
        ChipStreamDataset(stream, batch_size=SIZE, label=Label(column=column)) for stream in streams
    )
    for batch, expected in islice(zip(stored, table, strict=False), 2):
        assert list(batch["label"]) == list(expected["label"])
    assert "_whole" not in vars(streams[0].chipper.rows)


def test_a_sample_says_where_its_chip_is(path: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is absent: make torch")
    from stacchip.datasets import ChipDataset

    stored, table = (ChipDataset(index, memory_bytes=MEMORY) for index in (path, read_index(path)))
    for number in (5, 60_000):
        places = [dataset[number]["location"].numpy() for dataset in (stored, table)]
        np.testing.assert_allclose(*places, atol=1e-6)


def test_an_order_is_not_that_of_an_index_elsewhere(path: str, tmp_path: Path) -> None:
    # what a folder is called tells a column of its rows
    where = SOME & (pc.field("split") == 1)
    shutil.copytree(path, tmp_path / "split=1")
    assert len(ChipStream(tmp_path, where=where)) == len(ChipStream(path, where=SOME))
    (tmp_path / "split=1").rename(tmp_path / "split=2")
    assert len(ChipStream(tmp_path, where=where)) == 0
