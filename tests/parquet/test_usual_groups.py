"""Row groups found all at once are those that are read field by field."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index.tables import make_table
from stacchip.index import write_index
from stacchip.parquet import row_groups
from stacchip.parquet.footer import Footer, parse_footer
from stacchip.parquet.usual_groups import find_usual_groups

ROWS = 60
TABLE = pa.table(
    {
        "text": [None if n % 7 == 0 else f"chip-{n:03}" * (n % 30) for n in range(ROWS)],
        "same": pa.array(["a"] * ROWS),
        "number": range(ROWS),
        "share": pa.array(np.linspace(0, 1, ROWS), pa.float32()),
        "is_there": pa.array([True, False] * (ROWS // 2)),
        "nothing": pa.nulls(ROWS, pa.int64()),
        "bbox": [{"xmin": n / 3, "ymax": -float(n)} for n in range(ROWS)],
        "bytes": pa.array([b"\x80\xff" * n for n in range(ROWS)]),
    }
)
LISTS = TABLE.append_column("list", pa.array([[n] * (n % 3) for n in range(ROWS)]))


def footer_of(path: Path) -> tuple[bytes, int, int]:
    """The bytes of a footer, where they begin, and the size of the file."""
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    return data[-8 - length : -8], len(data) - 8 - length, len(data)


def parse(data: bytes, start: int, size: int, monkeypatch: pytest.MonkeyPatch, few: int) -> Footer:
    monkeypatch.setattr(row_groups, "_FEW_CHUNKS", few)
    return parse_footer(data, start, size)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    write_index(make_table(), tmp_path)
    (path,) = tmp_path.glob("chips*.parquet")
    return path


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether row groups were found all at once, each time that they were looked for."""
    told: list[bool] = []

    def find(*arguments: Any) -> Any:
        usual = find_usual_groups(*arguments)
        told.append(usual is not None)
        return usual

    monkeypatch.setattr(row_groups, "find_usual_groups", find)
    return told


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (TABLE, {}),
        (LISTS, {}),
        (TABLE, {"use_dictionary": False, "compression": "none"}),
        (TABLE, {"write_statistics": False}),
        (TABLE, {"write_statistics": ["text"], "compression": "zstd", "row_group_size": 1}),
        (TABLE, {"data_page_version": "2.0", "data_page_size": 64}),
        (TABLE, {"use_byte_stream_split": ["share"], "use_dictionary": ["same"]}),
    ],
)
def test_they_are_what_is_read_field_by_field(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: list[bool],
    table: pa.Table,
    options: dict[str, Any],
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, **{"row_group_size": 7, **options})
    told = footer_of(path)
    slow, fast = (parse(*told, monkeypatch, few) for few in (10**6, 0))
    assert found == [True]
    assert list(fast.groups) == list(slow.groups)
    for leaf in range(len(slow.columns)):
        assert list(fast.groups.of_column(leaf)) == [group.chunks[leaf] for group in slow.groups]
    assert fast.groups.rows.tolist() == [group.rows for group in slow.groups]


def test_our_own_files_are_found(
    ours: Path, monkeypatch: pytest.MonkeyPatch, found: list[bool]
) -> None:
    slow, fast = (parse(*footer_of(ours), monkeypatch, few) for few in (10**6, 0))
    assert found == [True]
    assert list(fast.groups) == list(slow.groups)


@pytest.mark.parametrize(
    "options",
    [
        {"write_page_index": True},  # has more fields in each column
        {"sorting_columns": [pq.SortingColumn(2)]},
        {"use_dictionary": False, "row_group_size": 60, "write_statistics": ["long"]},
    ],
)
def test_what_is_laid_out_otherwise_is_read_field_by_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[bool], options: dict[str, Any]
) -> None:
    path = tmp_path / "x.parquet"
    long = pa.array(["x" * 300] * ROWS)  # more than a byte tells
    table = TABLE.append_column("long", long)
    pq.write_table(table, path, **{"row_group_size": 7, **options})
    slow, fast = (parse(*footer_of(path), monkeypatch, few) for few in (10**6, 0))
    assert found == [False]
    assert list(fast.groups) == list(slow.groups)


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_read_as_it_is_field_by_field(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(LISTS, path, row_group_size=20)
    dice = random.Random(seed)
    for _ in range(400):
        data, start, size = footer_of(dice.choice([ours, path]))
        changed = bytearray(data)
        for _ in range(dice.choice([1, 1, 2])):
            changed[dice.randrange(len(data))] = dice.choice([0, 1, 127, 128, 255, *range(256)])
        said = []
        for few in (10**6, 0):
            try:
                parsed = parse(bytes(changed), start, size, monkeypatch, few)
                said.append((parsed.rows, parsed.columns, list(parsed.groups)))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                said.append(f"{type(error).__name__}: {error}")
        assert said[0] == said[1]


def number_of(value: int) -> bytes:
    """A number as Thrift writes it."""
    value, written = value << 1, b""
    while value > 127:
        written += bytes([value & 127 | 128])
        value >>= 7
    return written + bytes([value])


def test_fields_that_lead_past_the_largest_number_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[bool]
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(TABLE, path)
    data, start, size = footer_of(path)
    # the number of a field has 16 bits in Thrift: 65,536 above 3 it would be that of the rows again
    wrapped = b"\xf6\x00" * 4369 + b"\x16" + number_of(10**9)
    rows = b"\x16" + number_of(ROWS) + b"\x26"  # and after it, where the row group begins
    assert data.count(rows) == 1
    changed = data.replace(rows, rows[:-1] + wrapped + b"\x26")
    for few in (10**6, 0):
        with pytest.raises(ValueError, match="too large a number"):
            parse(changed, start, size, monkeypatch, few)
    assert found == [False]


def test_row_groups_whose_rows_wrap_around_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": pa.nulls(4, pa.int64())}), path, row_group_size=1)
    data, start, size = footer_of(path)
    one, many = b"\x16" + number_of(1), b"\x16" + number_of(2**62)
    rows = b"\x16" + number_of(4)
    assert data.count(rows) == 1
    changed = data.replace(rows, b"\x16" + number_of(0)).replace(one, many)
    for few in (10**6, 0):
        with pytest.raises(ValueError, match="row groups do not have 0 rows together"):
            parse(changed, start, size, monkeypatch, few)
