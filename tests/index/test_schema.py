from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from index.tables import make_table
from stacchip.errors import IndexFormatError
from stacchip.index import (
    KEY,
    SCHEMA,
    conform,
    embed_items,
    embedded_items,
    read_index,
    validate,
)
from stacchip.items import ItemKey


def test_columns_come_in_the_documented_order():
    assert SCHEMA.names[:9] == [
        "chipid", "platform", "item_id", "date", "datetime", "chip_index_x", "chip_index_y",
        "cloud_cover_percentage", "nodata_percentage",
    ]  # fmt: skip
    assert SCHEMA.names[-5:] == ["chip_size", "crs", "item_href", "geometry", "bbox"]
    assert set(KEY) <= set(SCHEMA.names)


def test_geo_metadata_follows_geoparquet_1_1():
    geo = json.loads(SCHEMA.metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert geo["version"] == "1.1.0"
    assert column["encoding"] == "WKB"
    assert "crs" not in column  # absent is OGC:CRS84
    assert "bbox" not in column  # a merge by other tools would make it false
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]


@pytest.mark.parametrize("name", ["platform", "datetime", "chip_size", "crs"])
def test_an_absent_column_is_named(table, name):
    with pytest.raises(IndexFormatError, match=f"'{name}' is absent") as caught:
        validate(table.drop_columns(name))
    assert caught.value.facts["column"] == name


def test_a_column_of_a_wrong_type_is_named(table):
    broken = table.set_column(0, "chipid", pa.array([{"a": 1}] * len(table)))
    with pytest.raises(IndexFormatError, match=r"'chipid' has type struct"):
        validate(broken)


def test_a_null_in_a_key_is_named(table):
    position = table.column_names.index("platform")
    broken = table.set_column(position, "platform", pa.nulls(len(table), pa.string()))
    with pytest.raises(IndexFormatError, match=r"'platform' is null in 12 rows"):
        validate(broken)


def test_a_column_that_is_there_twice_is_named(table):
    with pytest.raises(IndexFormatError, match=r"'crs' is there twice"):
        validate(table.append_column("crs", table["crs"]))


def test_what_other_tools_make_of_the_types_conforms(table):
    odd = table.set_column(1, "platform", table["platform"].dictionary_encode())
    odd = odd.set_column(2, "item_id", odd["item_id"].cast(pa.large_string()))
    odd = odd.set_column(5, "chip_index_x", odd["chip_index_x"].cast(pa.int64()))
    assert conform(odd).select(SCHEMA.names).equals(table.select(SCHEMA.names))
    assert conform(odd).schema.field("geometry").type == pa.binary()


def test_columns_that_older_files_lack_are_null(table):
    old = table.drop_columns(["snow_percentage", "item_href"])
    assert conform(old)["snow_percentage"].null_count == len(table)
    assert conform(old)["item_href"].type == pa.string()


def test_columns_of_others_are_kept_behind_ours(table):
    more = table.append_column("label", pa.array(range(len(table))))
    assert conform(more.select(["label", *SCHEMA.names])).column_names == [*SCHEMA.names, "label"]


def test_a_part_of_the_columns_claims_no_geometry(table):
    part = conform(table.select(["platform", "bbox"]), columns=["platform", "bbox"])
    assert part.column_names == ["platform", "bbox"]
    assert b"geo" not in part.schema.metadata


def test_items_survive_in_the_metadata(table):
    items = {ItemKey("é/è", "ü/u"): {"id": "ü/u", "properties": {"n": 1.5}}}
    assert embedded_items(embed_items(table, items)) == items
    assert embedded_items(SCHEMA) == {}


def test_the_geometry_may_have_geoarrows_type(tmp_path):
    # a process of its own: importing geoarrow.pyarrow changes what pyarrow reads from then on
    program = (
        "import os, sys, geoarrow.pyarrow, pyarrow as pa, pyarrow.parquet as pq\n"
        "from stacchip.index import SCHEMA, validate, conform\n"
        "pq.write_table(SCHEMA.empty_table(), sys.argv[1])\n"
        "table = pq.read_table(sys.argv[1])\n"
        "assert isinstance(table.schema.field('geometry').type, pa.BaseExtensionType)\n"
        "assert conform(table).schema.field('geometry').type == pa.binary()\n"
        # pyarrow's threads may still let go of geoarrow's types, and an interpreter that ends
        # meanwhile aborts
        "os._exit(0)\n"
    )
    path = str(tmp_path / "index.parquet")
    subprocess.run([sys.executable, "-c", program, path], check=True)


def test_the_same_item_makes_the_same_table():
    assert make_table().equals(make_table(), check_metadata=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("datetime", value) for value in (-(2**62), 2**62, 253_402_300_800_000_000)),
        *(("date", value) for value in (-(2**31), 2**31 - 1, -719_163, 2_932_897)),
    ],
)
def test_a_date_that_python_does_not_have_is_refused(name, value):
    with pytest.raises(IndexFormatError, match=f"'{name}' has dates beyond the years 1 to 9999"):
        conform(with_dates(make_table(), name, value))


@pytest.mark.parametrize("value", [-719_162, 2_932_896])
def test_the_first_and_the_last_date_of_python_are_dates(value):
    found = conform(with_dates(make_table(), "date", value))["date"][0].as_py()
    assert found in (date.min, date.max)


def with_dates(table, name, value):
    field = SCHEMA.field(name)
    numbers = pa.array([value] * len(table), pa.int32() if name == "date" else pa.int64())
    return table.set_column(SCHEMA.get_field_index(name), field, numbers.cast(field.type))


@pytest.mark.parametrize(
    ("column", "value", "dropped"),
    [
        ("geometry", b"\1\3", []),
        ("geometry", "POLYGON 1", []),
        ("geometry", 1, []),
        ("chipid", "no place", ["chip_index_x"]),
    ],
)
def test_a_file_whose_rows_are_wrong_is_named(tmp_path, table, column, value, dropped):
    wrong = table.set_column(
        table.schema.get_field_index(column), column, pa.array([value] * len(table))
    )
    pq.write_table(wrong.drop_columns(dropped), tmp_path / "a.parquet")
    with pytest.raises(IndexFormatError, match=r"a\.parquet: Not a chip index") as caught:
        read_index(tmp_path / "a.parquet", geometry=shapely.box(-180, -89, 180, 89))
    assert caught.value.href == str(tmp_path / "a.parquet")


def test_a_file_with_nulls_is_named(tmp_path, table):
    said = rf"^{re.escape(str(tmp_path))}/a\.parquet: Not a chip index: column 'item_id'"
    nulls = pa.nulls(len(table), pa.string())
    place = table.schema.get_field_index("item_id")
    pq.write_table(table.set_column(place, "item_id", nulls), tmp_path / "a.parquet")
    with pytest.raises(IndexFormatError, match=said) as caught:
        read_index(tmp_path / "a.parquet")
    assert (caught.value.column, caught.value.href) == ("item_id", str(tmp_path / "a.parquet"))
