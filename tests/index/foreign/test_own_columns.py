"""Columns that other tools drop or change follow from those that they keep."""

from __future__ import annotations

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from index.tables import make_table
from stacchip.errors import IndexFormatError
from stacchip.index import SCHEMA, conform, embedded_items

OURS = make_table("S2A-with-dashes-7")


def _frame() -> geopandas.GeoDataFrame:
    footprints = shapely.from_wkb(np.array(OURS["geometry"].to_pylist(), object))
    others = OURS.drop_columns(["geometry", "bbox"]).to_pandas()
    return geopandas.GeoDataFrame(others, geometry=footprints, crs="OGC:CRS84")


def _differing(table) -> list[str]:
    found = conform(table)
    return [name for name in SCHEMA.names if not found[name].equals(OURS[name])]


@pytest.mark.parametrize(
    "names",
    [
        ["chipid"],
        ["item_id"],
        ["item_id", "chip_index_x", "chip_index_y"],
        ["date"],
        ["bbox"],
        ["bbox", "chipid", "date"],
    ],
    ids=" ".join,
)
def test_a_dropped_column_is_derived(names):
    assert _differing(OURS.drop_columns(names)) == []


@pytest.mark.parametrize("name", ["cloud_cover_percentage", "nodata_percentage", "geometry"])
def test_what_cannot_be_derived_and_may_be_unknown_is_null(name):
    assert conform(OURS.drop_columns(name))[name].null_count == len(OURS)


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("interleaved", [True, False])
def test_footprints_in_any_encoding_are_read(encoding, interleaved):
    theirs = pa.table(_frame().to_arrow(geometry_encoding=encoding, interleaved=interleaved))
    assert _differing(theirs) == []


def test_several_polygons_in_one_footprint_are_read():
    frame = _frame().iloc[:2]
    two = shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)])
    frame.geometry = [two, None]
    found = conform(pa.table(frame.to_arrow(geometry_encoding="geoarrow")))
    assert shapely.from_wkb(found["geometry"][0].as_py()).equals(two)
    assert found["bbox"][0].as_py() == {"xmin": -180, "ymin": 0, "xmax": 180, "ymax": 1}
    assert found["geometry"][1].as_py() is None
    assert found["bbox"][1].as_py() is None


def test_footprints_as_text_are_read():
    frame = _frame()
    texts = pa.array(frame.geometry.to_wkt(rounding_precision=-1))
    found = conform(OURS.drop_columns(["geometry", "bbox"]).append_column("geometry", texts))
    made = shapely.from_wkb(np.array(found["geometry"].to_pylist(), object))
    assert shapely.equals_exact(made, frame.geometry.array, 1e-9).all()


def test_footprints_in_another_crs_are_converted_and_their_bounds_made_anew(tmp_path):
    moved = _frame().to_crs("EPSG:3857")
    moved.to_parquet(tmp_path / "moved.parquet", write_covering_bbox=True)
    for theirs in (moved, pq.read_table(tmp_path / "moved.parquet")):
        found = conform(theirs)
        made = shapely.from_wkb(np.array(found["geometry"].to_pylist(), object))
        assert shapely.equals_exact(made, _frame().geometry.array, 1e-9).all()
        assert found["bbox"][0].as_py() == pytest.approx(OURS["bbox"][0].as_py())
        # and the result says of itself that it is in OGC:CRS84: nothing is converted twice
        assert conform(found)["geometry"].equals(found["geometry"])


def test_a_geometry_of_another_name_is_the_geometry():
    assert _differing(_frame().rename_geometry("footprint")) == []


def test_bounds_in_another_order_and_type_are_read():
    box = OURS["bbox"].combine_chunks()
    sides = ["xmin", "xmax", "ymin", "ymax"]
    values = [box.field(side).cast(pa.float32()) for side in sides]
    turned = pa.StructArray.from_arrays(values, names=sides)
    found = conform(OURS.set_column(OURS.column_names.index("bbox"), "bbox", turned))
    assert found["bbox"][3].as_py() == pytest.approx(OURS["bbox"][3].as_py(), abs=1e-5)


