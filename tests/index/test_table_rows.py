"""Rows of tables whose columns hold more text than one array can."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.tables import make_tables
from stacchip.errors import DuplicateChips
from stacchip.index.stored import stored_rows
from stacchip.index.table_rows import change_texts, encode_texts, take_rows
from stacchip.index.write import refuse_duplicates

ROWS = 25_000_000
SIZES = [100_000, pytest.param(ROWS, marks=pytest.mark.slow)]
"""Some chunks, and more text than one array can hold."""


@pytest.fixture(scope="module")
def chunk() -> pa.Table:
    """50,000 rows, with a footprint and an address as wide as those of Landsat."""
    number = np.arange(50_000)
    return pa.table(
        {
            "number": number,
            "item_href": pa.array([f"{each % 30:0140}" for each in number]),
            "geometry": pa.array([b"%0100d" % each for each in number]),
            "bbox": pa.array([{"xmin": float(each)} for each in number]),
        }
    )


@pytest.fixture(scope="module")
def wide(chunk: pa.Table) -> pa.Table:
    """25 million rows, which are one chunk of memory many times."""
    return pa.concat_tables([chunk] * (ROWS // len(chunk)))


def test_rows_are_taken_from_more_text_than_one_array_holds(
    chunk: pa.Table, wide: pa.Table
) -> None:
    assert wide["item_href"].nbytes > 1 << 31
    rows = [ROWS - 1, 3, 12_345_678, 3, 0]
    expected = chunk.take(pa.array([row % len(chunk) for row in rows]))

    assert take_rows(wide, rows).equals(expected)


@pytest.mark.parametrize("size", SIZES)
def test_texts_are_encoded_and_changed_beyond_the_size_of_one_array(
    wide: pa.Table, size: int
) -> None:
    hrefs = wide["item_href"].slice(0, size)
    codes, texts = encode_texts(hrefs)
    changed = change_texts(hrefs, lambda href: href.lstrip("0") or None)

    assert len(codes) == size
    assert len(texts) == 30
    assert changed is not None
    assert [changed[row].as_py() for row in (0, 1, size - 1)] == [None, "1", "19"]


def test_a_row_beyond_the_table_is_refused(chunk: pa.Table) -> None:
    with pytest.raises(IndexError, match="50000"):
        take_rows(chunk, [50_000])
    with pytest.raises(IndexError, match="-1"):
        take_rows(chunk, [-1])


def test_texts_that_stay_are_told_apart_from_others() -> None:
    assert change_texts(pa.chunked_array([["a", None]]), lambda text: text) is None


@given(st.lists(st.integers(0, 5)), st.data())
def test_rows_come_in_the_order_asked(sizes: list[int], data: st.DataObject) -> None:
    values = iter(range(sum(sizes)))
    chunks = [[str(next(values)) for _ in range(size)] for size in sizes]
    table = pa.table({"text": pa.chunked_array(chunks, pa.string())})
    rows = data.draw(st.lists(st.integers(0, max(0, sum(sizes) - 1)))) if sum(sizes) else []

    assert take_rows(table, rows)["text"].to_pylist() == [str(row) for row in rows]


@pytest.mark.parametrize("size", SIZES)
def test_an_index_of_any_size_is_made_ready_to_write_and_looked_up(size: int) -> None:
    """What takes the table of a whole index: none of it joins a wide column."""
    (small,) = make_tables(1)
    hrefs = pa.array([f"https://example.com/{'a' * 120}.json?X-Amz-Signature=1"] * len(small))
    place = small.schema.get_field_index("item_href")
    small = small.set_column(place, "item_href", hrefs)
    chunk = pa.concat_tables([small] * (50_000 // len(small))).combine_chunks()
    index = pa.concat_tables([chunk] * (size // len(chunk)))
    assert size < ROWS or index["item_href"].nbytes > 1 << 31

    stored = stored_rows(index)
    last = take_rows(stored, [len(index) - 1]).to_pylist()

    assert last[0]["item_href"] == f"https://example.com/{'a' * 120}.json"
    assert last[0]["geometry"] == small["geometry"][-1].as_py()
    with pytest.raises(DuplicateChips, match="repeat a chip"):
        refuse_duplicates(stored)
