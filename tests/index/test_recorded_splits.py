"""The rule of a split goes with the index: rows that come later get their split by it."""

from __future__ import annotations

import shutil
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tables import make_table, make_tables
from stacchip import Split
from stacchip.errors import IndexFormatError, UsageError
from stacchip.index import (
    add_column,
    append_to_index,
    compact_index,
    merge_indexes,
    read_index,
    write_index,
)
from stacchip.index.files.snapshot import open_index
from stacchip.index.recorded_splits import (
    SPLITS,
    fill_splits,
    join_splits,
    read_splits,
    write_splits,
)
from stacchip.selection.adding import add_split
from stacchip.storage import Storage

SPLIT, OTHER = Split(cell_km=5, buffer_km=0), Split(cell_km=5, buffer_km=0, salt="v2")


def test_rules_come_back_from_the_metadata_of_a_file():
    metadata = write_splits({"split": SPLIT.rule, "other": OTHER.rule})
    again = read_splits(metadata, "index")
    assert {name: rule.to_dict() for name, rule in again.items()} == {
        "split": SPLIT.to_dict(), "other": OTHER.to_dict(),
    }  # fmt: skip
    assert write_splits({}) == {}
    assert read_splits(None, "index") == read_splits({}, "index") == {}


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"{", b'{"split": 1}', b'{"split": {"by": "x"}}', b"[" * 10**5]
)
def test_broken_records_are_refused(said):
    with pytest.raises(IndexFormatError, match="index records a split that cannot be read"):
        read_splits({SPLITS: said}, "index")


def test_files_may_record_the_same_rule_and_no_other_of_that_name():
    rules = {"a": {"split": SPLIT.rule}, "b": {"split": SPLIT.rule, "x": OTHER.rule}, "c": {}}
    assert set(join_splits(rules)) == {"split", "x"}
    with pytest.raises(UsageError, match="'split' is split by one rule in a, and by another in b"):
        join_splits({"a": {"split": SPLIT.rule}, "b": {"split": OTHER.rule}})


def test_rows_get_their_splits_whatever_they_said_before():
    rows = make_table()
    expected = SPLIT.of(rows).to_pylist()
    wrong = rows.append_column("split", pa.array(["test"] * len(rows)))
    for table in (rows, wrong):
        filled = fill_splits(table, {"split": SPLIT.rule})
        assert filled["split"].to_pylist() == expected
        assert filled.num_columns == rows.num_columns + 1


# -- in indexes


@pytest.fixture
def halves(tmp_path):
    """An index with a recorded split, and one of other items without."""
    rows = {"one": make_table("a", chips=(9, 9)), "other": make_table("b", chips=(9, 9), day=1)}
    for name, table in rows.items():
        write_index(table, tmp_path / name)
    add_split(tmp_path / "one", SPLIT)
    return str(tmp_path / "one"), str(tmp_path / "other")


def splits_of(index) -> dict[str, str | None]:
    rows = read_index(index, columns=["chipid", "platform", "split"]).to_pylist()
    return {(row["platform"], row["chipid"]): row["split"] for row in rows}


def expected(*indexes: str) -> dict[str, str | None]:
    found = {}
    for index in indexes:
        rows = read_index(index)
        keys = zip(rows["platform"].to_pylist(), rows["chipid"].to_pylist(), strict=True)
        found |= dict(zip(keys, SPLIT.of(rows).to_pylist(), strict=True))
    return found


def test_appended_items_get_their_split_and_no_other_chip_moves(halves):
    one, other = halves
    wanted, before = expected(one, other), splits_of(one)
    append_to_index(one, other)
    assert splits_of(one) == wanted
    assert before.items() <= splits_of(one).items()
    compact_index(one)
    assert splits_of(one) == wanted
    (file,) = open_index(one, Storage())
    assert set(read_splits(file.file.view.metadata, one)) == {"split"}


def test_what_comes_with_another_split_gets_that_of_the_index(halves):
    one, other = halves
    wanted = expected(one, other)
    add_split(other, OTHER)
    append_to_index(one, other)
    assert splits_of(one) == wanted


def test_merged_indexes_get_the_split_that_one_records(halves, tmp_path):
    wanted = expected(*halves)
    for order in (halves, halves[::-1]):
        merge_indexes(order, tmp_path / "merged")
        assert splits_of(tmp_path / "merged") == wanted
    append_to_index(tmp_path / "merged", make_table().slice(0, 0))
    assert splits_of(tmp_path / "merged") == wanted


def test_indexes_of_different_splits_do_not_merge(halves, tmp_path):
    one, other = halves
    add_split(other, OTHER)
    with pytest.raises(UsageError, match=r"'split' is split by one rule in .*, and by another in"):
        merge_indexes([one, other], tmp_path / "merged")
    add_split(other, SPLIT, replace=True)
    merge_indexes([one, other], tmp_path / "merged")
    assert splits_of(tmp_path / "merged") == expected(one, other)


