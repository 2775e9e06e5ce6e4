"""Columns that users add to an index are kept, read and filtered by."""

from __future__ import annotations

import pickle

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from index.tables import make_table
from stacchip.chipper.stored_rows import StoredRows
from stacchip.errors import IndexFormatError, UsageError
from stacchip.index import (
    SCHEMA,
    Selection,
    append_to_index,
    compact_index,
    concat_indexes,
    merge_indexes,
    read_index,
    read_rows_at,
    remove,
    scan_index,
    scan_numbered,
    write_index,
)
from stacchip.index.on_disk import StoredIndex
from stacchip.storage import Storage

LABELS = pa.array(range(12), pa.int16())


def label(name: str, values: pa.Array = LABELS, **item: object) -> pa.Table:
    """The index of an item of 12 chips, with a column `label`."""
    return make_table(name, **item).append_column("label", values)


@pytest.fixture(params=["folder", "file", "without footprints"])
def index(request, tmp_path):
    """An index with a column `label` in each form it comes in."""
    path = tmp_path / ("index.parquet" if request.param == "file" else "index")
    is_slim = request.param == "without footprints"
    write_index(label("a"), path, geometry="none" if is_slim else "wkb")
    return path


# -- written and read


def test_a_further_column_comes_after_ours(index):
    found = read_index(index)
    assert found.column_names == [*SCHEMA.names, "label"]
    assert found["label"].to_pylist() == LABELS.to_pylist()
    assert found.schema.field("label").type == pa.int16()


def test_a_further_column_is_read_by_name(index):
    found = read_index(index, columns=["label", "chipid"])
    assert found.column_names == ["label", "chipid"]
    assert found["label"].to_pylist() == LABELS.to_pylist()


def test_rows_are_chosen_by_a_further_column(index):
    where = pc.field("label") >= 10
    assert read_index(index, columns=["label"], where=where)["label"].to_pylist() == [10, 11]
    assert read_index(index, columns=["chipid"], where=where).num_rows == 2
    (part,) = scan_index(index, where=where)
    assert part["label"].to_pylist() == [10, 11]
    ((rows, part),) = scan_numbered(index, columns=["label"], where=where)
    assert rows.tolist() == part["label"].to_pylist() == [10, 11]
    assert read_rows_at(index, [7, 3], columns=["label"])["label"].to_pylist() == [7, 3]


def test_a_further_column_and_a_filter_of_ours_choose_together(index):
    found = read_index(index, max_cloud=0.5, where=pc.field("label") > 3, columns=["label"])
    assert found["label"].to_pylist() == [4, 5, 6]


def test_an_area_and_a_further_column_choose_together(index):
    bbox = [-180, -90, 180, 90]
    assert read_index(index, bbox=bbox, where=pc.field("label") == 3).num_rows == 1


def test_a_column_that_no_file_has_is_refused_with_those_that_are_near(index):
    with pytest.raises(UsageError, match=r"no column 'labels'.*: label"):
        read_index(index, columns=["labels"])
    with pytest.raises(UsageError, match=r"no column 'labels'.*: label"):
        read_index(index, where=pc.field("labels") < 5)
    with pytest.raises(UsageError, match=r"no column 'labels'"):
        list(scan_index(index, columns=["labels"]))


def test_other_tools_read_it(index):
    pattern = index if index.is_file() else index / "chips.parquet"
    assert duckdb.sql(f"select sum(label) from '{pattern}'").fetchone() == (66,)
    assert pq.read_table(pattern)["label"].to_pylist() == LABELS.to_pylist()


