"""Footprints and texts that no index has take memory without bounds: they are refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from index.tables import make_table
from stacchip.errors import IndexFormatError, StorageError
from stacchip.index import merge_indexes, read_index, remove, scan_index, write_index
from stacchip.index.foreign.geometry import bounds_of, in_parts, read_shapes
from stacchip.parquet.sealed_writer import SealedWriter

POINTS = shapely.MultiPoint(np.random.default_rng(0).uniform(14, 16, (4000, 2)))


def with_column(name: str, values: list[object]) -> pa.Table:
    table = make_table()
    field = table.schema.field(name)
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


@pytest.mark.parametrize(
    ("name", "value"),
    [("geometry", POINTS.wkb), ("item_href", "https://example.com/" + "a" * 65_530)],
)
def test_no_writer_takes_a_value_that_is_too_long(name, value, tmp_path) -> None:
    rows = pa.concat_tables([with_column(name, [value] * 12), make_table("item-2")])
    pq.write_table(rows, tmp_path / "a.parquet")
    for write in (
        lambda: write_index(rows, tmp_path / "index"),
        lambda: merge_indexes(tmp_path / "a.parquet", tmp_path / "index"),
        lambda: remove(tmp_path / "a.parquet", item_id="item-2"),
    ):
        with pytest.raises(IndexFormatError, match=rf"'{name}' has a value of \d\d,\d+ bytes, of"):
            write()
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("as_text", [False, True])
def test_a_footprint_that_is_too_long_is_not_searched(as_text, tmp_path) -> None:
    rows = make_table()
    points = shapely.MultiPoint(np.random.default_rng(0).uniform(14, 16, (9000, 2)))
    value = shapely.to_wkt(points, rounding_precision=-1) if as_text else points.wkb
    column = pa.array([value] * 12, pa.string() if as_text else pa.binary())
    rows = rows.set_column(rows.column_names.index("geometry"), "geometry", column)
    pq.write_table(rows.replace_schema_metadata({}), tmp_path / "a.parquet")
    with pytest.raises(IndexFormatError, match="one takes"):
        list(scan_index(tmp_path / "a.parquet", bbox=(-180, -90, 180, 90)))


def test_many_long_footprints_are_read_part_by_part() -> None:
    circles = [shapely.Point(n, 0).buffer(0.4, 900) for n in range(200)]
    column = pa.chunked_array([[each.wkb for each in circles[:7]], [None],
                               [each.wkb for each in circles[7:]]])  # fmt: skip
    parts = list(in_parts(column))
    assert len(parts) == 2
    assert all(part.nbytes < 9 << 20 for part in parts)
    assert pa.chunked_array([chunk for part in parts for chunk in part.chunks]).equals(column)
    shapes = [shape for part in parts for shape in read_shapes(part, "geometry")]
    assert [each and each.wkb for each in shapes] == column.to_pylist()
    assert [box and round(box["xmin"], 1) for box in bounds_of(column).to_pylist()] == [
        *(n - 0.4 for n in range(7)), None, *(n - 0.4 for n in range(7, 200)),
    ]  # fmt: skip


def test_an_area_is_searched_in_all_parts(tmp_path) -> None:
    rows = pa.concat_tables([make_table(f"item-{n}") for n in range(15)])
    circles = [shapely.Point(n, 0).buffer(0.4, 900).wkb for n in range(-90, 90)]
    column = pa.chunked_array([pa.array(circles, pa.binary())])
    rows = rows.set_column(
        rows.column_names.index("geometry"), rows.schema.field("geometry"), column
    )
    rows = rows.set_column(
        rows.column_names.index("bbox"), rows.schema.field("bbox"), bounds_of(column)
    )
    write_index(rows, tmp_path / "index")
    found = read_index(tmp_path / "index", bbox=(-80.5, -1, 80.5, 1), columns=["bbox"])
    assert found.num_rows == 161


def test_rows_that_take_more_memory_than_there_is_are_no_foreign_error(
    tmp_path, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 800 failed")

    table = pa.table({"x": [1]})
    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with (
        pytest.raises(StorageError, match=r"a\.parquet cannot be written: .* \(malloc of size 800"),
        SealedWriter(tmp_path / "a.parquet", table.schema) as writer,
    ):
        writer.write_table(table)