def test_a_column_with_other_values_is_no_split_any_more(halves):
    one, _ = halves
    add_split(one, OTHER, "other")
    add_column(one, lambda rows: ["train"] * len(rows), "split", replace=True)
    (file,) = open_index(one, Storage())
    assert set(read_splits(file.file.view.metadata, one)) == {"other"}
    assert set(read_index(one)["split"].to_pylist()) == {"train"}


@pytest.mark.parametrize("geometry", ["wkb", "none"])
def test_rows_that_are_written_again_keep_their_rule_while_it_holds(halves, tmp_path, geometry):
    one, other = halves
    rows = read_index(one)
    write_index(rows.slice(0, 50), tmp_path / "again", geometry=geometry)
    append_to_index(tmp_path / "again", other)
    wanted = SPLIT.of(read_index(tmp_path / "again")).to_pylist()
    assert read_index(tmp_path / "again")["split"].to_pylist() == wanted
    changed = rows.set_column(
        rows.column_names.index("split"), "split", pa.array(["x"] * len(rows))
    )
    write_index(changed, tmp_path / "changed")
    (file,) = open_index(str(tmp_path / "changed"), Storage())
    assert read_splits(file.file.view.metadata, "index") == {}
    write_index(rows, tmp_path / "one.parquet")
    (file,) = open_index(str(tmp_path / "one.parquet"), Storage())
    assert set(read_splits(file.file.view.metadata, "index")) == {"split"}


def test_a_split_by_a_column_follows_that_column(tmp_path):
    path, values = tmp_path / "index", {"x": "train", "y": "test"}
    write_index(make_table("a").append_column("country", pa.array(["x"] * 12)), path)
    add_split(path, Split.by_column("country", values=values))
    add_split(path, Split.by_column("split", values={"train": "a", "test": "b"}), "second")
    add_column(path, pa.array(["y"] * 12), "country", replace=True)
    rows = read_index(path)
    assert set(rows["split"].to_pylist()) == {"test"}
    assert set(rows["second"].to_pylist()) == {"b"}


def test_a_value_stays_in_its_split_when_its_column_gets_another_type(tmp_path):
    path, more = tmp_path / "index", tmp_path / "more"
    write_index(make_table("a").append_column("country", pa.array([14] * 12, pa.int32())), path)
    add_split(path, Split.by_column("country"))
    before = read_index(path)["split"].unique().to_pylist()
    write_index(make_table("b", day=1).append_column("country", pa.array([14.0] * 12)), more)
    append_to_index(path, more)
    assert read_index(path)["split"].unique().to_pylist() == before
    compact_index(path)
    assert read_index(path)["split"].unique().to_pylist() == before


@pytest.mark.parametrize("said", [b"{", b'{"split": {"by": "draw"}}'])
def test_a_record_that_cannot_be_read_is_replaced_as_the_error_says(tmp_path, said):
    write_index(make_table(), tmp_path)
    add_split(tmp_path, SPLIT)
    file = tmp_path / "chips.parquet"
    rows = pq.read_table(file)
    pq.write_table(rows.replace_schema_metadata({**rows.schema.metadata, SPLITS: said}), file)
    with pytest.raises(IndexFormatError, match="stacchip split INDEX --replace"):
        append_to_index(tmp_path, make_table("b", day=1))
    add_column(tmp_path, pa.array(range(12)), "other")
    add_split(tmp_path, SPLIT, replace=True)
    (opened,) = open_index(str(tmp_path), Storage())
    assert set(read_splits(opened.file.view.metadata, "index")) == {"split"}


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_however_an_index_comes_about_its_chips_have_the_same_splits(data):
    """Items are merged or appended in any groups and order, and compacted in between."""
    tables = make_tables(5)
    order = data.draw(st.permutations(range(5)))
    first = data.draw(st.integers(1, 4))
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{number}" for number in range(5)]
        for table, path in zip(tables, paths, strict=True):
            write_index(table, path)
        wanted = expected(*paths)
        index = f"{folder}/index"
        merge_indexes([paths[number] for number in order[:first]], index)
        add_split(index, SPLIT)
        for number in order[first:]:
            how = data.draw(st.sampled_from(["append", "merge", "compact"]))
            if how == "merge":
                merge_indexes(data.draw(st.permutations([index, paths[number]])), f"{folder}/more")
                shutil.rmtree(index)
                shutil.move(f"{folder}/more", index)
                continue
            append_to_index(index, paths[number])
            if how == "compact":
                compact_index(index)
        assert splits_of(index) == wanted