def test_row_groups_are_skipped_by_a_further_column(tmp_path):
    write_index(label("a"), tmp_path / "index.parquet")
    metadata = pq.read_metadata(tmp_path / "index.parquet")
    place = metadata.schema.names.index("label")
    statistics = metadata.row_group(0).column(place).statistics
    assert (statistics.min, statistics.max) == (0, 11)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (pa.array(["x", "y"] * 6).dictionary_encode(), pa.string()),
        (pa.array(["x", None] * 6, pa.large_string()), pa.string()),
        (pa.array([b"x"] * 12, pa.large_binary()), pa.binary()),
        (pa.array([True] * 12), pa.bool_()),
        (pa.array(np.arange(12, dtype=np.float16)), pa.float32()),
        (pa.array([[1, 2], []] * 6, pa.large_list(pa.int64())), pa.list_(pa.int64())),
        (pa.array([[1, 2]] * 12, pa.list_(pa.float32(), 2)), pa.list_(pa.float32(), 2)),
        (pa.array([{"a": "x"}, None] * 6), pa.struct({"a": pa.string()})),
        (pa.array([[{"a": 1}], None] * 6), pa.list_(pa.struct({"a": pa.int64()}))),
        (pa.nulls(12), pa.null()),
        (pa.array([5] * 12, pa.duration("s")), pa.duration("s")),
        (pa.array([5] * 12, pa.decimal128(9, 2)), pa.decimal128(9, 2)),
        (pa.array([5] * 12, pa.timestamp("ns", "UTC")), pa.timestamp("ns", "UTC")),
        (pa.array([5] * 12, pa.time32("ms")), pa.time32("ms")),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_values_of_many_types_are_kept(tmp_path, values, stored):
    write_index(label("a", values), tmp_path / "index")
    found = read_index(tmp_path / "index")["label"]
    assert found.type == stored
    assert found.to_pylist() == values.to_pylist()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("stacchip:row", LABELS, "stacchip's own.*Rename the column"),
        ("bbox.xmin", LABELS, "stacchip's own.*Rename the column"),
        ("label", pa.array([[("a", 1)]] * 12, pa.map_(pa.string(), pa.int64())), "type is map"),
        ("label", pa.array([bytes(16)] * 12, pa.uuid()), "type is extension.*Cast it"),
        ("label", pa.array([[]] * 12, pa.list_(pa.int8(), 0)), r"type is fixed_size_list.*\[0\]"),
        ("label", pa.array([[[]]] * 12, pa.list_(pa.list_(pa.int8(), 0))), "type is list"),
        ("label", pa.array([b""] * 12, pa.binary(0)), "type is fixed_size_binary"),
        ("label", pa.array(["x" * 65_537] * 12), "a value of 65,537 bytes"),
        ("label", pa.array([["x" * 600] * 200] * 12), "a value of 120,000 bytes"),
        ("label", pa.array([{"a": "x" * 65_537}] * 12), "a value of 65,537 bytes"),
    ],
)
def test_a_column_that_no_index_keeps_is_refused(tmp_path, name, values, message):
    table = make_table().append_column(name, values)
    with pytest.raises(IndexFormatError, match=message) as caught:
        write_index(table, tmp_path / "index")
    assert caught.value.column == name
    assert not (tmp_path / "index").exists()


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(IndexFormatError, match=r"'label'.*twice"):
        write_index(label("a").append_column("label", LABELS), tmp_path / "index")


@pytest.mark.parametrize("name", ["my label", "a.b", "x", "", "Größe", "q'\"\n)", "date2"])
def test_odd_names_are_read_and_filtered_by(tmp_path, name):
    write_index(make_table().append_column(name, LABELS), tmp_path / "index")
    found = read_index(tmp_path / "index", columns=[name], where=pc.field(name) == 3)
    assert found.to_pylist() == [{name: 3}]


