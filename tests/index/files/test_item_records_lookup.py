from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from index.tables import make_table, make_tables
from servers.range_server import RangeServer
from stacchip.errors import ObjectNotFound
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


def test_an_index_written_anew_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "index"
    write_index(make_table("first"), path)
    lookup = RecordLookup(path, Storage())
    assert lookup.find("sentinel-2-l2a", "first") is not None
    shutil.rmtree(path)
    write_index(make_table("second"), path)
    assert lookup.find("sentinel-2-l2a", "second") is not None
    assert lookup.find("sentinel-2-l2a", "first") is None
    shutil.rmtree(path)
    with pytest.raises(ObjectNotFound):
        lookup.find("sentinel-2-l2a", "second")


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
