from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from index.tables import make_item, make_table, make_tables
from servers.range_server import RangeServer
from stacchip.errors import IndexReplaced, ObjectNotFound
from stacchip.index import merge_indexes, read_records, write_index
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.items.copies import is_same_item
from stacchip.storage import Storage


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index for each of eighty items, in one folder. Do not change it."""
    folder = tmp_path_factory.mktemp("items")
    for number, table in enumerate(make_tables(80)):
        write_index(table, folder / f"{number:03d}")
    return folder


@pytest.fixture(scope="module")
def merged(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in one index: its records fill several row groups. Do not change it."""
    merged = tmp_path_factory.mktemp("merged") / "index"
    merge_indexes([folders], merged)
    return merged


def test_each_item_is_found_in_one_file_and_in_many(folders: Path, merged: Path) -> None:
    records = read_records(merged)
    assert len(records) == 80
    for index in (folders, merged):
        lookup = pickle.loads(pickle.dumps(RecordLookup(index, Storage())))
        for record in records:
            found = lookup.find(record.platform, record.item_id)
            assert found is not None
            assert is_same_item(found.item, record.item)
        assert lookup.find(records[0].platform, "nobody") is None
        assert lookup.find("naip", records[0].item_id) is None


def test_an_index_far_away_is_opened_once(merged: Path) -> None:
    with RangeServer(merged) as server:
        lookup = RecordLookup(server.url("").rstrip("/"), Storage())
        for record in read_records(merged):
            assert lookup.find(record.platform, record.item_id) is not None
        assert server.requests <= 4


def test_an_index_that_is_replaced_is_served_as_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "index"
    write_index(make_table("first"), path)
    lookup = RecordLookup(path, Storage())
    assert lookup.find("sentinel-2-l2a", "first") is not None
    write_index(make_table("second"), path)
    assert lookup.find("sentinel-2-l2a", "first") is not None
    assert lookup.find("sentinel-2-l2a", "second") is None
    copy = pickle.loads(pickle.dumps(lookup))  # it opens the files itself
    for item_id in ("first", "second"):
        with pytest.raises(IndexReplaced, match="Open it again"):
            copy.find("sentinel-2-l2a", item_id)
    shutil.rmtree(path)
    assert lookup.find("sentinel-2-l2a", "first") is not None
    copy = pickle.loads(pickle.dumps(lookup))
    with pytest.raises(ObjectNotFound):
        copy.find("sentinel-2-l2a", "first")


def test_one_of_many_indexes_that_is_replaced_is_noticed(folders: Path, tmp_path: Path) -> None:
    path = tmp_path / "tree"
    shutil.copytree(folders, path)
    records = read_records(path)
    lookup = RecordLookup(path, Storage())
    assert lookup.find(records[0].platform, records[0].item_id) is not None
    shutil.rmtree(path / "003")
    gone = next(each for each in records if each.item_id == "item-003")
    with pytest.raises(IndexReplaced):
        lookup.find(gone.platform, gone.item_id)
    item = make_item(gone.item_id, red="https://example.com/other.tif")
    table = make_table(gone.item_id, platform=gone.platform)
    write_index(table, path / "003", items={(gone.platform, gone.item_id): item})
    with pytest.raises(IndexReplaced):
        lookup.find(gone.platform, gone.item_id)
    other = next(each for each in records if each.item_id != gone.item_id)
    assert lookup.find(other.platform, other.item_id) is not None


def test_a_single_file_has_no_records_and_need_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    write_index(make_table("first"), path)
    lookup = RecordLookup(path, Storage())
    path.unlink()
    assert lookup.find("sentinel-2-l2a", "first") is None


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="counts open files in /dev/fd")
def test_an_index_of_many_files_does_not_keep_them_open(folders: Path) -> None:
    record = read_records(folders)[3]
    before = len(list(Path("/dev/fd").iterdir()))
    lookup = RecordLookup(folders, Storage())
    assert lookup.find(record.platform, record.item_id) is not None
    assert len(list(Path("/dev/fd").iterdir())) < before + 40
