"""Rows of an index by their numbers, and reads that look at the filter's columns first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from index.tables import make_table, make_tables
from servers.range_server import RangeServer
from stacchip.index import (
    concat_indexes,
    read_index,
    read_rows_at,
    scan_index,
    scan_numbered,
    write_index,
)
from stacchip.index.files.opening import open_parquet
from stacchip.storage import Storage

FILTERS = [
    {},
    {"item_id": "item-003"},
    {"platform": "landsat-c2l2-sr", "max_cloud": 0.3},
    {"bbox": (-180, 0, 0, 90)},
    {"where": pc.field("item_href") == "https://example.com/item-002.json"},
    {"item_id": "nowhere"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two files, one for each source."""
    path = tmp_path_factory.mktemp("numbered") / "index"
    write_index(concat_indexes(make_tables(8)), path)
    return path


@pytest.mark.parametrize("filters", FILTERS)
def test_numbers_are_those_of_rows_of_the_whole_index(folder: Path, filters) -> None:
    whole = read_index(folder)
    numbers, parts = [], []
    for rows, part in scan_numbered(folder, **filters):
        assert len(rows) == part.num_rows
        numbers += rows.tolist()
        parts.append(part)

    assert numbers == sorted(numbers)
    found = read_index(folder, **filters)
    chipids = [chipid for part in parts for chipid in part["chipid"].to_pylist()]
    assert chipids == found["chipid"].to_pylist()
    assert chipids == whole["chipid"].take(pa.array(numbers, pa.int64())).to_pylist()
    assert read_rows_at(folder, numbers).to_pylist() == found.to_pylist()


def test_rows_come_in_the_order_asked_and_as_often(folder: Path) -> None:
    whole = read_index(folder, columns=["chipid", "bbox"])
    rows = [95, 3, 50, 3, 0, 94]

    found = read_rows_at(folder, rows, columns=["chipid", "bbox"])

    assert found.to_pylist() == whole.take(pa.array(rows)).to_pylist()
    assert found.column_names == ["chipid", "bbox"]


@pytest.mark.parametrize("row", [-1, 96])
def test_a_row_that_the_index_lacks_is_refused(folder: Path, row: int) -> None:
    with pytest.raises(IndexError, match="rows 0 to 95"):
        read_rows_at(folder, [5, row])


def make_scattered(path: Path, groups: int = 8) -> pa.Table:
    """Row groups whose ids overlap, so that statistics rule none out; returns one item's rows."""
    tables = []
    for group in range(groups):
        ids = [f"item-{group:02d}", f"a-{group:02d}", f"z-{group:02d}"]
        tables += [make_table(each, chips=(90, 90), day=group) for each in ids]
    rows = concat_indexes(tables)
    pq.write_table(rows, path, row_group_size=3 * 8100, compression="none")
    return rows.filter(pc.field("item_id") == "item-05")


def test_other_columns_are_read_only_where_the_filter_found_rows(tmp_path: Path) -> None:
    wanted = make_scattered(tmp_path / "chips.parquet")
    size = (tmp_path / "chips.parquet").stat().st_size
    with RangeServer(tmp_path) as server:
        file = open_parquet(server.url("chips.parquet"), Storage())
        before = server.bytes
        found = file.read(None, pc.field("item_id") == "item-05")
        sent = server.bytes - before

    assert found.to_pylist() == wanted.to_pylist()
    assert sent < size / 4, "an eighth of the rows, and the ids of the others"


def test_texts_that_are_stored_as_views_rule_row_groups_out_too(tmp_path: Path) -> None:
    rows = concat_indexes(make_tables(8))
    place = rows.schema.get_field_index("item_id")
    views = rows.set_column(place, "item_id", rows["item_id"].cast(pa.string_view()))
    try:
        pq.write_table(views, tmp_path / "chips.parquet", row_group_size=20)
    except pa.ArrowNotImplementedError:
        pytest.skip("this pyarrow writes no views")
    parts = list(scan_index(tmp_path / "chips.parquet", item_id="item-003"))

    assert [part.num_rows for part in parts] == [4, 8]
    assert pa.concat_tables(parts)["chipid"].equals(
        rows.filter(pc.field("item_id") == "item-003")["chipid"]
    )


def test_no_row_is_read_for_a_table_without_rows(folder: Path) -> None:
    found = read_rows_at(folder, np.empty(0, np.int64))

    assert found.num_rows == 0
    assert found.column_names == read_index(folder).column_names
