"""A footer is checked before pyarrow reads it, whoever wrote the file."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from index.tables import make_item, make_table
from parquet.footers import BINARY, I32, I64, LIST, STRUCT, change_footer, column, put, value
from stacchip.errors import IndexFormatError, StacchipError
from stacchip.index import read_index, write_index
from stacchip.index.files.item_records import RECORD_SCHEMA
from stacchip.index.files.item_records_lookup import RecordLookup
from stacchip.index.files.opening import open_parquet
from stacchip.parquet.footer import ParsedFooters, read_footer
from stacchip.storage import Storage
from stacchip.storage.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from pathlib import Path


def footer_of(path: Path):
    data = path.read_bytes()
    read_at = lambda start, length: data[start : start + length]  # noqa: E731
    return read_footer(read_at, len(data), str(path), DEFAULT_LIMITS)


def test_a_footer_says_what_pyarrow_says(tmp_path) -> None:
    table = make_table(chips=(5, 7))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    ours, theirs = footer_of(tmp_path / "a.parquet"), pq.read_metadata(tmp_path / "a.parquet")
    assert ours.rows == 35
    assert [group.rows for group in ours.groups] == [10, 10, 10, 5]
    for number, group in enumerate(ours.groups):
        for position, chunk in enumerate(group.chunks):
            column = theirs.row_group(number).column(position)
            assert b".".join(ours.columns[position].path).decode() == column.path_in_schema
            starts = (column.data_page_offset, column.dictionary_page_offset)
            assert chunk.start == min(each for each in starts if each is not None)
            assert chunk.length == column.total_compressed_size
    assert ours.ends("item_id") == [("item-1", "item-1")] * 4
    assert ours.ends("chip_index_x") == [None] * 4, "it is no text"


def test_statistics_tell_in_how_many_rows_a_column_is_null(tmp_path) -> None:
    table = make_table(chips=(5, 7)).slice(0, 30)
    place = table.schema.get_field_index("crs")
    holes = pa.array([None if row % 4 else "EPSG:4326" for row in range(30)], pa.string())
    table = table.set_column(place, "crs", holes)
    box = pa.array([None, *table["bbox"].to_pylist()[1:]], table["bbox"].type)
    table = table.set_column(table.schema.get_field_index("bbox"), "bbox", box)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    footer = footer_of(tmp_path / "a.parquet")
    assert [footer.nulls(name) for name in ("crs", "bbox", "platform")] == [22, 1, 0]
    assert footer.nulls("shadow_percentage") == 30
    assert footer.nulls("absent") is None
    pq.write_table(table, tmp_path / "b.parquet", write_statistics=["crs"])
    assert [footer_of(tmp_path / "b.parquet").nulls(name) for name in ("crs", "bbox")] == [22, None]


def test_our_files_have_a_seal_and_others_have_none(tmp_path) -> None:
    write_index(make_table(), tmp_path / "index")
    sealed = footer_of(tmp_path / "index/chips.parquet")
    assert sealed.seal is not None
    assert len(sealed.seal) == len(sealed.columns)
    rows = read_index(tmp_path / "index")
    pq.write_table(rows, tmp_path / "b.parquet")
    assert footer_of(tmp_path / "b.parquet").seal is None


def test_a_table_of_endless_columns_is_refused_at_once(tmp_path) -> None:
    names = [f"c{number}" for number in range(10_001)]
    empty = pa.nulls(0, pa.int8())
    pq.write_table(pa.table([empty] * len(names), names), tmp_path / "a.parquet")
    with pytest.raises(IndexFormatError, match="more than 10000 columns"):
        read_index(tmp_path / "a.parquet")


@pytest.mark.parametrize("is_sealed", [True, False])
def test_no_flipped_bit_of_a_footer_ends_the_process(tmp_path, is_sealed) -> None:
    """pyarrow's SIGABRT comes from the facts of columns: every bit of some of them is tried."""
    write_index(make_table(), tmp_path, items=[])
    place = tmp_path / "_items.parquet"
    row = {"platform": "p", "item_id": "a", "item": '{"id": "a"}', "assets": []}
    rows = pa.Table.from_pylist([row], schema=RECORD_SCHEMA)
    if is_sealed:
        write_index(make_table(), tmp_path, items=[make_item("item-1")])
    else:
        pq.write_table(rows, place)
    whole = place.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    child = os.fork()
    if not child:
        signal.alarm(60)
        for position in range(start, min(len(whole) - 8, start + 1200), 3):
            raw = bytearray(whole)
            raw[position] ^= 1 << position % 8
            place.write_bytes(raw)
            try:
                RecordLookup(tmp_path, Storage()).find("p", "a")
            except StacchipError:
                pass
            except BaseException:  # noqa: BLE001 - any other ends the child with 1
                os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (b"PAR1", b"PARE", "not a parquet file"),
        (b"item_id", b"item_ix", "is another one in a row group|is damaged"),
    ],
)
def test_a_footer_that_contradicts_itself_is_refused(tmp_path, was, now, said) -> None:
    pq.write_table(make_table().replace_schema_metadata({}), tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    at = raw.rindex(was)
    (tmp_path / "a.parquet").write_bytes(raw[:at] + now + raw[at + len(was) :])
    with pytest.raises(IndexFormatError, match=said):
        read_index(tmp_path / "a.parquet")


def test_a_footer_is_parsed_once_and_never_taken_for_another(tmp_path) -> None:
    place = tmp_path / "a.parquet"
    pq.write_table(make_table("item-1").replace_schema_metadata({}), place)
    groups = footer_of(place).groups
    assert footer_of(place).groups is groups
    assert footer_of(place).ends("item_id") == [("item-1", "item-1")]
    raw = place.read_bytes()
    at = raw.rindex(b"item-1")
    place.write_bytes(raw[:at] + b"item-0" + raw[at + 6 :])
    assert footer_of(place).groups is not groups, "of the same size, and written in the same second"
    place.write_bytes(raw)
    assert footer_of(place).groups is groups


def test_only_the_last_footers_are_kept(tmp_path) -> None:
    pq.write_table(make_table(), tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    data, other = raw[start:-8], raw[start:-8] + b"\0"
    footers = ParsedFooters(most_bytes=len(data) + len(other) - 1)
    first = footers.parse(data, start, len(raw))
    assert footers.parse(data, start, len(raw)) is first
    footers.parse(other, start, len(raw) + 1)
    assert footers.parse(data, start, len(raw)) is not first
    small = ParsedFooters(most_bytes=len(data) - 1)
    assert small.parse(data, start, len(raw)) is not small.parse(data, start, len(raw))


def test_an_unknown_compression_is_named(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": range(35)}), path, compression="snappy")
    data = path.read_bytes()
    snappy, unknown = b"\x15\x02\x16\x46", b"\x15\x12\x16\x46"  # and the number of values
    assert data.count(snappy) == 1
    path.write_bytes(data.replace(snappy, unknown))
    with pytest.raises(ValueError, match="column 'a' is compressed by an unknown method, 9"):
        footer_of(path)


@pytest.mark.parametrize(
    ("name", "number", "facts"),
    [
        ("datetime", 12, [[5, BINARY, b"1234"], [6, BINARY, b"12345678"]]),
        ("datetime", 12, [[5, BINARY, b""], [6, BINARY, b""]]),
        ("datetime", 16, [[1, I64, 100]]),
        ("datetime", 16, [[3, LIST, [I64, [0, 1, 12]]]]),
        ("datetime", 12, [[6, BINARY, b"12345678"], [5, BINARY, b"1234"]]),
        ("bbox.xmin", 16, [[2, LIST, [I64, [12, 0]]]]),
    ],
)
def test_statistics_of_another_column_do_not_end_the_process(tmp_path, name, number, facts) -> None:
    """pyarrow throws at them where nothing catches."""
    table = make_table().replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    broken = change_footer(raw, lambda fields: put(column(fields, name), number, STRUCT, facts))
    (tmp_path / "a.parquet").write_bytes(broken)
    place = table.schema.get_field_index(name.partition(".")[0])
    conditions = [
        {"datetime": "2024", "bbox": (-180, -90, 180, 90)},
        {"where": pc.field(place).is_valid()},  # by its number
    ]
    child = os.fork()
    if not child:
        signal.alarm(60)
        said = []
        for each in conditions:
            try:
                read_index(tmp_path / "a.parquet", **each)
            except IndexFormatError as error:
                said.append("a.parquet is damaged: " in str(error))
        os._exit(0 if said == [True, True] else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    where = pc.field("chip_index_x") > 0
    rows = read_index(tmp_path / "a.parquet", where=where, columns=["chipid"])
    assert rows["chipid"].equals(table.filter(where)["chipid"]), "other columns are read"


def test_columns_with_shortened_statistics_can_be_filtered(tmp_path) -> None:
    """Writers in Rust cut the ends of long values, also of those of a fixed length."""
    path = tmp_path / "a.parquet"
    hashes = pa.array([bytes([number]) * 100 for number in range(12)], pa.binary(100))
    table = make_table().append_column("hash", hashes).replace_schema_metadata(None)
    pq.write_table(table, path, row_group_size=5)

    def shorten(fields) -> None:
        facts = [[5, BINARY, b"\1" * 64], [6, BINARY, b"\0" * 64], [7, 2, None], [8, 2, None]]
        put(column(fields, "hash"), 12, STRUCT, facts)

    path.write_bytes(change_footer(path.read_bytes(), shorten))
    for each in hashes[2], hashes[11]:
        found = read_index(path, where=pc.field("hash") == each)
        assert found["hash"].to_pylist() == [each.as_py()]
    file = open_parquet(str(path), Storage())
    assert file.count(pc.field("hash") == hashes[2]) == 1
    assert not file.footer.has_fitting_statistics("hash")
    assert file.footer.has_fitting_statistics("item_id")


@pytest.mark.parametrize("kind", [3, I64, LIST, BINARY])
def test_fields_of_another_type_are_refused(tmp_path, kind) -> None:
    """pyarrow skips them, and would read pages from another place than those looked at."""
    new = {3: 4, I64: 4, LIST: [I64, [4]], BINARY: b"abcd"}[kind]
    number = 16 if kind == I64 else 11

    def change(fields) -> None:
        put(column(fields, "chip_index_x"), number, kind, new)

    _require_refusal(tmp_path / "a.parquet", change, "a field is of another type")


def test_lists_in_a_table_of_chips_have_levels_of_their_own(tmp_path) -> None:
    """The sizes of columns in lists are those that their levels ask for."""
    table = make_table()
    nested = pa.array([[[1], [], None], None, []] * 4, pa.list_(pa.list_(pa.int8())))
    pq.write_table(table.append_column("notes", nested), tmp_path / "a.parquet")
    footer = footer_of(tmp_path / "a.parquet")
    assert all(map(footer.has_fitting_statistics, footer.names))
    assert [footer.columns[at][-2:] for at in footer.names["notes"]] == [(2, 5)]
    found = read_index(tmp_path / "a.parquet", where=pc.list_value_length(pc.field("notes")) > 0)
    assert found["notes"].to_pylist() == [[[1], [], None]] * 4


@pytest.mark.parametrize("repetition", [3, 5, 2**31 - 1])
def test_an_unknown_repetition_is_refused(tmp_path, repetition) -> None:
    def change(fields) -> None:
        for element in value(fields, 2)[1]:
            if value(element, 4) == b"chip_index_x":
                put(element, 3, I32, repetition)

    said = f"a column has the unknown repetition {repetition}"
    _require_refusal(tmp_path / "a.parquet", change, said)


@pytest.mark.parametrize("how", [[], [[1, STRUCT, []]], [[2, STRUCT, [[2, BINARY, b"key"]]]]])
def test_encrypted_columns_are_refused(tmp_path, how) -> None:
    def change(fields) -> None:
        put(value(value(fields, 4)[1][0], 1)[1][0], 8, STRUCT, how)

    _require_refusal(tmp_path / "a.parquet", change, "its columns are encrypted")


def _require_refusal(path: Path, change, said: str) -> None:
    """Check that a file with another footer is refused, in a process that it may end."""
    pq.write_table(make_table().replace_schema_metadata(None), path)
    path.write_bytes(change_footer(path.read_bytes(), change))
    child = os.fork()
    if not child:
        signal.alarm(60)
        found = ""
        try:
            read_index(path)
        except IndexFormatError as error:
            found = str(error)
        os._exit(0 if said in found and path.name in found else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
