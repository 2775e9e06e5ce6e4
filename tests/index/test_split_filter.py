"""Chips of a split are chosen by a filter."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from index.tables import make_table
from stacchip import ChipStream
from stacchip.errors import UsageError
from stacchip.index import Selection, read_index, scan_index, write_index


@pytest.fixture
def index(tmp_path: Path) -> str:
    rows = make_table()
    names = [("train", "test", None)[place % 3] for place in range(len(rows))]
    write_index(rows.append_column("split", pa.array(names)), tmp_path / "index")
    return str(tmp_path / "index")


@pytest.mark.parametrize("split", ["test", ["train", "test"], "val", []])
def test_rows_of_a_split_are_read(index, split):
    wanted = [split] if isinstance(split, str) else split
    every = read_index(index)["split"].to_pylist()
    expected = [name for name in every if name in wanted]
    assert read_index(index, split=split)["split"].to_pylist() == expected
    assert sum(part.num_rows for part in scan_index(index, split=split)) == len(expected)
    assert Selection(split=split).apply(read_index(index)).num_rows == len(expected)


def test_an_index_without_splits_is_named(tmp_path):
    write_index(make_table(), tmp_path / "index")
    calls = {
        "chips.parquet": lambda: read_index(tmp_path / "index", split="train"),
        "table": lambda: ChipStream(make_table(), split="train"),
        "The table": lambda: Selection(split="train").apply(make_table()),
    }
    for place, call in calls.items():
        with pytest.raises(UsageError, match=rf"{place} has no column 'split': it was not split"):
            call()


@pytest.mark.parametrize("split", [1, ["train", 2], b"train"])
def test_a_split_is_a_name(split):
    with pytest.raises(UsageError, match=r"split= takes text"):
        Selection(split=split)


def test_a_split_is_a_part_of_what_is_wanted():
    train, test = Selection(split="train"), Selection(split="test")
    assert train.digest != test.digest
    assert not train.is_of_whole_items
    assert train.of_items is None
    assert str(Selection(split="train", platform="a").of_items) == str(
        Selection(platform="a").expression
    )