def test_days_are_those_of_utc():
    late = pa.array([1_700_000_000_000_000] * 12, pa.timestamp("us", "Pacific/Auckland"))
    theirs = OURS.drop_columns(["date", "datetime"]).append_column("datetime", late)
    assert str(conform(theirs)["date"][0].as_py()) == "2023-11-14"


@pytest.mark.parametrize("chipid", ["nothing", "a-1", "a-1-x", "-1-2"])
def test_a_chipid_that_tells_no_place_is_named(chipid):
    theirs = OURS.slice(0, 1).drop_columns(["item_id", "chipid"])
    with pytest.raises(IndexFormatError, match=repr(chipid)):
        conform(theirs.append_column("chipid", pa.array([chipid])))


@pytest.mark.parametrize(
    "geometry", [pa.array([1]), pa.array([b"no wkb"]), pa.array(["no wkt"]), pa.array([[1.0, 2.0]])]
)
def test_a_column_without_footprints_is_named(geometry):
    theirs = OURS.slice(0, 1).drop_columns(["geometry", "bbox"])
    with pytest.raises(IndexFormatError, match="'geometry'"):
        conform(theirs.append_column("geometry", geometry))


@pytest.mark.parametrize("crs", ["MOON", "IAU_2015:30100", "EPSG:5773"])
def test_a_crs_that_proj_cannot_read_or_that_is_not_on_earth_is_named(crs):
    field = OURS.schema.field("geometry")
    odd = field.with_metadata(
        {
            "ARROW:extension:name": "geoarrow.wkb",
            "ARROW:extension:metadata": f'{{"crs": "{crs}"}}',
        }
    )
    place = OURS.column_names.index("geometry")
    with pytest.raises(IndexFormatError, match="'geometry' is in a CRS"):
        conform(OURS.set_column(place, odd, OURS["geometry"]))


def _with(name, values):
    table = OURS.drop_columns([name]) if name in OURS.column_names else OURS
    return table.append_column(name, pa.array(values))


@pytest.mark.parametrize("theirs", [[0.0, 0.0, 1.0, 1.0], "0,0,1,1", {"minx": 0.0}])
def test_bounds_of_another_form_are_derived_from_the_footprints(theirs):
    table = _with("bbox", [theirs] * len(OURS))
    assert _differing(table) == []
    with pytest.raises(IndexFormatError) as error:
        conform(table.drop_columns("geometry"))
    assert error.value.column == "bbox"


@pytest.mark.parametrize("name", ["chipid", "geometry", "bbox", "platform"])
def test_a_column_that_is_there_twice_is_named(name):
    twice = pa.Table.from_arrays(
        [*OURS.columns, OURS[name]], names=[*OURS.column_names, name], metadata=OURS.schema.metadata
    )
    with pytest.raises(IndexFormatError, match=f"'{name}' is there twice"):
        conform(twice)


@pytest.mark.parametrize(
    ("name", "value", "dropped"),
    [
        ("chipid", {"a": 1}, "item_id"),
        ("chipid", ["a-0-0"], "item_id"),
        ("item_id", {"a": 1}, "chipid"),
        ("chip_index_x", "a", "chipid"),
        ("chip_index_y", {"a": 1}, "chipid"),
        ("datetime", {"a": 1}, "date"),
        ("datetime", 5, "date"),
        ("datetime", "May", "date"),
    ],
)
def test_a_column_that_tells_nothing_is_named(name, value, dropped):
    with pytest.raises(IndexFormatError) as error:
        conform(_with(name, [value] * len(OURS)).drop_columns(dropped))
    assert error.value.column == name


def test_times_may_be_iso_text():
    texts = [taken.isoformat() for taken in OURS["datetime"].to_pylist()]
    assert _differing(_with("datetime", texts).drop_columns("date")) == []


@pytest.mark.parametrize("items", ["{", "[]", '{"a": 5}'])
def test_broken_items_in_metadata_are_refused(items):
    with pytest.raises(IndexFormatError, match="stacchip:items"):
        embedded_items(OURS.replace_schema_metadata({"stacchip:items": items}))


@pytest.mark.parametrize("geo", ['{"columns": []}', '{"columns": {"geometry": 5}}', "[]"])
def test_geo_metadata_that_name_no_crs_are_as_if_absent(geo):
    assert _differing(OURS.replace_schema_metadata({"geo": geo}).drop_columns("bbox")) == []
