"""Rows that are put aside come back as they were, in any order."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.tables import make_tables
from stacchip.index.files.spill import Spill

SCHEMA = pa.schema([("x", pa.int64()), ("text", pa.string())])
BATCHES = st.lists(
    st.lists(
        st.tuples(st.none() | st.integers(-5, 5), st.none() | st.text(max_size=9)), max_size=9
    ),
    max_size=8,
)


def to_batch(rows: list[tuple[int | None, str | None]]) -> pa.RecordBatch:
    return pa.record_batch([[x for x, _ in rows], [text for _, text in rows]], schema=SCHEMA)


@settings(deadline=None)
@given(BATCHES, st.randoms())
def test_batches_are_read_in_any_order_and_more_than_once(tmp_path_factory, lists, random):
    batches = [to_batch(rows) for rows in lists]
    with Spill(tmp_path_factory.getbasetemp() / "spill") as spill:
        spilled = {spill.append(batch): batch for batch in batches}
        assert list(spilled) == list(range(len(batches)))
        order = 2 * list(spilled)
        random.shuffle(order)
        for number in order:
            assert spill.read(number).equals(spilled[number])


def test_appending_after_reading_keeps_what_is_there(tmp_path):
    with Spill(tmp_path / "spill") as spill:
        for number in range(20):
            spill.append(to_batch([(number, "a" * number)]))
            assert spill.read(number // 2).to_pylist() == [
                {"x": number // 2, "text": "a" * (number // 2)}
            ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_an_error_of_the_disk_names_the_file():
    with pytest.raises(OSError, match="/dev/full"), Spill(Path("/dev/full")) as spill:
        spill.append(to_batch([(1, "a")]))


def test_a_slice_is_put_aside_alone(tmp_path):
    batch = to_batch([(number, str(number)) for number in range(100_000)])
    with Spill(tmp_path / "spill") as spill:
        spill.append(batch.slice(10, 3))
        assert spill.read(0).to_pydict() == {"x": [10, 11, 12], "text": ["10", "11", "12"]}
    assert (tmp_path / "spill").stat().st_size < 10_000


def test_chips_keep_their_geometry_and_bbox(tmp_path):
    (table,) = make_tables(1)
    batch = table.combine_chunks().to_batches()[0]
    with Spill(tmp_path / "spill") as spill:
        assert spill.read(spill.append(batch)).equals(batch)


def test_a_number_that_was_not_given_out_is_an_error(tmp_path):
    with Spill(tmp_path / "spill") as spill, pytest.raises(IndexError):
        spill.read(0)


def test_batches_of_several_schemas_come_back_as_they_were(tmp_path):
    with Spill(tmp_path / "spill") as spill:
        batches = [to_batch([(1, "a")]), pa.record_batch({"y": [0.5]}), to_batch([(2, "b")])]
        numbers = [spill.append(batch) for batch in batches]
        assert [spill.read(number) for number in numbers] == batches
