"""Items in the rows of tables, as different writers of stac-geoparquet make them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from stacchip.errors import InvalidMetadata, LimitExceeded, StacchipError
from stacchip.items import load_items

HREF = pa.struct([("href", pa.string())])
TAKEN = datetime(2024, 5, 1, 11, 30, tzinfo=UTC)


def assets_of(**kinds: pa.DataType) -> pa.DataType:
    return pa.struct([("red", HREF), *kinds.items()])


def table(**columns: Any) -> pa.Table:
    """One item; a column that is given takes the place of the usual one, None drops it."""
    usual = {
        "type": ["Feature"],
        "stac_version": ["1.0.0"],
        "id": ["scene"],
        "links": pa.array([[]], pa.list_(HREF)),
        "geometry": [shapely.to_wkb(shapely.box(-9, 38, -8, 39))],
        "bbox": [{"xmin": -9.0, "ymin": 38.0, "xmax": -8.0, "ymax": 39.0}],
        "datetime": pa.array([TAKEN], pa.timestamp("us", tz="UTC")),
        "assets": pa.array([{"red": {"href": "/red.tif"}}], assets_of()),
    }
    return pa.table({k: v for k, v in (usual | columns).items() if v is not None})


@pytest.mark.parametrize(
    "kind",
    [
        pa.null(),
        HREF,
        pa.struct([]),
        pa.struct([("href", pa.null()), ("roles", pa.list_(pa.null()))]),
        pa.struct([("href", pa.string()), ("bands", pa.struct([("name", pa.null())]))]),
    ],
    ids=str,
)
@pytest.mark.parametrize("value", [None, {}], ids=["null", "of nulls"])
def test_an_asset_that_only_other_items_have_is_absent(kind, value):
    if pa.types.is_null(kind):
        value = None
    assets = pa.array([{"red": {"href": "/red.tif"}, "other": value}], assets_of(other=kind))
    (item,) = load_items(table(assets=assets))
    assert list(item.assets) == ["red"]


def test_an_asset_of_null_type_is_read_from_a_file(tmp_path):
    assets = pa.array([{"red": {"href": "/red.tif"}, "other": None}], assets_of(other=pa.null()))
    pq.write_table(table(assets=assets), tmp_path / "items.parquet")
    (item,) = load_items(tmp_path / "items.parquet")
    assert list(item.assets) == ["red"]


@pytest.mark.parametrize(
    "column", ["links", "stac_extensions", "collection", "geometry", "bbox", "created", "proj:epsg"]
)
def test_a_column_that_no_item_uses_is_absent(column):
    (item,) = load_items(table(**{column: pa.nulls(1)}))
    assert item.datetime == TAKEN
    assert column not in item.properties


def test_a_row_without_bounds_has_no_made_up_ones():
    sides = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])
    (item,) = load_items(
        table(bbox=pa.array([None], sides), geometry=pa.array([None], pa.binary()))
    )
    assert (item.bbox, item.geometry) == (None, None)


@pytest.mark.parametrize(
    "taken",
    [
        pa.array([TAKEN], pa.timestamp("ns", tz="UTC")),
        pa.array([TAKEN.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([TAKEN], pa.timestamp("us", tz="Europe/Lisbon")),
        ["2024-05-01T11:30:00Z"],
    ],
    ids=["ns", "naive", "Lisbon", "text"],
)
def test_a_date_is_read_in_any_form(taken):
    (item,) = load_items(table(datetime=taken))
    assert item.datetime == TAKEN


def test_a_period_may_stand_for_the_date():
    period = {"start_datetime": ["2024-05-01T00:00:00Z"], "end_datetime": ["2024-05-31T00:00:00Z"]}
    (item,) = load_items(table(datetime=pa.nulls(1), **period))
    assert item.datetime is None


def test_assets_may_be_a_map_and_bounds_a_list():
    kind = pa.map_(pa.string(), HREF)
    assets = pa.array([[("red", {"href": "/red.tif"})]], kind)
    (item,) = load_items(table(assets=assets, bbox=[[-9.0, 38.0, -8.0, 39.0]]))
    assert item.assets["red"].href == "/red.tif"
    assert item.bbox == [-9, 38, -8, 39]


def test_geometries_are_geojson_and_values_are_plain():
    (item,) = load_items(table(**{"proj:geometry": [shapely.to_wkb(shapely.Point(1, 2))]}))
    assert item.geometry == shapely.geometry.mapping(shapely.box(-9, 38, -8, 39)) | {
        "coordinates": [[[-8, 38], [-8, 39], [-9, 39], [-9, 38], [-8, 38]]]
    }
    assert item.properties["proj:geometry"] == {"type": "Point", "coordinates": [1, 2]}


def test_a_row_that_cannot_be_read_costs_itself():
    rows = pa.concat_tables([table(), table(geometry=[b"no WKB"], id=["odd"]), table(id=["last"])])
    assert [item.id for item in load_items(rows, errors="skip")] == ["scene", "last"]
    with pytest.raises(InvalidMetadata, match="'odd'"):
        list(load_items(rows))


@pytest.mark.parametrize("column", ["id", "assets", "type", "stac_version", "datetime", "links"])
@pytest.mark.parametrize("value", [5, "text", b"\xff", [1]], ids=repr)
def test_a_column_of_the_wrong_type_is_at_most_an_error_of_ours(column, value):
    with suppress(StacchipError):
        list(load_items(table(**{column: [value]})))


def test_a_file_that_only_begins_as_parquet_is_named(tmp_path):
    (tmp_path / "items.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidMetadata, match=r"items\.parquet"):
        list(load_items(tmp_path / "items.parquet"))


# -- files of anyone


def _nested_wkb(depth: int) -> bytes:
    return (b"\x01\x07\0\0\0\x01\0\0\0") * depth + shapely.Point(0, 0).wkb


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"geometry": [_nested_wkb(50_000)]}, InvalidMetadata, "levels deep"),
        ({"x": [[0] * 300_000]}, LimitExceeded, "300,000 values"),
        ({"x": [[{"y": [0] * 300_000}]]}, LimitExceeded, "values"),
        ({"x": pa.array([[("a", 0)] * 300_000], pa.map_(pa.string(), pa.int8()))}, LimitExceeded,
         "values"),
        ({"x": ["y" * (65 << 20)]}, LimitExceeded, "bytes"),
        ({"geometry": [b"\0" * (10 << 20)]}, LimitExceeded, "geometry"),
        ({"id": pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())},
         StacchipError, "utf-8"),
    ],
    ids=["deep", "list", "lists", "map", "text", "geometry", "utf-8"],
)  # fmt: skip
def test_a_row_that_cannot_be_an_item_is_one_that_is_left_out(tmp_path, columns, error, said):
    made = pa.concat_tables([table(**columns), table(**columns)])
    pq.write_table(made, tmp_path / "a.parquet")
    with pytest.raises(error, match=said):
        list(load_items(tmp_path / "a.parquet"))
    assert list(load_items(tmp_path / "a.parquet", errors="skip")) == []


@pytest.mark.parametrize("rows", [-1, 2**31, 10**12])
def test_a_footer_that_claims_other_rows_is_an_error_that_names_the_file(tmp_path, rows):
    """pyarrow would make room for them."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.concat_tables([table()] * 777).combine_chunks(), path)
    raw = path.read_bytes()
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    said, claimed = zigzag(777), zigzag(rows)
    footer = raw[start:-8].replace(said, claimed)
    assert said in raw[start:]
    path.write_bytes(raw[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(InvalidMetadata, match=r"a\.parquet.*Write the file again"):
        list(load_items(path))


def zigzag(value: int) -> bytes:
    """A number as the footer of a parquet file has it."""
    value, out = value << 1 ^ value >> 63, b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def test_columns_of_one_name_are_refused():
    usual = table()
    twice = pa.Table.from_arrays([*usual.columns, usual["id"]], [*usual.column_names, "id"])
    with pytest.raises(InvalidMetadata, match="'id'"):
        list(load_items(twice))
