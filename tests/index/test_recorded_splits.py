"""The rule of a split goes with the index: rows that come later get their split by it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from index.tables import make_table
from stacchip import Split
from stacchip.errors import IndexFormatError, UsageError
from stacchip.index.recorded_splits import (
    SPLITS,
    fill_splits,
    join_splits,
    read_splits,
    write_splits,
)

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
