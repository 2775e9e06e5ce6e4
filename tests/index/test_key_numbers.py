"""Keys find their rows, as a dictionary would."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacchip.errors import UsageError
from stacchip.index.key_numbers import KeyNumbers

KEYS = st.tuples(st.sampled_from(["a", "b", "ä"]), st.integers(-3, 3), st.integers(0, 2))


def to_table(keys: list[tuple[str, int, int]]) -> pa.Table:
    kinds = {"item_id": pa.string(), "chip_index_x": pa.int32(), "more": pa.int64()}
    parts = zip(*keys, strict=True) if keys else [(), (), ()]
    return pa.table(
        {name: pa.array(part, kinds[name]) for name, part in zip(kinds, parts, strict=True)}
    )


@pytest.mark.parametrize("most", [1 << 62, 4])
@given(there=st.lists(KEYS, unique=True), asked=st.lists(KEYS))
def test_keys_find_their_rows(most, there, asked):
    rows = KeyNumbers.of(to_table(there), most=most).find(to_table(asked))
    assert rows.tolist() == [there.index(key) if key in there else -1 for key in asked]


def test_rows_without_a_key_find_none():
    keys = KeyNumbers.of(pa.table({"stratum": [0, 1]}))
    assert keys.find(pa.table({"stratum": [None, 1, 2]})).tolist() == [-1, 1, -1]


def test_a_key_that_repeats_is_named():
    with pytest.raises(UsageError, match=r"2 rows of the values repeat a key, such as item_id=a"):
        KeyNumbers.of(pa.table({"item_id": ["a", "b", "a", "a"]}))


DAYS = [date(2024, 1, 1), date(2300, 1, 1)]


@pytest.mark.parametrize(
    ("keys", "rows", "expected"),
    [
        (pa.array([1, 44], pa.int8()), pa.array([300, None, 44]), [-1, -1, 1]),
        (pa.array([2**64 - 1, 5], pa.uint64()), pa.array([-1, 5, None]), [-1, 1, -1]),
        (pa.array([-1, 5]), pa.array([2**64 - 1, 5], pa.uint64()), [-1, 1]),
        (pa.array([1, 2**40]), pa.array([2, 1], pa.int16()), [-1, 0]),
        (pa.array([1, 2], pa.int8()), pa.array([2.0, 1.5, None, np.nan]), [1, -1, -1, -1]),
        (pa.array([2.0, 0.5]), pa.array([2, 0]), [0, -1]),
        (pa.array([0.1], pa.float32()), pa.array([0.1, np.float32(0.1)]), [-1, 0]),
        (pa.array([True, False]), pa.array([False, None, True]), [1, -1, 0]),
        (pa.array(DAYS), pa.array([DAYS[1], None, date(2000, 1, 1)]), [1, -1, -1]),
        (pa.array(["a", "b"]), pa.array(["b", None, "c"]).dictionary_encode(), [1, -1, -1]),
        (pa.array(["a"]), pa.array(["a", None], pa.large_string()), [0, -1]),
        (pa.array([b"a"]), pa.array([b"a", None, b"b"]), [0, -1, -1]),
        (pa.array([7]), pa.nulls(2), [-1, -1]),
        (pa.array(["a"]), pa.nulls(2), [-1, -1]),
        (
            pa.array([1, 2], pa.timestamp("s", "UTC")),
            pa.array([2 * 10**9, 5, None], pa.timestamp("ns", "UTC")),
            [1, -1, -1],
        ),
        (pa.array([1, 2], pa.time32("s")), pa.array([2, None], pa.time32("s")), [1, -1]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_keys_are_found_in_columns_of_types_that_compare(keys, rows, expected):
    found = KeyNumbers.of(pa.table({"x": keys})).find(pa.table({"x": rows}))
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        (pa.array([1]), pa.array(["1"])),
        (pa.array(["1"]), pa.array([1])),
        (pa.array(["a"]), pa.array([b"a"])),
        (pa.array([True]), pa.array([1])),
        (pa.array(DAYS), pa.array([1], pa.timestamp("us"))),
        (pa.array([0.5]), pa.array([2**60 + 1])),
        (pa.array([2**60 + 1]), pa.array([0.5])),
        (pa.array([1]), pa.array([[1]])),
    ],
    ids=lambda value: str(value.type),
)
def test_types_that_do_not_compare_are_named(keys, rows):
    numbers = KeyNumbers.of(pa.table({"x": keys}))
    with pytest.raises(UsageError, match=r"'x' of the values has type") as caught:
        numbers.find(pa.table({"x": rows}))
    assert f"type {keys.type}, and that of the index {rows.type}: " in str(caught.value)


def test_columns_by_which_nothing_is_found_are_refused():
    for column in (pa.array([[1]]), pa.array([{"a": 1}]), pa.array([bytes(16)], pa.uuid())):
        with pytest.raises(UsageError, match="by which no chip is found"):
            KeyNumbers.of(pa.table({"x": column}))


def test_keys_beyond_the_type_of_an_index_are_of_no_chip():
    keys = KeyNumbers.of(pa.table({"chip_size": [2**40, 256]}))
    assert keys.find(pa.table({"chip_size": pa.array([256, 0], pa.int32())})).tolist() == [1, -1]
