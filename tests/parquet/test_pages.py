"""How long the texts of a dictionary are."""

from __future__ import annotations

from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stacchip.parquet.footer import read_footer
from stacchip.parquet.pages import DICTIONARY, iterate_pages, longest_text
from stacchip.storage import Limits

MANY = 1 << 40  # values, so that the dictionary is looked into


@pytest.mark.parametrize(
    ("texts", "longest"),
    [
        (["ab", "cd", "ef"], 2),  # all of one length
        (["ab", "c", "defg"], 4),
        (["abcd", "", "ef"], 4),  # their sum is that of three of one length
        (["ab", "", "cdef"], 4),  # and here the first one's
        ([""], 0),
        (["\0\0\0\0\0\0", "ab"], 6),
    ],
)
def test_the_longest_text_is_found(texts: list[str], longest: int) -> None:
    file = BytesIO()
    pq.write_table(pa.table({"a": texts * 3}), file)
    data = file.getvalue()

    def read_at(start: int, length: int) -> bytes:
        return data[start : start + length]

    (group,) = read_footer(read_at, len(data), "a.parquet", Limits()).groups
    (chunk,) = group.chunks
    (page,) = (page for page in iterate_pages(read_at, chunk) if page.kind == DICTIONARY)
    assert longest_text(read_at, page, chunk, MANY) == longest
