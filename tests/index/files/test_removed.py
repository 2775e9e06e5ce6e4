"""The marks of removed rows: of which version of a file they are, and what they may say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.tables import make_header, make_table, make_tables
from stacchip.errors import IndexFormatError, IndexReplaced, UsageError
from stacchip.index import (
    append_to_index,
    compact_index,
    concat_indexes,
    read_index,
    read_records,
    remove,
    write_headers,
    write_index,
)
from stacchip.index.editions import editions_of
from stacchip.index.files import layout, switch
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.index.files.layout import find_files
from stacchip.index.files.opening import open_entry
from stacchip.index.files.removed import Marks, join_removed, read_removed, write_removed
from stacchip.index.files.row_ranges import RowRanges
from stacchip.storage import Storage

STORAGE = Storage()
TABLES = make_tables(4)
MARK = "_removed.part-000001.parquet"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of four items, one of which was removed."""
    write_index(concat_indexes(TABLES), tmp_path / "index")
    remove(tmp_path / "index", item_id="item-001")
    return tmp_path / "index"


def items_of(index: Path) -> list[str]:
    return sorted(set(read_index(index, columns=["item_id"])["item_id"].to_pylist()))


def write_again(path: Path, order: slice = slice(None)) -> None:
    """Write a parquet file as another tool would, with its rows in another order."""
    table = pq.read_table(path)
    rows = np.arange(len(table))[order]
    pq.write_table(table.take(rows).replace_schema_metadata(), path)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_file_that_another_tool_wrote_again_loses_no_row_in_silence(
    index: Path, order: slice
) -> None:
    (entry,) = [e for e in find_files(str(index), STORAGE).chips if e.removed]
    write_again(Path(entry.href), order)
    with pytest.raises(IndexReplaced, match=r"not the file of which rows were removed.*again"):
        read_index(index)


@pytest.mark.parametrize("kind", ["chips", "records"])
def test_files_that_a_compaction_replaced_are_not_read_with_the_marks_of_the_old(
    index: Path, kind: str
) -> None:
    before = [entry for entry in getattr(find_files(str(index), STORAGE), kind) if entry.removed]
    assert len(before) == 1
    compact_index(index)
    with pytest.raises(IndexReplaced, match="read it again"):
        open_entry(before[0], STORAGE)
    assert items_of(index) == ["item-000", "item-002", "item-003"]


def test_marks_of_records_stay_when_headers_are_added(index: Path) -> None:
    write_headers(index, {"item-002": {"red": make_header('"2"')}})
    remove(index, item_id="item-003")
    write_headers(index, {"item-000": {"red": make_header('"0"')}})
    found = {record.item_id: sorted(record.headers) for record in read_records(index)}
    assert found == {"item-000": ["red"], "item-002": ["red"]}


def test_records_of_another_tool_keep_their_places_where_some_were_removed(tmp_path: Path) -> None:
    write_index(concat_indexes(TABLES), tmp_path)
    write_again(tmp_path / "_items.parquet", slice(None, None, -1))
    remove(tmp_path, item_id="item-000")
    given = {"item-002": {"red": make_header('"2"')}}
    with pytest.raises(UsageError, match="compact the index first"):
        write_headers(tmp_path, given)
    compact_index(tmp_path)
    write_headers(tmp_path, given)
    found = {record.item_id: sorted(record.headers) for record in read_records(tmp_path)}
    assert found == {"item-001": [], "item-002": ["red"], "item-003": []}


def test_an_item_that_comes_again_without_a_record_has_none(index: Path) -> None:
    append_to_index(index, make_table("item-001").replace_schema_metadata())
    lookup = RecordLookup(index, STORAGE, editions_of(read_index(index), 1)[0])
    assert lookup.find("sentinel-2-l2a", "item-001") is None
    assert lookup.find("sentinel-2-l2a", "item-000") is not None


