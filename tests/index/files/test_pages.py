"""A few bytes of a file that stand for gigabytes are refused before they are decoded."""

from __future__ import annotations

import copy
import resource
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquet.footers import I32, I64, STRUCT, Plain, change_footer, column, put, unsigned, write
from stacchip.errors import IndexFormatError, LimitExceeded
from stacchip.index.files.opening import open_parquet
from stacchip.storage import Limits, Storage, StorageOptions

if TYPE_CHECKING:
    from pathlib import Path

    from parquet.footers import Fields


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


def with_pages(path: Path, pages: list[tuple[Fields, bytes]], offset: int) -> None:
    """Write 100 rows of one text column, whose pages are others: pairs of header and body."""
    table = pa.table({"chipid": pa.array(["a"] * 100)})
    pq.write_table(table, path, use_dictionary=False, compression="none")
    raw = path.read_bytes()
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    made = b"".join(write(header) + body for header, body in pages)

    def change(footer: Fields) -> None:
        facts = column(footer, "chipid")
        for number in (6, 7):
            put(facts, number, I64, len(made))
        put(facts, 9, I64, start + offset)
        if offset:
            put(facts, 11, I32, start)  # 64 bits are asked for: to a reader, it is not there

    changed = change_footer(raw, change)
    path.write_bytes(raw[:start] + made + bytes(offset) + changed[start:])


def page(kind: int, body: bytes, encoding: int = 0, values: int = 100) -> tuple[Fields, bytes]:
    facts = [[1, I32, values], [2, I32, encoding], [3, I32, 3], [4, I32, 3]]
    return [[1, I32, kind], [2, I32, len(body)], [3, I32, len(body)],
            [7 if kind == 2 else 5, STRUCT, facts[: 2 if kind == 2 else 4]]], body  # fmt: skip


LONG = page(2, (1 << 20).to_bytes(4, "little") + b"x" * (1 << 20), values=1)
LEVELS = bytes([3, 0, 0, 0, *unsigned(200), 1])  # all 100 values are there
TWICE = page(0, LEVELS + bytes([1, *unsigned(200), 0]), 8)  # each is the long text
TEXTS = page(0, LEVELS + b"\1\0\0\0a" * 100)


def hide(how: str) -> tuple[list[tuple[Fields, bytes]], int]:
    """Return pages that pyarrow reads otherwise than a reader of whole numbers would, and the
    place of the first."""
    twice, offset = copy.deepcopy(TWICE), 0
    facts = twice[0][-1][2]
    if how == "kind":
        twice[0][0][2] = Plain(1 << 32)  # 0, if it has 32 bits
        return [LONG, twice, TEXTS], 0
    if how == "encoding":
        facts[1][2] = Plain(16 + (1 << 32))  # 8
    elif how == "number":
        facts[1][2] = 0
        facts.append([65536 + 2, I32, 8])  # 2, if it has 16 bits
    elif how == "place":
        body = TEXTS[1] + b"".join(write(header) + body for header, body in (LONG, TWICE))
        header = page(0, body)[0]
        return [(header, body)], len(write(header)) + len(TEXTS[1])
    return [LONG, twice], offset


@pytest.mark.parametrize("how", ["kind", "encoding", "number", "place"])
def test_no_page_is_hidden_from_the_limits(tmp_path, how) -> None:
    pages, offset = hide(how)
    with_pages(tmp_path / "a.parquet", pages, offset)
    found = pq.read_table(tmp_path / "a.parquet")["chipid"]
    assert len(found[0].as_py()) == 1 << 20, "pyarrow reads the long text"
    low = Storage(options=StorageOptions(limits=Limits(table_bytes=20 << 20)))
    with pytest.raises(IndexFormatError, match=r"a\.parquet"):
        open_parquet(str(tmp_path / "a.parquet"), low).read()


def test_pages_made_by_hand_are_read(tmp_path) -> None:
    """So it is not their making that is refused."""
    with_pages(tmp_path / "a.parquet", [TEXTS], 0)
    found = open_parquet(str(tmp_path / "a.parquet"), Storage()).read()
    assert found["chipid"].to_pylist() == ["a"] * 100
