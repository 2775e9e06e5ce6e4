"""A damaged file of an index raises an error that names it, and never gives other values."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from index.tables import make_header, make_table
from stacchip.errors import IndexFormatError
from stacchip.index import concat_indexes, read_index, read_records, write_index

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    headers = {f"item-{n:03}": {"red": make_header()} for n in range(3)}
    tables = [make_table(f"item-{n:03}", east=300_000 + 50_000 * n, day=n) for n in range(3)]
    write_index(concat_indexes(tables), tmp_path / "index", headers=headers)
    return tmp_path / "index"


def read_all(folder: Path) -> object:
    records = [
        (each.key, each.item, {key: header.to_record() for key, header in each.headers.items()})
        for each in read_records(folder)
    ]
    return read_index(folder), records


@pytest.mark.parametrize("name", ["chips.parquet", "_items.parquet"])
def test_a_flipped_bit_anywhere_is_an_error_that_names_the_file(folder, name) -> None:
    sound, whole = read_all(folder), (folder / name).read_bytes()
    dice, refused = random.Random(7), 0
    for _ in range(60):
        raw = bytearray(whole)
        raw[dice.randrange(4, len(whole))] ^= 1 << dice.randrange(8)
        (folder / name).write_bytes(raw)
        try:
            assert read_all(folder) == sound, "the bit is one that nothing reads"
        except IndexFormatError as error:
            refused += 1
            assert str(error.href).endswith(name)
            assert "rite the index again" in str(error)
    assert refused > 45


def test_a_file_without_checksums_is_read_as_before(folder) -> None:
    sound = read_index(folder)
    rows = pq.read_table(folder / "chips.parquet")
    pq.write_table(rows, folder / "chips.parquet", write_page_checksum=False)
    assert read_index(folder).equals(sound)
