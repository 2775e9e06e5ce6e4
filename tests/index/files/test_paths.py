"""Folders' names tell columns, in Hive's layout and in the original's."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from index.tables import make_tables, rows_of
from stacchip.errors import IndexFormatError
from stacchip.index import SCHEMA, merge_indexes, read_index, remove, scan_index
from stacchip.index.files.chips_file import open_chips
from stacchip.index.files.layout import find_files
from stacchip.index.files.paths import told_by_paths
from stacchip.index.filters import Selection
from stacchip.storage import Storage


def _told(root: str, *paths: str) -> list[dict]:
    told = told_by_paths(root, paths)
    return [{name: value.as_py() for name, value in told[path].items()} for path in paths]


@pytest.mark.parametrize("start", ["", "/data/", "s3://bucket/"])
def test_a_hive_path_tells_columns(start):
    path = f"{start}idx/platform=a%20b%2Fc/item_id=S2%3D1/chip_size=256/date=2024-05-01/x.parquet"
    assert _told(f"{start}idx", path) == [
        {
            "platform": "a b/c",
            "item_id": "S2=1",
            "chip_size": 256,
            "date": dt.date(2024, 5, 1),
        }
    ]


def test_the_null_partition_is_null():
    assert _told("i", "i/platform=__HIVE_DEFAULT_PARTITION__/x.parquet") == [{"platform": None}]


def test_other_keys_are_numbers_only_if_all_of_them_are():
    assert _told("i", "i/year=2024/s=1/x.parquet", "i/year=2023/s=b/x.parquet") == [
        {"year": 2024, "s": "1"},
        {"year": 2023, "s": "b"},
    ]
    assert _told("i", "i/zone=007/x.parquet") == [{"zone": "007"}]  # its zeros mean something


def test_a_folder_above_the_index_tells_only_columns_of_an_index():
    path = "/run=5/platform=naip/x.parquet"
    assert _told("/run=5/platform=naip", path) == [{"platform": "naip"}]
    assert _told(path, path) == [{"platform": "naip"}]


@pytest.mark.parametrize("folder", ["date=2024-05", "datetime=2024", "chip_size=big"])
def test_a_folder_above_the_index_may_have_been_named_for_another_purpose(tmp_path, folder):
    assert _told(folder, f"{folder}/x.parquet") == [{}]
    (table,) = make_tables(1)
    (tmp_path / folder).mkdir()
    pq.write_table(table, tmp_path / folder / "x.parquet")
    for path in (tmp_path / folder, tmp_path / folder / "x.parquet"):
        assert read_index(path).num_rows == table.num_rows


def test_a_value_of_another_type_is_named():
    with pytest.raises(IndexFormatError, match="chip_size='big'"):
        told_by_paths("i", ["i/chip_size=big/x.parquet"])


def test_the_originals_layout_tells_platform_item_and_its_place():
    path = "/arch/index/naip/m_1/index_m_1.parquet"
    told = {"platform": "naip", "item_id": "m_1", "item_href": "/arch/naip/m_1/stac_item.json"}
    assert _told("/arch/index", path) == [told]
    assert _told(path, path) == [told]


def test_an_index_that_was_copied_out_of_its_archive_tells_no_place():
    path = "/copy/naip/m_1/index_m_1.parquet"
    assert _told("/copy", path) == [{"platform": "naip", "item_id": "m_1"}]
    assert _told(path, path) == [{"item_id": "m_1"}]  # the folder above may have any name


@pytest.fixture(params=["duckdb", "pyarrow"])
def partitioned(request, tmp_path):
    """An index of six items, partitioned by platform and item id, with an awkward platform."""
    table = pa.concat_tables(make_tables(6))
    names = pa.array(
        [name.replace("landsat", "land sat/%") for name in table["platform"].to_pylist()]
    )
    table = table.set_column(table.column_names.index("platform"), "platform", names)
    plain = table.replace_schema_metadata(None)
    folder = tmp_path / "hive"
    if request.param == "duckdb":
        duckdb.from_arrow(plain).query(
            "t",
            f"copy t to '{folder}' (format parquet, partition_by (platform, item_id))",
        )
    else:
        keys = pa.schema([SCHEMA.field("platform"), SCHEMA.field("item_id")])
        ds.write_dataset(
            plain, folder, format="parquet", partitioning=ds.partitioning(keys, flavor="hive")
        )
    return folder, table


def test_a_partitioned_index_is_read_whole_and_filtered(partitioned):
    folder, table = partitioned
    assert rows_of(read_index(folder)) == rows_of(table)
    for filters in (
        {"platform": "land sat/%-c2l2-sr"},
        {"item_id": ["item-001", "item-002"], "max_cloud": 0.3},
        {"platform": "sentinel-2-l2a", "chip_size": 256},
        {"datetime": "2024-01-01/2024-01-10"},
        {"bbox": (-180, -90, 180, 20)},
        {"platform": "nobody"},
    ):
        found = read_index(folder, **filters)
        assert 0 < found.num_rows < table.num_rows or filters == {"platform": "nobody"}
        table_only = folder.parent / "plain.parquet"
        pq.write_table(table, table_only)
        assert rows_of(found) == rows_of(read_index(table_only, **filters))
        parts = list(scan_index(folder, columns=["chipid", "platform"], **filters))
        assert sum(map(len, parts)) == found.num_rows


def test_a_file_that_its_path_rules_out_is_not_read(partitioned):
    folder, _ = partitioned
    (entry, *_) = find_files(str(folder), Storage()).chips
    assert entry.told["platform"].as_py() == "land sat/%-c2l2-sr"
    chips = open_chips(entry, Storage())
    chosen = Selection(platform="sentinel-2-l2a")
    assert chips.count(chosen) == 0
    assert list(chips.scan(chosen=chosen)) == []


def test_a_partitioned_index_is_merged(partitioned, tmp_path):
    folder, table = partitioned
    merged = merge_indexes(folder, tmp_path / "merged")
    assert (merged.items, merged.chips) == (6, len(table))
    assert rows_of(read_index(tmp_path / "merged")) == rows_of(table)


def test_an_item_is_removed_from_a_partitioned_index(partitioned):
    folder, table = partitioned
    assert remove(folder, item_id="item-003") == 12
    assert len(read_index(folder)) == len(table) - 12
    assert remove(folder, platform="sentinel-2-l2a") == 36
    assert set(read_index(folder)["platform"].to_pylist()) == {"land sat/%-c2l2-sr"}


def test_columns_of_a_file_win_over_its_path(tmp_path):
    (table,) = make_tables(1)
    place = tmp_path / "platform=other" / "x.parquet"
    place.parent.mkdir()
    pq.write_table(table, place)
    assert read_index(tmp_path, platform="sentinel-2-l2a").num_rows == len(table)
    assert read_index(tmp_path, platform="other").num_rows == 0
