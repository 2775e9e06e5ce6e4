"""Rows of parquet files of anyone: what takes too much memory is refused before it is read."""

from __future__ import annotations

import resource
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stacchip.errors import LimitExceeded
from stacchip.parquet.batches import iterate_batches
from stacchip.storage import Limits


def write(table: pa.Table, **options) -> BytesIO:
    file = BytesIO()
    pq.write_table(table, file, store_schema=False, **options)
    return file


def read(file: BytesIO, rows: int = 1000, **limits: int) -> pa.Table:
    batches = iterate_batches(file, "a.parquet", Limits(**limits), rows=rows)
    return pa.Table.from_batches(list(batches))


def repeated(length: int, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["x" * length])


def test_the_rows_are_those_of_the_file() -> None:
    table = pa.table(
        {"x": range(5000), "text": [str(n) for n in range(5000)], "l": [[1, 2]] * 5000}
    )
    assert read(write(table, row_group_size=1700), 300).equals(table)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_batch_that_takes_gigabytes_is_refused(compression, is_nested) -> None:
    texts = repeated(1_000_000, 2000)
    column = pa.ListArray.from_arrays([0, 2000], texts) if is_nested else texts
    file = write(pa.table({"x": column}), compression=compression)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LimitExceeded, match=r"a\.parquet") as caught:
        read(file)
    assert caught.value.limit == "table_bytes"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"


def test_a_page_that_takes_gigabytes_once_decompressed_is_refused() -> None:
    file = write(
        pa.table({"x": [b"\0" * (50 << 20)]}), use_dictionary=False, compression="zstd",
        write_statistics=False,
    )  # fmt: skip
    assert len(file.getvalue()) < 10_000
    with pytest.raises(LimitExceeded):
        read(file, table_bytes=30 << 20)
    assert read(file, table_bytes=200 << 20).num_rows == 1


def test_a_large_row_group_of_usual_rows_is_read_in_batches() -> None:
    """All of it together is above the limit, but it is never in memory."""
    file = write(pa.table({"x": repeated(10_000, 20_000)}), compression="zstd")
    batches = iterate_batches(file, "a.parquet", Limits(table_bytes=40 << 20), rows=1000)
    assert sum(batch.num_rows for batch in batches) == 20_000
