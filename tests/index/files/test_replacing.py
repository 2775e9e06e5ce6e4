"""Writers and readers of an index at the same time, and its new files."""

from __future__ import annotations

import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index import dying
from index.tables import make_item, make_table, make_tables, rows_of
from stacchip.errors import StorageError, UsageError
from stacchip.index import (
    SCHEMA,
    ItemRecord,
    concat_indexes,
    read_index,
    read_records,
    write_index,
)
from stacchip.index.files.chips_writer import ChipsWriter
from stacchip.index.files.item_records import to_table
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.replacing import Replacement
from stacchip.parquet.pages import DICTIONARY, iterate_pages
from stacchip.parquet.sealed_writer import SealedWriter
from stacchip.storage import Storage


@pytest.fixture(scope="module")
def old_and_new(tmp_path_factory):
    """An index of two sources, and what is merged over it: changed, new and gone sources."""
    folder = tmp_path_factory.mktemp("killed")
    old = [*make_tables(4), make_table("gone", platform="gone")]
    new = [*make_tables(6)[1:], make_table("fresh", platform="naip")]
    for name, tables in (("old", old), ("new", new)):
        write_index(concat_indexes(tables), folder / name)
    return folder


def state_of(index):
    chips = rows_of(read_index(index))
    recorded = sorted((record.platform, record.item_id) for record in read_records(index))
    assert {(row["platform"], row["item_id"]) for row in chips} == set(recorded)
    return chips, recorded


def test_a_column_of_a_row_group_is_one_page(tmp_path):
    write_index(make_table(chips=(150, 150)), tmp_path / "index")
    file = open_parquet(str(tmp_path / "index/chips.parquet"), Storage())
    (group,) = file.footer.groups
    assert group.rows == 150 * 150 > 20_000, "where pyarrow begins another page by itself"
    for chunk in group.chunks:
        pages = [page for page in iterate_pages(file.read_at, chunk) if page.kind != DICTIONARY]
        assert [page.values for page in pages] == [group.rows]


def test_writers_wait_for_each_other(old_and_new, tmp_path):
    index, old, new = (
        tmp_path / "index", state_of(old_and_new / "old"), state_of(old_and_new / "new"),
    )  # fmt: skip
    for _ in range(2):
        writers = [dying.start(dying.write, index, old_and_new / name) for name in ("old", "new")]
        writers.append(dying.start(dying.merge, index, old_and_new / "old"))
        for writer in writers:
            writer.join(60)
            assert writer.exitcode == 0
        assert state_of(index) in (old, new)
        assert not [path for path in index.iterdir() if path.name.startswith(".")]


def test_readers_see_the_old_index_or_the_new_one_while_it_is_replaced(old_and_new, tmp_path):
    index = tmp_path / "index"
    states = {name: read_index(old_and_new / name) for name in ("old", "new")}
    whole = [rows_of(table) for table in states.values()]
    write_index(states["old"], index)
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for name in ("new", "old"):
                write_index(states[name], index)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(30):
            assert rows_of(read_index(index)) in whole
            assert len(read_records(index)) in (5, 6)
    finally:
        stop.set()
        writer.join()


# -- the new files ---------------------------------------------------------------------------------


def test_chips_have_statistics_that_prune_and_none_of_their_geometry(tmp_path):
    write_index(make_table(), tmp_path / "index")
    group = pq.ParquetFile(tmp_path / "index" / "chips.parquet").metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    measured = {column.path_in_schema for column in columns if column.is_stats_set}
    assert {"item_id", "datetime", "cloud_cover_percentage", "bbox.xmin", "bbox.ymax"} <= measured
    assert "geometry" not in measured
    assert {column.compression for column in columns} == {"ZSTD"}


@pytest.mark.parametrize("name", ["final.parquet", "interim.parquet"])
def test_chips_may_have_any_name_that_is_allowed(tmp_path, name):
    for _ in range(2):  # a new index, and one that is replaced
        write_index(make_table(), tmp_path / "index", name=name)
    assert rows_of(read_index(tmp_path / "index")) == rows_of(make_table())


@pytest.mark.parametrize("name", ["", "_a.parquet", ".a.parquet", "a/b.parquet", "a.parq"])
def test_a_name_that_readers_would_pass_over_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot name the file"):
        write_index(make_table(), tmp_path / "index", name=name)
    assert not (tmp_path / "index").exists()


def test_nothing_is_left_beside_the_files(tmp_path):
    write_index(make_table(), tmp_path / "index")
    write_index(make_table(), tmp_path / "single.parquet")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    in_folder = {f"index/{name}" for name in ("chips.parquet", "_items.parquet", "_index.json")}
    assert names == {"index", "single.parquet", *in_folder}


def test_a_second_use_begins_anew(tmp_path):
    record = to_table([ItemRecord("naip", "a", make_item("a"))])
    new = Replacement(tmp_path / "index", Storage())
    with new:
        new.write_chips("first.parquet", SCHEMA.empty_table())
        new.records.add(record, "here")
    with new:
        new.write_chips("chips.parquet", SCHEMA.empty_table())
        assert len(new.records) == 0
        new.records.add(record, "here")
        new.replace()
    names = {path.name for path in (tmp_path / "index").iterdir()}
    assert names == {"chips.parquet", "_items.parquet", "_index.json"}
    assert [each.item_id for each in read_records(tmp_path / "index")] == ["a"]


def test_an_error_of_rows_that_cannot_be_written_stays_what_it_is(tmp_path):
    rows = pa.table({"datetime": pa.array([1], pa.timestamp("us"))})
    file = SealedWriter(tmp_path / "chips.parquet", rows.schema, coerce_timestamps="ms")
    with (
        pytest.raises(pa.ArrowInvalid, match="would lose data"),
        ChipsWriter(file, str(tmp_path), {"naip": "1f"}) as writer,
    ):
        writer.write_table(rows)


def test_an_option_that_pyarrow_refuses_is_no_failing_disk(tmp_path):
    rows = pa.table({"a": [1]})
    with (
        pytest.raises(StorageError, match=r"a\.parquet cannot be written: While LZO compression"),
        SealedWriter(tmp_path / "a.parquet", rows.schema, compression="lzo") as writer,
    ):
        writer.write_table(rows)
