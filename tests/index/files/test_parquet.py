"""A parquet file read in parts is the file, near or far, whatever is wanted of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.tables import make_tables
from servers.range_server import RangeServer
from stacchip.errors import IndexFormatError, IndexReplaced, ObjectNotFound
from stacchip.index import SCHEMA, concat_indexes, read_index
from stacchip.index.files.opening import open_parquet
from stacchip.index.files.parquet import ParquetFile
from stacchip.storage import Storage

OLD = ("shadow_percentage", "water_percentage", "item_href")  # columns that older files lack
COLUMNS = st.none() | st.lists(st.sampled_from(SCHEMA.names), unique=True, min_size=1)
CONDITIONS = st.sampled_from(
    [
        None,
        pc.field("chip_index_x") == 1,
        pc.field("item_id") == "item-003",
        pc.field("item_id") == "nowhere",
        (pc.field("cloud_cover_percentage") < 0.3) & (pc.field("chip_index_y") > 0),
        pc.field("bbox", "xmin") > 0,
        pc.is_null(pc.field("water_percentage")),
    ]
)


@dataclass
class Files:
    """The same rows in a local file, a small remote one, and one that is read by ranges."""

    rows: pa.Table
    local: ParquetFile
    small: ParquetFile
    ranged: ParquetFile


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Iterator[Files]:
    rows = concat_indexes(make_tables(8)).drop_columns(OLD)
    folder = tmp_path_factory.mktemp("parquet")
    pq.write_table(rows, folder / "a.parquet", row_group_size=20)
    storage = Storage()
    with RangeServer(folder) as server:
        size = (folder / "a.parquet").stat().st_size
        yield Files(
            rows,
            open_parquet(str(folder / "a.parquet"), storage),
            open_parquet(server.url("a.parquet"), storage, size_bytes=size),
            open_parquet(server.url("a.parquet"), storage),
        )


def test_the_three_are_read_in_three_ways(files: Files) -> None:
    assert files.local.remote is None
    assert files.small.remote is None
    assert files.ranged.remote is not None
    assert {each.rows for each in (files.local, files.small, files.ranged)} == {96}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COLUMNS, CONDITIONS)
def test_rows_and_columns_are_the_same_near_and_far(files: Files, columns, where) -> None:
    whole = files.rows
    for name in OLD:
        whole = whole.append_column(SCHEMA.field(name), pa.nulls(96, SCHEMA.field(name).type))
    expected = whole if where is None else whole.filter(where)
    for file in (files.local, files.small, files.ranged):
        found = file.read(columns, where)
        assert set(found.column_names) == set(SCHEMA.names if columns is None else columns)
        assert found.num_rows == expected.num_rows
        assert found.schema.metadata == files.rows.schema.metadata
        for name in found.column_names:
            assert found[name].to_pylist() == expected[name].to_pylist(), name
        parts = list(file.scan(columns, where))
        assert sum(part.num_rows for part in parts) == expected.num_rows
        if columns is not None:
            assert found.column_names == columns, "in the order asked"
        if where is not None:
            assert file.count(where) == expected.num_rows


def test_what_the_path_tells_is_in_every_row_near_and_far(files: Files) -> None:
    told = {"sensor": pa.scalar("msi"), "note": pa.scalar(None, pa.string()),
            "chipid": pa.scalar("the file's own column wins")}  # fmt: skip
    for opened in (files.local, files.small, files.ranged):
        size = opened.footer.size if opened is files.small else -1
        file = open_parquet(opened.href, Storage(), size_bytes=size, told=told)
        for where in (None, pc.field("sensor") == "msi"):
            found = file.read(["sensor", "chipid", "note"], where)
            assert found.column_names == ["sensor", "chipid", "note"]
            assert found["chipid"].to_pylist() == files.rows["chipid"].to_pylist()
            assert found.select(["sensor", "note"]).to_pylist() == [
                {"sensor": "msi", "note": None}
            ] * len(files.rows)
        assert file.read(["sensor"]).num_rows == len(files.rows)
        assert file.read(["chipid"], pc.field("sensor") == "radar").num_rows == 0


def test_row_groups_that_cannot_have_rows_are_not_read(files: Files) -> None:
    wanted = pc.field("item_id") == "item-003"
    for file in (files.local, files.small, files.ranged):
        assert len(list(file.scan(["chipid"], wanted))) == 2, "rows 36 to 47, of groups of 20"
        assert not list(file.scan(["chipid"], pc.field("item_id") == "nowhere"))


def test_parts_come_in_the_order_of_the_file(files: Files) -> None:
    for file in (files.local, files.small, files.ranged):
        ids = [chipid for part in file.scan(["chipid"]) for chipid in part["chipid"].to_pylist()]
        assert ids == files.rows["chipid"].to_pylist()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(50) + b"PAR1", b"<html></html>"])
def test_a_file_that_is_not_parquet_is_named_near_and_far(tmp_path, content) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with RangeServer(tmp_path) as server:
        for href in (str(tmp_path / "a.parquet"), server.url("a.parquet")):
            with pytest.raises(IndexFormatError, match=r"a\.parquet is not a parquet file"):
                open_parquet(href, Storage())


def test_a_file_that_is_absent_is_named_near_and_far(tmp_path) -> None:
    with RangeServer(tmp_path) as server:
        for href in (str(tmp_path / "a.parquet"), server.url("a.parquet")):
            with pytest.raises(ObjectNotFound, match=r"a\.parquet"):
                open_parquet(href, Storage())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<html><title>Log in</title></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 7\n", "git lfs pull"),
    ],
)
def test_what_is_there_in_place_of_an_index_is_named(tmp_path, content, expected) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with RangeServer(tmp_path) as server:
        for href in (str(tmp_path / "a.parquet"), server.url("a.parquet")):
            with pytest.raises(IndexFormatError, match=expected) as caught:
                open_parquet(href, Storage())
            assert caught.value.href == href


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_remote_file_that_is_replaced_while_it_is_read_is_said_to_be(
    tmp_path: Path, is_gone: bool
) -> None:
    path = tmp_path / "chips.parquet"
    table = pa.table({"noise": [(n * 7919**5) % 2**61 for n in range(200_000)]})
    pq.write_table(table, path, row_group_size=50_000)  # more than what is kept of its end
    with RangeServer(tmp_path) as server:
        file = open_parquet(server.url("chips.parquet"), Storage())
        if is_gone:
            path.unlink()
        else:
            pq.write_table(table.slice(1), path, row_group_size=50_000)
        with pytest.raises(IndexReplaced, match="replaced while it was read"):
            list(file.scan())


def test_an_open_file_stays_as_it_was_when_another_takes_its_name(tmp_path: Path) -> None:
    rows = concat_indexes(make_tables(8))
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(rows, path, row_group_size=20)
    file = open_parquet(str(path), Storage())
    pq.write_table(rows.slice(5, 7), other)
    other.replace(path)
    where = pc.field("item_id") == "item-003"
    assert file.read() == rows
    assert pa.concat_tables(file.scan()) == rows
    assert file.count(where) == rows.filter(where).num_rows
    assert open_parquet(str(path), Storage()).rows == 7


@pytest.mark.parametrize("name", ["geometry", "item_id", "another"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    table = make_tables(1)[0]
    column = table["chipid"] if name == "another" else table[name]
    for _ in range(2 if name == "another" else 1):
        table = table.append_column(name, column)
    pq.write_table(table, tmp_path / "chips.parquet")
    with pytest.raises(IndexFormatError, match=f"several columns of the name '{name}'"):
        open_parquet(str(tmp_path / "chips.parquet"), Storage())


@pytest.mark.parametrize("where", [None, pc.field("platform") == "sentinel-2-l2a"])
def test_texts_that_a_file_stores_as_views_are_read_as_texts(tmp_path: Path, where) -> None:
    """pyarrow filters no rows of views."""
    rows = concat_indexes(make_tables(2)).append_column("notes", pa.array([["a"], None] * 12))
    views = {
        pa.string(): pa.string_view(),
        pa.binary(): pa.binary_view(),
        pa.list_(pa.string()): pa.list_(pa.string_view()),
    }
    kinds = [field.with_type(views.get(field.type, field.type)) for field in rows.schema]
    try:
        pq.write_table(rows.cast(pa.schema(kinds)), tmp_path / "a.parquet", row_group_size=20)
    except pa.ArrowNotImplementedError:
        pytest.skip("this pyarrow writes no views")
    with RangeServer(tmp_path) as server:
        for href in (str(tmp_path / "a.parquet"), server.url("a.parquet")):
            file = open_parquet(href, Storage())
            found = file.read(rows.column_names, where)
            wanted = rows if where is None else rows.filter(where)
            assert found.equals(wanted)
            assert file.schema.equals(found.schema)
            assert where is None or file.count(where) == wanted.num_rows


def test_shares_of_half_precision_can_be_compared(tmp_path: Path) -> None:
    rows = concat_indexes(make_tables(2))
    # pyarrow 18 takes no float of Python
    halves = pa.array([np.float16(0.25), np.float16(0.5), None] * 8, pa.float16())
    place = rows.schema.get_field_index("cloud_cover_percentage")
    rows = rows.set_column(place, "cloud_cover_percentage", halves).append_column("mine", halves)
    pq.write_table(rows, tmp_path / "a.parquet")
    found = read_index(tmp_path / "a.parquet", max_cloud=0.3)
    assert found["cloud_cover_percentage"].to_pylist() == [0.25] * 8
    assert found.schema.field("cloud_cover_percentage").type == pa.float32()
    assert found.schema.field("mine").type == pa.float32(), "so can columns of others"
    assert read_index(tmp_path / "a.parquet", where=pc.field("mine") > 0.3).num_rows == 8
