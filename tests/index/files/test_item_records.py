"""Records of items: rows of `_items.parquet`, and the file that holds one for each item."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tables import make_header, make_item
from stacchip.errors import IndexFormatError, InvalidMetadata
from stacchip.index.files.item_records import (
    RECORD_SCHEMA,
    ItemRecord,
    RecordFile,
    from_table,
    to_table,
)

SIGNED = "https://h.blob.core.windows.net/c/B04.tif?sv=2024&se=2025&sr=c&sig=abc"


def make_record(item_id="a", platform="naip", href="/a/red.tif", **fields) -> ItemRecord:
    return ItemRecord(platform, item_id, make_item(item_id, red=href), **fields)


def read(path) -> list[ItemRecord]:
    return list(from_table(pq.read_table(path)))


# -- rows ------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was():
    record = make_record(item_href="s3://b/a.json", headers={"red": make_header()})
    (found,) = from_table(to_table([record]))
    assert (found.platform, found.item_id, found.item_href) == ("naip", "a", "s3://b/a.json")
    assert found.item == record.item
    header, expected = found.headers["red"], record.headers["red"]
    assert header.identity == expected.identity
    assert (header.shape, header.dtype, header.nodata) == ((512, 512), "uint16", 0)
    assert header.transform == expected.transform
    np.testing.assert_array_equal(header.block_offsets, expected.block_offsets)
    np.testing.assert_array_equal(header.block_lengths, expected.block_lengths)


def test_no_signature_is_written():
    record = make_record(href=SIGNED)
    table = to_table([record])
    assert "sig=" not in str(table.to_pydict())
    assert record.item["assets"]["red"]["href"] == SIGNED, "the caller's item is left alone"


def test_the_same_records_make_the_same_rows_whatever_the_order_of_headers():
    one = make_record(headers={"red": make_header("1"), "nir": make_header("2")})
    other = make_record(headers={"nir": make_header("2"), "red": make_header("1")})
    assert to_table([one]).equals(to_table([other]))


def test_no_records_are_a_table_too():
    assert to_table([]).schema == RECORD_SCHEMA
    assert list(from_table(to_table([]))) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("item", "not json"),
        ("item", None),
        ("assets", [{"key": "red", "header": "{}", "arrays": []}]),
    ],
)
def test_a_row_that_is_not_a_record_names_the_file(column, value):
    table = to_table([make_record()])
    place = table.schema.get_field_index(column)
    field = RECORD_SCHEMA.field(column)
    broken = table.set_column(place, field, pa.array([value], field.type))
    with pytest.raises(IndexFormatError, match=r"here\.parquet does not hold records") as caught:
        list(from_table(broken, href="here.parquet"))
    assert caught.value.href == "here.parquet"


@pytest.mark.parametrize("column", ["platform", "item_id", "item_href"])
def test_a_name_of_another_type_is_refused(column):
    table = to_table([make_record(item_href="https://example.com/item.json")])
    place = table.schema.get_field_index(column)
    odd = table.set_column(place, column, table.column(column).cast(pa.binary()))
    with pytest.raises(IndexFormatError, match=f"{column} is b'"):
        list(from_table(odd, href="here.parquet"))


def test_a_table_without_the_columns_is_refused():
    with pytest.raises(IndexFormatError, match="does not hold records"):
        list(from_table(pa.table({"platform": ["naip"]})))


# -- the file --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["naip", "modis"]))),
    st.integers(1, 4),
    st.sets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["naip", "modis"]))),
)
def test_each_item_of_each_source_is_written_once_in_order(tmp_path_factory, keys, parts, gone):
    folder = tmp_path_factory.mktemp("records")
    with RecordFile(folder) as records:
        for part in range(parts):
            some = keys[part::parts]
            records.add(to_table([make_record(*key) for key in some]), f"part {part}")
        assert len(records) == len(set(keys))
        assert all(key in records for key in keys)
        found = read(records.write(folder / "out.parquet", leave_out=gone))
    assert [(each.item_id, each.platform) for each in found] == sorted(set(keys) - gone)


def test_the_record_with_more_headers_is_kept_whenever_it_comes(tmp_path):
    bare, full = make_record(), make_record(headers={"red": make_header()})
    for number, order in enumerate(([bare, full], [full, bare], [bare, full, bare])):
        (tmp_path / str(number)).mkdir()
        with RecordFile(tmp_path / str(number)) as records:
            for record in order:
                records.add(to_table([record]), "here")
            (found,) = read(records.write(tmp_path / f"{number}.parquet"))
        assert list(found.headers) == ["red"]


def test_another_item_of_the_same_id_names_both_places(tmp_path):
    with RecordFile(tmp_path) as records:
        records.add(to_table([make_record()]), "first.parquet")
        with pytest.raises(InvalidMetadata, match=r"second\.parquet differs .* first\.parquet"):
            records.add(to_table([make_record(href="/b/red.tif")]), "second.parquet")


def test_links_do_not_make_another_item(tmp_path):
    linked = make_record()
    linked.item["links"].append({"rel": "self", "href": "s3://b/a.json"})
    with RecordFile(tmp_path) as records:
        records.add(to_table([make_record()]), "first")
        records.add(to_table([linked]), "second")
        (found,) = read(records.write(tmp_path / "out.parquet"))
    assert found.item["links"] == [], "the first is kept"


def test_only_new_records_are_added_without_a_look_at_the_others(tmp_path):
    with RecordFile(tmp_path) as records:
        records.add(to_table([make_record()]), "first")
        several = [make_record(href="/b/red.tif"), make_record("b")]
        records.add(to_table(several), "second", only_new=True)
        found = read(records.write(tmp_path / "out.parquet"))
    assert [each.item_id for each in found] == ["a", "b"]
    assert found[0].item["assets"]["red"]["href"] == "/a/red.tif"


def test_the_file_is_the_same_whatever_the_order_of_records(tmp_path):
    records = [make_record(f"{number:03d}") for number in range(100)]
    written = []
    for number, order in enumerate((records, records[::-1])):
        (tmp_path / str(number)).mkdir()
        with RecordFile(tmp_path / str(number)) as file:
            file.add(to_table(order), "here")
            written.append(file.write(tmp_path / f"{number}.parquet").read_bytes())
    assert written[0] == written[1]
    assert pq.ParquetFile(tmp_path / "0.parquet").num_row_groups == 4, "32 records each"


def test_a_table_of_something_else_is_refused(tmp_path):
    with RecordFile(tmp_path) as records, pytest.raises(IndexFormatError, match="there does not"):
        records.add(pa.table({"x": [1]}), "there")


def test_the_items_json_is_compact(tmp_path):
    (text,) = to_table([make_record()])["item"].to_pylist()
    assert text == json.dumps(json.loads(text), separators=(",", ":"))


def test_the_file_has_statistics_of_ids_only(tmp_path):
    with RecordFile(tmp_path) as records:
        nothing = records.write(tmp_path / "a.parquet")
        records.add(to_table([make_record()]), "a")
        one = records.write(tmp_path / "b.parquet")
    assert pq.read_table(nothing).num_rows == 0
    group = pq.ParquetFile(one).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    measured = {column.path_in_schema for column in columns if column.is_stats_set}
    assert measured == {"platform", "item_id"}
