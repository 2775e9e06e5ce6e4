"""Keys find their rows, as a dictionary would."""

from __future__ import annotations

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
