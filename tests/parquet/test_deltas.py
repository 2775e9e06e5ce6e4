"""Texts stored as differences: sound ones are read, and those that stand for gigabytes are not."""

from __future__ import annotations

from io import BytesIO
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stacchip.errors import IndexFormatError, LimitExceeded
from stacchip.index.files.opening import open_parquet
from stacchip.parquet.batches import iterate_batches
from stacchip.parquet.deltas import check_lengths, repeated_bytes
from stacchip.parquet.footer import read_footer
from stacchip.parquet.pages import delta_bytes, iterate_pages
from stacchip.storage import Limits, Storage, StorageOptions

LENGTHS, BYTES = "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"


def write(column: pa.Array, encoding: str = BYTES, *, nullable: bool = True, **options) -> bytes:
    name = "a.list.element" if pa.types.is_list(column.type) else "a"
    schema = pa.schema([pa.field("a", column.type, nullable=nullable)])
    file = BytesIO()
    pq.write_table(
        pa.table([column], schema=schema), file, use_dictionary=False,
        column_encoding={name: encoding}, **options,
    )  # fmt: skip
    return file.getvalue()


def repeated(data: bytes) -> int:
    """Return what the texts of the only column share with those before, as the pages tell it."""

    def read_at(start: int, length: int) -> bytes:
        return data[start : start + length]

    footer = read_footer(read_at, len(data), "a.parquet", Limits())
    return sum(
        delta_bytes(read_at, page, group.chunks[0], footer.columns[0])[0]
        for group in footer.groups
        for page in iterate_pages(read_at, group.chunks[0])
    )


def shared(texts: list[str | None]) -> int:
    last, total = "", 0
    for text in texts:
        if text is not None:
            same = (n for n, (a, b) in enumerate(zip(text, last, strict=False)) if a != b)
            total += next(same, min(len(text), len(last)))
            last = text
    return total


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("form", ["required", "optional", "list"])
def test_what_texts_share_is_counted_exactly(compression, version, form) -> None:
    dice = Random(f"{compression}{version}{form}")
    makers = (
        lambda n: f"item-{n:08d}",
        lambda _: "x" * dice.randrange(300),
        lambda _: "",
        lambda n: None if form == "optional" else str(n),
    )
    for count in (1, 2, 33, 129, 3000):
        texts = [dice.choice(makers)(n) for n in range(count)]
        column = pa.array(texts, pa.string())
        if form == "list":
            column = pa.array(
                [texts[at : at + 3] for at in range(0, count, 3)], pa.list_(pa.string())
            )
        options = {"data_page_version": version, "compression": compression}
        data = write(column, nullable=form != "required", **options)
        assert repeated(data) == shared(texts)
        assert repeated(write(column, LENGTHS, nullable=form != "required", **options)) == 0


@pytest.mark.parametrize("encoding", [LENGTHS, BYTES])
def test_a_sound_file_of_differences_is_read(tmp_path, encoding) -> None:
    """By what a text might repeat, these 200,000 would take gigabytes."""
    texts = pa.array([f"S2A_MSIL2A_20240101_T20HNJ_{number:08d}" for number in range(200_000)])
    (tmp_path / "a.parquet").write_bytes(write(texts, encoding))
    file = open_parquet(str(tmp_path / "a.parquet"), Storage())
    assert file.read()["a"].combine_chunks().equals(texts)
    with (tmp_path / "a.parquet").open("rb") as opened:
        batches = list(iterate_batches(opened, "a.parquet", Limits(), rows=10_000))
    assert pa.Table.from_batches(batches)["a"].combine_chunks().equals(texts)


def test_one_long_text_again_and_again_is_refused(tmp_path) -> None:
    data = write(pa.repeat("x" * 2000, 20_000), compression="zstd")
    assert len(data) < 20_000
    (tmp_path / "a.parquet").write_bytes(data)
    assert open_parquet(str(tmp_path / "a.parquet"), Storage()).read().num_rows == 20_000
    limits = Limits(table_bytes=20 << 20)
    low = Storage(options=StorageOptions(limits=limits))
    with pytest.raises(LimitExceeded):
        open_parquet(str(tmp_path / "a.parquet"), low).read()
    with pytest.raises(LimitExceeded):
        list(iterate_batches(BytesIO(data), "a.parquet", limits, rows=20_000))