def test_a_single_file_of_an_index_comes_without_what_was_removed(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = [e.name for e in find_files(str(index), STORAGE).chips if e.removed]
    found = read_index(index / name, columns=["item_id"])["item_id"].to_pylist()
    assert found
    assert "item-001" not in found
    monkeypatch.chdir(index)
    assert read_index(name).num_rows == read_index(index / name).num_rows


class KilledError(Exception):
    """A process was killed."""


def marked_file(index: Path) -> Path:
    (entry,) = [e for e in find_files(str(index), STORAGE).chips if e.removed]
    return Path(entry.href)


@pytest.mark.parametrize(
    "write",
    [lambda path: remove(path, item_id="item-003"), lambda path: write_index(TABLES[3], path)],
)
def test_a_single_file_of_an_index_with_marks_is_not_written_again(
    index: Path, write: Callable[[Path], object]
) -> None:
    with pytest.raises(UsageError, match="give the folder of the index"):
        write(marked_file(index))
    assert items_of(index) == ["item-000", "item-002", "item-003"]


def test_a_single_file_is_of_the_new_index_once_a_switch_has_begun(index: Path) -> None:
    place = marked_file(index)
    whole = pq.read_table(place).num_rows
    left = read_index(place).num_rows
    assert left < whole

    def die(*_: object, **__: object) -> None:
        raise KilledError

    # after the new list of files, and before the new files take their places
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switch, "end_switch", die)
        with pytest.raises(KilledError):
            compact_index(index)
    assert json.loads((index / "_index.json").read_text())["next"]
    assert read_index(place).num_rows == left


def test_a_single_file_is_read_again_if_its_marks_were_replaced_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "six"
    write_index(concat_indexes(make_tables(6)), index)
    remove(index, item_id="item-001")
    place = marked_file(index)
    before = set(read_index(place, columns=["item_id"])["item_id"].to_pylist())
    further = max(before)
    read = layout.read_removed
    times = []

    def remove_meanwhile(*arguments: Any) -> Any:
        times.append(1)
        if len(times) == 1:
            monkeypatch.setattr(layout, "read_removed", read)
            remove(index, item_id=further)
            monkeypatch.setattr(layout, "read_removed", remove_meanwhile)
        return read(*arguments)

    monkeypatch.setattr(layout, "read_removed", remove_meanwhile)
    found = read_index(place, columns=["item_id"])["item_id"].to_pylist()
    assert set(found) == before - {further}
    assert len(times) == 2


def test_a_file_beside_the_list_of_another_tool_is_read(tmp_path: Path) -> None:
    write_index(TABLES[0], tmp_path / "mine.parquet")
    (tmp_path / "_index.json").write_text('{"files": 3}')
    assert read_index(tmp_path / "mine.parquet").num_rows == TABLES[0].num_rows


# -- what marks say


def test_marks_are_read_as_they_were_written(tmp_path: Path) -> None:
    one = {"a.parquet": Marks(RowRanges.of([4, 9], [2, 1]), "1f")}
    two = {
        "a.parquet": Marks(RowRanges.of([5], [3]), "1f"),
        "b.parquet": Marks(RowRanges.of([0], [10**12]), ""),
    }
    write_removed(tmp_path / MARK, join_removed(one, two))
    found = read_removed(str(tmp_path / MARK), STORAGE)
    assert {name: marks.digest for name, marks in found.items()} == {
        "a.parquet": "1f",
        "b.parquet": "",
    }
    assert found["a.parquet"].rows.first.tolist() == [4, 9]
    assert found["a.parquet"].rows.stop.tolist() == [8, 10]
    assert found["b.parquet"].rows.rows == 10**12


GOOD = {"file": "a.parquet", "digest": "1f", "first": 3, "rows": 2}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([GOOD | {"first": -1}], "2 rows from -1 of a.parquet"),
        ([GOOD | {"rows": 0}], "0 rows from 3 of a.parquet"),
        ([GOOD | {"first": 2**63 - 1}], "2 rows from 9223372036854775807"),
        ([GOOD | {"first": 2**62, "rows": 2**62}], "4611686018427387904 rows from"),
        ([GOOD | {"rows": None}], "a value is missing"),
        ([GOOD, GOOD | {"digest": "2e"}], "two versions of a.parquet"),
        ([GOOD | {"first": "three"}], "three"),
        ([GOOD | {"file": "../a.parquet"}], "'../a.parquet' is not the name of a file"),
        ([{name: value for name, value in GOOD.items() if name != "digest"}], "digest"),
    ],
)
def test_marks_that_cannot_be_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / MARK)
    with pytest.raises(IndexFormatError, match="which rows of the index were removed") as caught:
        read_removed(str(tmp_path / MARK), STORAGE)
    assert said in str(caught.value)


def test_marks_beyond_the_rows_of_a_file_are_refused(index: Path) -> None:
    (place,) = index.glob("_removed*")
    marks = read_removed(str(place), STORAGE)
    beyond = {name: Marks(RowRanges.of([10**6], [1]), each.digest) for name, each in marks.items()}
    write_removed(place, beyond)
    with pytest.raises(IndexReplaced, match="not the file of which rows were removed"):
        read_index(index)
