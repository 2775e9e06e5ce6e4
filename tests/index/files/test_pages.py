"""A few bytes of a file that stand for gigabytes are refused before they are decoded."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stacchip.errors import LimitExceeded
from stacchip.index.files.parquet import open_parquet
from stacchip.storage import Limits, Storage, StorageOptions

if TYPE_CHECKING:
    from pathlib import Path


def write_text(path: Path, length: int, rows: int, **options) -> None:
    """Write one long text in many rows, which a dictionary makes small."""
    indices = pa.array(np.zeros(rows, np.int32))
    column = pa.DictionaryArray.from_arrays(indices, ["x" * length])
    pq.write_table(pa.table({"chipid": column}), path, store_schema=False, **options)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_a_long_text_in_many_rows_is_refused(tmp_path, compression) -> None:
    write_text(tmp_path / "a.parquet", 500_000, 20_000, compression=compression)
    file = open_parquet(str(tmp_path / "a.parquet"), Storage())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (file.read, lambda: list(file.scan())):
        with pytest.raises(LimitExceeded) as caught:
            read()
        assert caught.value.limit == "table_bytes"
        assert str(caught.value.href).endswith("a.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"


def test_many_texts_of_usual_length_are_read(tmp_path) -> None:
    """The dictionary takes a megabyte, and each text 50 bytes."""
    texts = [f"item-{number:045d}" for number in range(20_000)]
    table = pa.table({"chipid": pa.array(texts * 50)})
    pq.write_table(table, tmp_path / "a.parquet", dictionary_pagesize_limit=4 << 20)
    found = open_parquet(str(tmp_path / "a.parquet"), Storage()).read(["chipid"])
    assert found["chipid"].equals(table["chipid"])


def test_the_limit_can_be_raised_and_lowered(tmp_path) -> None:
    write_text(tmp_path / "a.parquet", 1000, 1000)
    low = Storage(options=StorageOptions(limits=Limits(table_bytes=500_000)))
    assert open_parquet(str(tmp_path / "a.parquet"), Storage()).read().num_rows == 1000
    with pytest.raises(LimitExceeded):
        open_parquet(str(tmp_path / "a.parquet"), low).read()


def test_texts_count_twice_since_they_take_it_while_they_are_decoded(tmp_path) -> None:
    write_text(tmp_path / "a.parquet", 1000, 1000)
    for megabytes, is_read in ((1.5, False), (2.5, True)):
        limits = Limits(table_bytes=int(megabytes * 1e6))
        storage = Storage(options=StorageOptions(limits=limits))
        file = open_parquet(str(tmp_path / "a.parquet"), storage)
        if is_read:
            assert file.read().num_rows == 1000
            continue
        with pytest.raises(LimitExceeded):
            file.read()


def test_a_small_file_of_many_row_groups_is_refused(tmp_path) -> None:
    write_text(tmp_path / "a.parquet", 100_000, 40 * 1000, row_group_size=1000)
    file = open_parquet(str(tmp_path / "a.parquet"), Storage())
    with pytest.raises(LimitExceeded, match="What is read"):
        file.read()
    assert next(file.scan()).num_rows == 1000, "each row group is within the limit"