def test_an_index_without_further_columns_is_written_as_before(tmp_path):
    write_index(make_table(), tmp_path / "one.parquet")
    write_index(label("item-1").drop_columns("label"), tmp_path / "other.parquet")
    one, other = (tmp_path / f"{name}.parquet" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert read_index(one).column_names == SCHEMA.names


# -- by other libraries


def test_a_column_that_pandas_assigned_is_kept(tmp_path):
    frame = make_table().to_pandas()
    frame = frame[frame["cloud_cover_percentage"] < 0.5]
    frame.index = frame["chipid"]  # a label of rows, which pandas adds as a column
    frame = frame.reset_index(drop=True).assign(weight=0.5, split=pd.Categorical(["train"] * 6))
    frame.index = frame.index[::-1]
    write_index(pa.Table.from_pandas(frame), tmp_path / "index")
    found = read_index(tmp_path / "index", where=pc.field("split") == "train")
    assert found.column_names == [*SCHEMA.names, "weight", "split"]
    assert found["weight"].to_pylist() == [0.5] * 6
    assert found.schema.field("split").type == pa.string()


def test_a_column_that_geopandas_assigned_is_kept(tmp_path):
    write_index(make_table(), tmp_path / "index.parquet")
    frame = geopandas.read_parquet(tmp_path / "index.parquet")
    frame["northing"] = frame.geometry.bounds["maxy"]
    write_index(frame, tmp_path / "other")
    found = read_index(tmp_path / "other", columns=["northing", "bbox"])
    tops = pc.struct_field(found["bbox"].combine_chunks(), "ymax").to_numpy()
    assert np.allclose(found["northing"].to_numpy(), tops, atol=1e-4)


def test_a_column_that_sql_adds_is_kept(tmp_path):
    write_index(make_table(), tmp_path / "index")
    file = tmp_path / "index" / "chips.parquet"
    query = f"select *, row_number() over () - 1 as number, 'x' as split from '{file}'"
    write_index(duckdb.sql(query), tmp_path / "other")
    assert read_index(tmp_path / "other")["number"].to_pylist() == list(range(12))


def test_a_file_of_another_tool_is_filtered_by_its_own_columns(tmp_path):
    pq.write_table(label("a", LABELS.dictionary_encode()), tmp_path / "index.parquet")
    found = read_index(tmp_path / "index.parquet", where=pc.field("label") > 9)
    assert found["label"].to_pylist() == [10, 11]


# -- indexes of several files


@pytest.fixture
def mixed(tmp_path):
    """An index of two files, of which one has whole labels, and one has none."""
    write_index(label("a"), tmp_path / "mixed" / "one.parquet")
    write_index(make_table("b"), tmp_path / "mixed" / "two.parquet")
    return tmp_path / "mixed"


def test_a_column_that_some_files_lack_is_null_there(mixed):
    expected = [*range(12), *[None] * 12]
    assert read_index(mixed)["label"].to_pylist() == expected
    assert read_index(mixed, columns=["label"])["label"].to_pylist() == expected
    parts = list(scan_index(mixed, columns=["label"]))
    assert [part.schema.field("label").type for part in parts] == [pa.int16()] * 2
    assert read_rows_at(mixed, [13, 2], columns=["label"])["label"].to_pylist() == [None, 2]


def test_no_row_is_chosen_where_the_column_is_null(mixed):
    for where in (pc.field("label") < 5, ~(pc.field("label") >= 5)):
        assert read_index(mixed, where=where, columns=["label"]).num_rows == 5
    assert read_index(mixed, where=pc.field("label").is_null(), columns=["item_id"])[
        "item_id"
    ].unique().to_pylist() == ["b"]


def test_types_that_differ_are_unified(mixed):
    write_index(label("c", pa.array([0.5] * 12)), mixed / "three.parquet")
    found = read_index(mixed, where=pc.field("label") < 1)
    assert found.schema.field("label").type == pa.float64()
    assert sorted(found["label"].to_pylist()) == [0, *[0.5] * 12]


def test_types_that_no_type_holds_are_refused_where_they_are_wanted(mixed):
    write_index(label("c", pa.array(["x"] * 12)), mixed / "three.parquet")
    for wanted in ({}, {"columns": ["label"]}, {"where": pc.field("label") == 1, "columns": []}):
        with pytest.raises(IndexFormatError, match=r"label.*one\.parquet.*three\.parquet|three"):
            read_index(mixed, **wanted)
    assert read_index(mixed, columns=["chipid"], max_cloud=0.5).num_rows == 21


def test_a_number_that_its_joint_type_cannot_hold_is_refused(mixed):
    write_index(label("c", pa.array([2**60 + 1] * 12)), mixed / "three.parquet")
    write_index(label("d", pa.array([0.5] * 12)), mixed / "four.parquet")
    with pytest.raises(IndexFormatError, match=r"'label' has type int64.*double"):
        read_index(mixed)


def test_a_tree_of_many_files_is_read_as_one_of_few(tmp_path):
    table = make_table(chips=(1, 1))
    pq.write_table(table, tmp_path / "without.parquet")
    pq.write_table(table.append_column("label", pa.array([7])), tmp_path / "with.parquet")
    for number in range(66):
        place = tmp_path / "tree" / str(number % 2) / f"{number:02}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        name = "with" if number == 40 else "without"
        place.write_bytes((tmp_path / f"{name}.parquet").read_bytes())
    found = read_index(tmp_path / "tree", columns=["label"])["label"]
    assert (found.type, found.null_count) == (pa.int64(), 65)
    assert read_index(tmp_path / "tree", where=pc.field("label") == 7).num_rows == 1
    assert read_index(tmp_path / "tree")["label"].null_count == 65
    for wanted in ({"columns": ["labels"]}, {"where": pc.field("labels") == 1}):
        with pytest.raises(UsageError, match=r"no column 'labels'.*: label"):
            read_index(tmp_path / "tree", **wanted)


def test_tables_are_put_together_with_their_further_columns():
    floats = label("c", pa.array([0.5] * 12))
    found = concat_indexes([label("a"), make_table("b"), floats])
    assert found["label"].to_pylist() == [*range(12), *[None] * 12, *[0.5] * 12]
    with pytest.raises(IndexFormatError, match=r"'label'.*int16 in table 0, and string in table 1"):
        concat_indexes([label("a"), label("b", pa.array(["x"] * 12))])


def test_a_file_keeps_its_columns_when_an_item_is_removed(tmp_path):
    both = concat_indexes([label("a"), make_table("b")])
    write_index(both, tmp_path / "index.parquet")
    remove(tmp_path / "index.parquet", item_id="b")
    assert read_index(tmp_path / "index.parquet")["label"].to_pylist() == LABELS.to_pylist()


def test_a_selection_filters_a_table_by_its_own_columns():
    assert Selection(where=pc.field("label") < 2).apply(label("a")).num_rows == 2


# -- indexes that are merged, and that grow


@pytest.fixture
def several(tmp_path):
    """Three indexes: with whole labels, with none, and with fractions; each of 12 chips."""
    write_index(label("a"), tmp_path / "one")
    write_index(make_table("b"), tmp_path / "two")
    fractions = label("c", pa.array([0.5] * 12), platform="landsat")
    write_index(fractions.append_column("split", pa.array(["x"] * 12)), tmp_path / "three")
    return [tmp_path / name for name in ("one", "two", "three")]


def test_a_merge_keeps_further_columns(several, tmp_path):
    merge_indexes(several, tmp_path / "all")
    found = read_index(tmp_path / "all").sort_by("item_id")
    assert found.column_names == [*SCHEMA.names, "label", "split"]
    assert found["label"].to_pylist() == [*range(12), *[None] * 12, *[0.5] * 12]
    assert found["split"].to_pylist() == [*[None] * 24, *["x"] * 12]
    for file in (tmp_path / "all").glob("chips*.parquet"):
        assert pq.read_schema(file).names[-2:] == ["label", "split"]


def test_parts_of_an_item_with_and_without_the_column_are_merged(tmp_path):
    write_index(label("a").slice(0, 5), tmp_path / "one")
    write_index(make_table("a").slice(5), tmp_path / "two")
    merge_indexes([tmp_path / "two", tmp_path / "one"], tmp_path / "all")
    assert read_index(tmp_path / "all")["label"].to_pylist() == [*range(5), *[None] * 7]


def test_the_order_of_rows_stays_with_their_values(tmp_path):
    order = np.random.default_rng(0).permutation(24)
    both = concat_indexes([label("a"), label("b", zone=1)]).take(pa.array(order))
    write_index(both, tmp_path / "mixed")
    merge_indexes(tmp_path / "mixed", tmp_path / "sorted")
    found = read_index(tmp_path / "sorted", columns=["item_id", "label"]).sort_by("item_id")
    assert found["label"].to_pylist() == 2 * LABELS.to_pylist()


def test_a_merge_of_types_that_no_type_holds_names_both_inputs(several, tmp_path):
    write_index(label("d", pa.array(["x"] * 12)), tmp_path / "four")
    with pytest.raises(IndexFormatError, match=r"'label'.*three.*four|'label'.*one.*four"):
        merge_indexes([*several, tmp_path / "four"], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_merge_names_the_file_with_a_column_that_no_index_keeps(tmp_path):
    maps = pa.array([[("a", 1)]] * 12, pa.map_(pa.string(), pa.int64()))
    pq.write_table(make_table().append_column("tags", maps), tmp_path / "odd.parquet")
    with pytest.raises(IndexFormatError, match=r"odd\.parquet.*'tags'.*map"):
        merge_indexes(tmp_path / "odd.parquet", tmp_path / "all")


def test_columns_that_folders_tell_are_kept(tmp_path):
    for split in ("train", "test"):
        write_index(make_table(split), tmp_path / "in" / f"split={split}" / "chips.parquet")
    merge_indexes(tmp_path / "in", tmp_path / "all")
    found = read_index(tmp_path / "all", where=pc.field("split") == "test")
    assert found["item_id"].unique().to_pylist() == ["test"]


def test_appended_rows_have_the_columns_of_the_index(several):
    for new in several[1:]:
        append_to_index(several[0], new)
    found = read_index(several[0])
    assert found["label"].to_pylist() == [*range(12), *[None] * 12, *[0.5] * 12]
    assert found["split"].to_pylist() == [*[None] * 24, *["x"] * 12]
    where = pc.field("label") == 0.5
    assert read_index(several[0], where=where)["item_id"].unique().to_pylist() == ["c"]
    for file in several[0].glob("chips.part-*.parquet"):
        assert "label" in pq.read_schema(file).names


def test_a_table_with_a_further_column_is_appended(tmp_path):
    write_index(make_table("b"), tmp_path / "index")
    append_to_index(tmp_path / "index", label("a"))
    assert read_index(tmp_path / "index")["label"].to_pylist() == [*[None] * 12, *range(12)]


def test_an_append_of_another_type_names_both(several):
    with pytest.raises(IndexFormatError, match=r"'label'.*one/chips\.parquet.*chips\.parquet"):
        append_to_index(several[0], label("d", pa.array(["x"] * 12)))
    assert read_index(several[0]).num_rows == 12


FAR = 253_402_300_799  # the last second of the year 9999


@pytest.mark.parametrize(
    ("there", "new"),
    [
        (pa.array([2**60 + 1] * 12), pa.array([0.5] * 12)),
        (pa.array([0.5] * 12), pa.array([2**60 + 1] * 12)),
        (pa.array([-1] * 12), pa.array([2**63] * 12, pa.uint64())),
        (pa.array([2**63] * 12, pa.uint64()), pa.array([-1] * 12)),
        (pa.array([FAR] * 12, pa.timestamp("s")), pa.array([1] * 12, pa.timestamp("ns"))),
        (pa.array([1] * 12, pa.timestamp("ns")), pa.array([FAR] * 12, pa.timestamp("s"))),
        (pa.array([FAR] * 12, pa.duration("s")), pa.array([1] * 12, pa.duration("ns"))),
        (pa.array([[2**60 + 1]] * 12), pa.array([[0.5]] * 12)),
        (pa.array([2**31 - 1] * 12, pa.int32()), pa.array(["1.5"] * 12).cast(pa.decimal128(9, 2))),
        (pa.array(["1.10"] * 12).cast(pa.decimal128(38, 30)), pa.array([0.5] * 12)),
    ],
    ids=lambda values: str(values.type),
)
def test_an_append_whose_values_no_type_holds_with_those_there_names_both(tmp_path, there, new):
    write_index(label("a", there), tmp_path / "index")
    write_index(label("b", new), tmp_path / "new")
    message = r"'label'.*index/chips\.parquet.*new/chips\.parquet.*cast it in one of them"
    with pytest.raises(IndexFormatError, match=message) as caught:
        append_to_index(tmp_path / "index", tmp_path / "new")
    assert caught.value.column == "label"
    assert read_index(tmp_path / "index")["label"].to_pylist() == there.to_pylist()


@pytest.mark.parametrize(
    ("there", "new"),
    [
        (pa.array([2**60 + 1] * 12), pa.array([3.0, None] * 6)),
        (pa.array([0.5] * 12), pa.array([2**53] * 12)),
        (pa.array([2**63] * 12, pa.uint64()), pa.array([1] * 12)),
        (pa.array([FAR] * 12, pa.timestamp("ms")), pa.array([10**6] * 12, pa.timestamp("ns"))),
    ],
    ids=lambda values: str(values.type),
)
def test_appended_values_that_fit_get_the_type_of_the_index(tmp_path, there, new):
    write_index(label("a", there), tmp_path / "index")
    append_to_index(tmp_path / "index", label("b", new))
    expected = [*there.to_pylist(), *new.cast(there.type).to_pylist()]
    for _ in range(2):
        found = read_index(tmp_path / "index")["label"]
        assert (found.type, found.to_pylist()) == (there.type, expected)
        compact_index(tmp_path / "index")


def test_a_compacted_index_keeps_them(several):
    append_to_index(several[0], several[2])
    remove(several[0], item_id="a")
    compact_index(several[0])
    found = read_index(several[0])
    assert found["label"].to_pylist() == [0.5] * 12
    assert found["split"].to_pylist() == ["x"] * 12


# -- chips


def test_a_stored_index_serves_them(tmp_path):
    count = 170 * 170
    labels = pa.array(np.arange(count, dtype=np.int32))
    write_index(
        concat_indexes(
            [label("a", labels, chips=(170, 170)), make_table("b", zone=1, chips=(170, 170))]
        ),
        tmp_path / "index",
        geometry="none",
    )
    index = StoredIndex.open(tmp_path / "index", Storage())
    assert index is not None
    rows = StoredRows(pickle.loads(pickle.dumps(index)))  # as a worker gets it
    assert rows.schema.names == [*SCHEMA.names, "label"]
    assert rows.column(np.array([count, 4]), "label").to_pylist() == [None, 4]
    assert rows.value(3, "label") == 3
    assert rows.value(3, "absent") is None
    assert rows.count_nulls("label") == count
    ((numbers, part),) = rows.scan(["label"], Selection(where=pc.field("label") >= count - 2))
    assert numbers.tolist() == part["label"].to_pylist() == [count - 2, count - 1]
    with pytest.raises(UsageError, match=r"absent"):
        list(rows.scan(["absent"]))


def test_a_split_is_a_further_column(tmp_path):
    splits = pa.array(["train"] * 8 + ["test"] * 4)
    write_index(make_table("a").append_column("split", splits), tmp_path / "in" / "one.parquet")
    write_index(make_table("b"), tmp_path / "in" / "two.parquet")
    assert read_index(tmp_path / "in", split="test", columns=["chipid"]).num_rows == 4
    with pytest.raises(UsageError, match="no column 'split'"):
        read_index(tmp_path / "in" / "two.parquet", split="test")
