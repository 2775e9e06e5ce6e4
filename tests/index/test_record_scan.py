"""Records of items one after another: the same as all at once, and few in memory."""

from __future__ import annotations

import tracemalloc

import pytest

from index.tables import make_header, make_item, make_table, make_tables
from stacchip.errors import IndexFormatError, InvalidMetadata, ObjectNotFound
from stacchip.index import (
    concat_indexes,
    embed_items,
    merge_indexes,
    read_records,
    scan_records,
    write_headers,
    write_index,
)
from stacchip.items.keys import ItemKey


def facts(records) -> list[tuple]:
    return [
        (each.platform, each.item_id, each.item_href, each.item, sorted(each.headers))
        for each in records
    ]


@pytest.fixture
def index(tmp_path):
    tables = make_tables(70)  # three row groups of records
    write_index(
        concat_indexes(tables), tmp_path / "index", headers={"item-003": {"red": make_header()}}
    )
    return tmp_path / "index"


def test_one_after_another_they_are_those_that_come_at_once(index):
    assert facts(scan_records(index)) == facts(read_records(index))
    assert len(list(scan_records(index))) == 70


@pytest.mark.parametrize(
    "chosen",
    [{"platform": "sentinel-2-l2a"}, {"item_ids": ["item-003", "item-069"]}, {"item_ids": []}],
    ids=str,
)
def test_records_of_some_items(index, chosen):
    assert facts(scan_records(index, **chosen)) == facts(read_records(index, **chosen))


def test_an_item_of_several_files_comes_once_with_most_headers(tmp_path):
    both = concat_indexes([make_table("a"), make_table("b")])
    write_index(both, tmp_path / "tree" / "1")
    write_index(both, tmp_path / "tree" / "2", headers={"a": {"red": make_header()}})
    write_index(make_table("c"), tmp_path / "tree" / "3")
    found = list(scan_records(tmp_path / "tree"))
    assert sorted((each.item_id, len(each.headers)) for each in found) == [
        ("a", 1), ("b", 0), ("c", 0)
    ]  # fmt: skip


def test_different_items_of_one_key_are_refused(tmp_path):
    for number in "12":
        table = embed_items(make_table("a"), {("sentinel-2-l2a", "a"): make_item("a", red=number)})
        write_index(table, tmp_path / "tree" / number)
    with pytest.raises(InvalidMetadata, match="differs"):
        list(scan_records(tmp_path / "tree"))


def test_a_tree_of_more_files_than_stay_open_is_read_file_by_file(tmp_path):
    for number, table in enumerate(make_tables(66)):
        write_index(table, tmp_path / "tree" / str(number))
    write_index(make_tables(1)[0], tmp_path / "tree" / "again")
    found = list(scan_records(tmp_path / "tree"))
    assert len(found) == len({each.key for each in found}) == 66
    assert {each.key for each in found} == {each.key for each in read_records(tmp_path / "tree")}


def test_nothing_there_and_what_is_broken_are_errors(tmp_path, index):
    with pytest.raises(ObjectNotFound):
        list(scan_records(tmp_path / "nowhere"))
    (index / "_items.parquet").write_bytes(b"PAR1 broken PAR1")
    with pytest.raises(IndexFormatError, match=r"_items\.parquet"):
        list(scan_records(index))


def test_a_merged_index_has_the_records_of_all(tmp_path, index):
    merge_indexes(index, tmp_path / "merged")
    assert facts(scan_records(tmp_path / "merged")) == facts(read_records(index))


def test_few_records_are_in_memory_at_a_time(tmp_path):
    """Items of 30 kB of JSON each."""
    tables = make_tables(200)
    items = {
        each.key: {
            **each.item,
            "properties": {**each.item["properties"], "notes": ["x" * 9] * 2500},
        }
        for each in _records_of(tables, tmp_path)
    }
    write_index(concat_indexes(tables), tmp_path / "large", items=items)
    list(scan_records(tmp_path / "large", item_ids=["item-000"]))  # imports
    tracemalloc.start()
    try:
        for _ in scan_records(tmp_path / "large"):
            pass
        scanned = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        read_records(tmp_path / "large")
        at_once = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert scanned < at_once / 3


def _records_of(tables, tmp_path):
    write_index(concat_indexes(tables), tmp_path / "small")
    return read_records(tmp_path / "small")


def test_headers_that_come_one_after_another_are_written(index):
    before = facts(read_records(index))
    new = ((ItemKey(*key[:2]), {"nir": make_header()}) for key in before[:40])
    write_headers(index, new)
    after = {each.item_id: sorted(each.headers) for each in read_records(index)}
    assert after["item-003"] == ["nir", "red"]
    assert after["item-039"] == ["nir"]
    assert after["item-040"] == []


def test_of_headers_of_one_item_that_come_twice_all_are_written(index):
    (key, *_) = (each.key for each in scan_records(index))
    write_headers(index, iter([(key, {"nir": make_header()}), (key, {"blue": make_header()})]))
    (record,) = read_records(index, item_ids=[key.item_id])
    assert sorted(record.headers) == ["blue", "nir"]