@pytest.mark.parametrize(
    ("encoding", "stream"),
    [(BYTES, 0), (BYTES, 1), (LENGTHS, 0)],
)
def test_more_lengths_than_texts_are_refused(tmp_path, encoding, stream) -> None:
    """pyarrow takes memory for as many as a page says: up to 8 GB."""
    data = write(
        pa.array([str(number) for number in range(10_000)]), encoding,
        compression="none", write_page_checksum=False,
    )  # fmt: skip
    head = bytes([128, 1, 4, 0x90, 0x4E])  # blocks of 128 values, in 4 parts; 10,000 values
    assert data.count(head) == (2 if encoding == BYTES else 1)
    at = data.index(head) if not stream else data.rindex(head)
    (tmp_path / "a.parquet").write_bytes(
        data[:at] + bytes([128, 1, 4, 0xFF, 0x7F]) + data[at + 5 :]
    )
    with pytest.raises(IndexFormatError, match="16383 lengths for 10000 texts"):
        open_parquet(str(tmp_path / "a.parquet"), Storage()).read()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes([128, 1, 4, 3, 0]),  # a block is missing
        bytes([128, 1, 4, 3, 0, 6, 40, 0, 0, 0]),  # differences of 40 bits
        bytes([128, 1, 4, 3, 0, 6, 8, 0, 0, 0]),  # they end early
        bytes([128, 1, 4, 3, 1]),  # a first length below 0
        bytes([128, 1, 4, 3, 0, 5, 0, 0, 0, 0]),  # the next ones
        bytes([0, 4, 3, 0]),
        bytes([128, 1, 0, 3, 0]),
        bytes([128, 1, 3, 3, 0]),
        bytes([128, 128, 128, 128, 8, 1, 3, 0]),  # in blocks of 2 GB
    ],
)
def test_broken_lengths_are_refused(data) -> None:
    with pytest.raises((ValueError, IndexError)):
        repeated_bytes(data, 3)


RUNS, PACKED = 6, 8  # how levels are encoded, as a header stores it


@pytest.mark.parametrize("encoding", [LENGTHS, BYTES])
@pytest.mark.parametrize(
    ("form", "definition", "repetition", "is_read"),
    [
        ("required", RUNS, RUNS, True),
        ("required", PACKED, PACKED, True),
        ("optional", RUNS, PACKED, True),
        ("optional", PACKED, RUNS, False),
        ("list", RUNS, PACKED, False),
        ("list", PACKED, RUNS, False),
    ],
)
def test_levels_that_a_column_lacks_may_have_an_old_encoding(
    tmp_path, encoding, form, definition, repetition, is_read
) -> None:
    """parquet-mr says BIT_PACKED of them."""
    column = pa.array(["abc", "abcdef", "abcdefghi"])
    if form == "list":
        column = pa.array([column.to_pylist()], pa.list_(pa.string()))
    data = write(column, encoding, nullable=form != "required", write_page_checksum=False)
    said = bytes([0x15, 14 if encoding == BYTES else 12, 0x15])
    header = said + bytes([RUNS, 0x15, RUNS])
    assert data.count(header) == 1
    changed = data.replace(header, said + bytes([definition, 0x15, repetition]))
    (tmp_path / "a.parquet").write_bytes(changed)
    file = open_parquet(str(tmp_path / "a.parquet"), Storage())
    if is_read:
        assert file.read()["a"].combine_chunks().equals(column)
        assert repeated(changed) == (9 if encoding == BYTES else 0)
    else:
        with pytest.raises(IndexFormatError, match="levels of an old encoding"):
            file.read()


def test_widths_of_miniblocks_without_values_may_be_any(tmp_path) -> None:
    """The format lets writers leave anything there (Apache Parquet's Encodings.md)."""
    texts = pa.array(["abc", "abcdef", "abcdefghi"])
    data = write(texts, compression="none")
    head = bytes([128, 1, 4, 3, 0, 6])  # blocks of 4 miniblocks, 3 lengths: 0, then 3 more of each
    assert data.count(head + bytes(4)) == 1
    odd = data.replace(head + bytes(4), head + bytes([0, 200, 33, 255]))
    assert repeated(odd) == 9
    (tmp_path / "a.parquet").write_bytes(odd)
    file = open_parquet(str(tmp_path / "a.parquet"), Storage())
    assert file.read()["a"].combine_chunks().equals(texts)


@pytest.mark.parametrize(
    ("lengths", "used"), [(2, 1), (33, 1), (34, 2), (65, 2), (97, 3), (98, 4), (127, 4)]
)
@pytest.mark.parametrize("place", range(4))
def test_widths_of_miniblocks_with_a_value_are_checked(lengths, used, place) -> None:
    """The first length is in the head, and each miniblock has 32."""
    head = bytes([128, 1, 4, lengths, 0])
    widths = bytearray(4)
    widths[place] = 33
    data = head + bytes([0, *widths]) + head + bytes(1000)
    if place >= used:
        assert repeated_bytes(data, lengths) == 0
    else:
        with pytest.raises(ValueError, match="lengths of texts are broken"):
            repeated_bytes(data, lengths)


def test_only_the_number_of_lengths_matters_if_nothing_is_repeated() -> None:
    check_lengths(bytes([128, 1, 4, 3, 0]), 3)
    with pytest.raises(ValueError, match="3 lengths for 2 texts"):
        check_lengths(bytes([128, 1, 4, 3, 0]), 2)
