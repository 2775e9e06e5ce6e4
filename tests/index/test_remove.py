from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.tables import make_table, make_tables, rows_of
from stacchip.errors import ItemNotFound, SourceNotFound, UsageError
from stacchip.index import (
    concat_indexes,
    embedded_items,
    merge_indexes,
    read_index,
    read_records,
    remove,
    write_index,
)
from stacchip.storage import Storage


@pytest.fixture
def index(tmp_path):
    tables = make_tables(6)
    write_index(concat_indexes(tables), tmp_path / "index")
    return tmp_path / "index", tables


def stamp(path):
    return path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()


def test_a_source_goes_and_the_others_files_are_not_touched(index):
    path, tables = index
    kept = path / "chips-sentinel-2-l2a.parquet"
    before = stamp(kept)
    assert remove(path, platform="landsat-c2l2-sr") == 36
    assert stamp(kept) == before
    assert rows_of(read_index(path)) == rows_of(pa.concat_tables(tables[::2]))
    assert [record.item_id for record in read_records(path)] == ["item-000", "item-002", "item-004"]


def test_an_item_goes_and_other_sources_files_are_not_touched(index):
    path, tables = index
    kept = path / "chips-sentinel-2-l2a.parquet"
    before = stamp(kept)
    assert remove(path, item_id="item-003") == 12
    assert stamp(kept) == before
    assert rows_of(read_index(path)) == rows_of(pa.concat_tables([*tables[:3], *tables[4:]]))
    assert "item-003" not in {record.item_id for record in read_records(path)}


def test_an_item_goes_from_one_source_only(tmp_path):
    write_index(concat_indexes([make_table(), make_table(platform="other")]), tmp_path)
    remove(tmp_path, item_id="item-1", platform="other")
    assert read_index(tmp_path)["platform"].unique().to_pylist() == ["sentinel-2-l2a"]
    assert [record.platform for record in read_records(tmp_path)] == ["sentinel-2-l2a"]


def test_what_is_left_of_nothing_is_an_empty_index(tmp_path):
    write_index(make_table(), tmp_path)
    remove(tmp_path, item_id="item-1")
    assert read_index(tmp_path).num_rows == 0
    assert read_records(tmp_path) == []
    write_index(concat_indexes([make_table(), make_table(platform="other")]), tmp_path)
    remove(tmp_path, item_id="item-1")
    assert read_index(tmp_path).num_rows == 0


def test_a_single_file_keeps_the_rest_and_its_items(tmp_path):
    path = tmp_path / "index.parquet"
    write_index(concat_indexes(make_tables(4)), path)
    remove(path, item_id="item-001")
    left = {key.item_id for key in embedded_items(pq.read_schema(path))}
    assert left == {"item-000", "item-002", "item-003"}
    assert read_index(path).num_rows == 36
    assert [file.name for file in tmp_path.iterdir()] == ["index.parquet"]


def test_a_file_of_several_sources_is_written_again_without_the_one(tmp_path):
    pq.write_table(pa.concat_tables(make_tables(4)), tmp_path / "all.parquet", row_group_size=10)
    remove(tmp_path, platform="landsat-c2l2-sr")
    assert rows_of(read_index(tmp_path)) == rows_of(pa.concat_tables(make_tables(4)[::2]))


def test_an_item_goes_from_a_tree_of_folders(tmp_path):
    tables = make_tables(4)
    for table in tables:
        write_index(table, tmp_path / table["item_id"][0].as_py())
    remove(tmp_path, item_id="item-002")
    assert read_index(tmp_path).num_rows == 36
    assert len(read_records(tmp_path)) == 3
    assert merge_indexes(tmp_path, tmp_path / "merged").chips == 36


def test_what_is_not_there_is_said_and_nothing_changes(index):
    path, _ = index
    before = {file.name: stamp(file) for file in path.iterdir()}
    with pytest.raises(SourceNotFound, match="'naip'"):
        remove(path, platform="naip")
    with pytest.raises(ItemNotFound, match="'item-9'") as caught:
        remove(path, item_id="item-9")
    assert caught.value.item_id == "item-9"
    with pytest.raises(ItemNotFound, match="of 'landsat-c2l2-sr'"):
        remove(path, item_id="item-000", platform="landsat-c2l2-sr")
    with pytest.raises(UsageError):
        remove(path)
    assert {file.name: stamp(file) for file in path.iterdir()} == before


@pytest.mark.servers
def test_a_source_goes_from_an_object_store(seaweed):
    storage = Storage(options=seaweed.options)
    write_index(concat_indexes(make_tables(4)), "s3://private/remove", storage=storage)
    kept = storage.stat("s3://private/remove/chips-sentinel-2-l2a.parquet")
    remove("s3://private/remove", platform="landsat-c2l2-sr", storage=storage)
    remove("s3://private/remove", item_id="item-000", platform="sentinel-2-l2a", storage=storage)
    assert read_index("s3://private/remove", storage=storage)["item_id"].unique().to_pylist() == [
        "item-002"
    ]
    assert len(read_records("s3://private/remove", storage=storage)) == 1
    assert storage.stat("s3://private/remove/chips-sentinel-2-l2a.parquet") == kept


def test_a_source_that_another_writer_removes_meanwhile_is_not_found(tmp_path):
    write_index(concat_indexes([make_table("a"), make_table("b", platform="naip")]), tmp_path)

    class Meanwhile(Storage):
        """Another writer replaces the index once its files are listed."""

        def list(self, href):
            entries = list(super().list(href))
            if (tmp_path / "chips-naip.parquet").exists():
                remove(tmp_path, platform="naip")
            return iter(entries)

    with pytest.raises(SourceNotFound, match="has no chip of source 'naip'"):
        remove(tmp_path, platform="naip", storage=Meanwhile())
