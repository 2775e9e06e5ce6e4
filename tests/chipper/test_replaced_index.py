"""An index that is replaced while a chipper of it is open: its rows never meet other records."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from scenes import make_scene, write_band
from servers.range_server import RangeServer
from stacchip.chipper import Chipper
from stacchip.chipper.find_item import ItemFinder
from stacchip.errors import IndexReplaced
from stacchip.index import (
    SCHEMA,
    add_headers,
    concat_indexes,
    gather_headers,
    merge_indexes,
    read_index,
    remove,
    write_index,
)
from stacchip.index.embedded import row_keys
from stacchip.index.recorded import records_of
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions

STORAGE = Storage(options=StorageOptions(allow_local=True))
TYPES = {"old": "uint32", "new": "uint16"}  # of the pixels: by it, a chip says its index


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Two versions of two items of the same ids, whose files differ. Do not change them."""
    folder = tmp_path_factory.mktemp("items")
    made = {
        name: [make_scene(folder / name / each, each).item for each in ("one", "two")]
        for name in TYPES
    }
    for name, several in made.items():
        for item in several:
            path = folder / name / item.id / "red.tif"
            write_band(path, 10, (600, 700), dtype=TYPES[name])
    return made


def write(items: list, path: Path) -> None:
    tables = [NoStatsChipIndexer(item, 256).create_index() for item in items]
    write_index(concat_indexes(tables), path, headers=gather_headers(items, assets=["red"]))


@pytest.fixture
def index(items: dict, tmp_path: Path) -> Path:
    write(items["old"], tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture(params=["local", "web"])
def place(request: pytest.FixtureRequest, index: Path):
    if request.param == "local":
        yield str(index)
        return
    with RangeServer(index.parent) as server:
        yield server.url("index")


def cut(chipper: Chipper, item_id: str) -> str:
    """The type of the pixels of a chip."""
    return str(chipper.chip(0, 0, item_id=item_id)["red"].dtype)


def open_chipper(source: object, **options: object) -> Chipper:
    return Chipper(source, assets=["red"], storage=STORAGE, **options)


def test_a_chipper_serves_the_index_it_was_opened_on_or_says_that_it_was_replaced(
    items, index, place
):
    chipper = open_chipper(place)
    assert cut(chipper, "one") == TYPES["old"]
    write(items["new"], index)
    assert cut(chipper, "two") == TYPES["old"]  # the records are open, and small
    copy = pickle.loads(pickle.dumps(chipper))  # a worker opens them itself
    for item_id in ("one", "two"):
        with pytest.raises(IndexReplaced, match="Open it again"):
            cut(copy, item_id)
    assert cut(open_chipper(place), "two") == TYPES["new"]


def test_rows_that_were_read_before_an_index_was_replaced_are_refused(items, index, place):
    table, chipper = read_index(place), open_chipper(place)
    thin = read_index(place, columns=["chipid", "item_id", "chip_index_x", "chip_index_y"])
    write(items["new"], index)
    for each in (chipper, open_chipper(table), open_chipper(table.slice(0, 2))):
        with pytest.raises(IndexReplaced, match="index was replaced"):
            cut(each, "one")
    with pytest.raises(IndexReplaced):
        open_chipper(thin)
    with pytest.raises(IndexReplaced):
        write_index(table, index.parent / "copy", storage=STORAGE)
    with pytest.raises(IndexReplaced):
        open_chipper(concat_indexes([table, read_index(place)])).cut_row(0)
    assert not ItemFinder({}, table, STORAGE).is_at_hand(row_keys(table).pop())
    given = open_chipper(table, items=items["old"])
    assert cut(given, "one") == TYPES["old"]


def test_an_index_that_was_replaced_for_good_is_asked_once(items, index):
    known = {key.platform: frozenset({"gone"}) for key in row_keys(read_index(index))}
    with RangeServer(index.parent) as server:
        with pytest.raises(IndexReplaced, match="Open it again"):
            records_of(server.url("index"), known, storage=STORAGE)
        assert [each.path.endswith("_index.json") for each in server.log].count(True) == 1


def test_rows_stay_good_as_long_as_the_items_of_their_source_are_the_same(items, index, place):
    another = [item.clone() for item in items["old"]]
    for item in another:
        item.properties["platform"] = "another"
    write(another, index.parent / "other")
    merge_indexes([index, index.parent / "other"], index)
    table = read_index(place)
    (platform,) = set(table["platform"].to_pylist()) - {"another"}
    table = table.filter(pc.field("platform") == platform)
    add_headers(index, assets=["swir"])
    assert cut(open_chipper(table), "one") == TYPES["old"]
    remove(index, platform="another")
    assert cut(open_chipper(table), "one") == TYPES["old"]
    write_index(read_index(index).filter(pc.field("chip_index_x") < 1), index)
    assert cut(open_chipper(table), "one") == TYPES["old"]
    remove(index, item_id="two")
    with pytest.raises(IndexReplaced):
        cut(open_chipper(table), "two")
    assert cut(open_chipper(table), "one") == TYPES["old"]


def test_the_items_that_go_are_missed_even_if_others_stay(items, index):
    table = read_index(index)
    remove(index, item_id="two")
    with pytest.raises(IndexReplaced):
        cut(open_chipper(table), "two")
    left = open_chipper(index)
    assert cut(left, "one") == TYPES["old"]


def test_chips_whose_records_are_gone_are_cut_by_their_item_href(items, index, place):
    table = read_index(place)
    (index / "_items.parquet").unlink()
    for each in (table, place):
        assert cut(open_chipper(each), "one") == TYPES["old"]


def test_chips_are_copied_without_records_but_never_meet_those_of_others(items, index):
    copy = index.parent / "copy"
    copy.mkdir()
    for number, item in enumerate(items["old"]):
        write([item], index.parent / item.id)
        shutil.copy(index.parent / item.id / "chips.parquet", copy / f"{number}.parquet")
    both = {"one", "two"}
    assert {cut(open_chipper(copy), item_id) for item_id in both} == {TYPES["old"]}
    shutil.copy(index.parent / "two" / "_items.parquet", copy)
    assert {cut(open_chipper(copy), item_id) for item_id in both} == {TYPES["old"]}
    write(items["new"], index.parent / "new")
    shutil.copy(index.parent / "new" / "_items.parquet", copy)
    for item_id in both:
        with pytest.raises(IndexReplaced):
            cut(open_chipper(copy), item_id)


def test_rows_of_a_file_that_another_tool_wrote_take_the_records_that_are_there(items, index):
    chips = index / "chips.parquet"
    pq.write_table(pq.read_table(chips), chips)  # it says no editions any more
    chipper = open_chipper(index)
    write(items["new"], index)
    assert cut(chipper, "one") == TYPES["new"]
    write(items["old"], index)
    assert cut(chipper, "two") == TYPES["new"]
    with pytest.raises(IndexReplaced):  # a copy knows what the first call found
        cut(pickle.loads(pickle.dumps(chipper)), "two")


def test_odd_editions_in_the_metadata_of_a_table_are_as_none(items, index):
    table = read_index(index)
    for said in (b"[", b"{}", b"[[]]", b'[{"a": [1]}]', b"[null, null]", b"\xff", b"[" * 9999):
        odd = table.replace_schema_metadata({**table.schema.metadata, b"stacchip:editions": said})
        assert cut(open_chipper(odd), "one") == TYPES["old"]
    assert SCHEMA.metadata.keys() == {b"geo"}
