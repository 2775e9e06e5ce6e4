"""Headers in an index: compact, and the same when they come back."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from raster.handmade import strip_tags, strips_of, write_handmade
from raster.pixels import distinct, same_bits
from stacchip.errors import UnsupportedRaster
from stacchip.raster import Header, Window, open_reader, read_header
from stacchip.raster.block_places import BlockPlaces
from stacchip.raster.header import RECORD_TYPES
from stacchip.storage import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.storage import Storage

ARROW = {int: pa.int64(), str: pa.string(), bytes: pa.binary(), bool: pa.bool_()}


def assert_same_header(one: Header, other: Header) -> None:
    for field in fields(Header):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Header):
            assert_same_header(a, b)
        else:
            assert type(a) is type(b), field.name
            assert a == b or repr(a) == repr(b), field.name  # NaN
    assert same_bits(one.block_offsets, other.block_offsets)
    assert same_bits(one.block_lengths, other.block_lengths)


def through_arrow(record: dict[str, Any]) -> dict[str, Any]:
    schema = pa.schema([(name, ARROW[kind]) for name, kind in RECORD_TYPES.items()])
    return pa.Table.from_pylist([record], schema=schema).to_pylist()[0]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_every_real_header_survives_a_table(shared_data: Path, storage: Storage) -> None:
    count = 0
    for path in sorted(shared_data.rglob("*.[tT][iI][fF]*")):
        try:
            header = read_header(storage, str(path))
        except (OSError, UnsupportedRaster):
            continue
        record = header.to_record()
        assert set(record) == set(RECORD_TYPES)
        again = Header.from_record(through_arrow(record))
        assert_same_header(header, again)
        assert again.geobox == header.geobox
        count += 1
    assert count > 80


def test_a_reader_made_of_a_record_asks_for_blocks_alone(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("int16", (3, 300, 200))
    path = write_tiff(array, tiled=True, blockxsize=64, blockysize=64, compress="lzw", nodata=-7)
    header = Header.from_record(through_arrow(read_header(storage, path).to_record()))
    before = storage.requests
    reader = open_reader(path, storage, header=header)
    assert storage.requests == before
    assert same_bits(reader.read(Window(10, 10, 30, 30)), array[:, 10:40, 10:40])
    assert storage.requests == before + 1


def test_blocks_in_a_row_take_4_bytes_each(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    path = write_tiff(
        distinct("uint8", (1, 1100, 1100)), driver="COG", blocksize=128, compress="deflate"
    )
    record = read_header(storage, path).to_record()
    assert len(record["block_starts"]) == 16
    assert len(record["block_lengths"]) == 4 * 81


def test_uneven_blocks_and_long_lengths_survive(tmp_path: Path, storage: Storage) -> None:
    grey = distinct("uint8", (1, 50, 40))[0]
    more = {"t273": (16, [900, 0, 2**40, 30]), "t279": (16, [2**40, 0, 5, 7]), "t259": (3, 5)}
    tags = strip_tags(grey.shape, 13, **more)
    path = write_handmade(tmp_path / "a.tif", tags, strips_of(grey, 13), is_big=True)
    header = read_header(storage, path)
    assert header.block_lengths.tolist() == [2**40, 0, 5, 7]
    again = Header.from_record(through_arrow(header.to_record()))
    assert_same_header(header, again)


# --- tables of blocks


def header_of(starts: Any, lengths: Any) -> Header:
    """A header of one row of blocks."""
    return Header(
        identity=Identity(10**6, '"etag"', None), shape=(16, 16 * len(starts)), count=1,
        dtype="uint8", nodata=None, fill=0, block_shape=(16, 16), is_planar=False, is_tiled=True,
        compression="none", predictor=1, bits=8, sample_format=1, byteorder="<", fill_order=1,
        places=BlockPlaces.of(np.array(starts, np.uint64), np.array(lengths, np.uint64)),
        crs="EPSG:32629", transform=Affine(10, 0, 0, 0, -10, 0), scales=(0.1,), shifts=(-3.0,),
        alpha=None, validity="all", mask=None, why_unsupported=None,
    )  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**40)), min_size=1, max_size=40))
def test_any_table_of_blocks_survives(spans: list[tuple[int, int]]) -> None:
    header = header_of(*zip(*spans, strict=True))
    again = Header.from_record(through_arrow(header.to_record()))
    assert_same_header(header, again)


@pytest.mark.parametrize("gap", [0, 8, 4096])
def test_blocks_with_equal_gaps_take_sixteen_bytes_for_their_starts(gap: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 10**6, 121)
    starts = 5000 + np.concatenate([[0], np.cumsum(lengths[:-1] + gap)])
    record = header_of(starts, lengths).to_record()
    assert len(record["block_starts"]) == 16
    assert len(record["block_lengths"]) == 4 * 121


def test_one_block_out_of_line_makes_all_starts_explicit() -> None:
    lengths = np.full(121, 1000)
    starts = 5000 + np.arange(121) * 1008
    starts[60] += 1
    record = header_of(starts, lengths).to_record()
    assert len(record["block_starts"]) == 8 * 121
    assert Header.from_record(record).block_offsets.tolist() == starts.tolist()


@pytest.mark.parametrize(("length", "size"), [(2**32 - 1, 4), (2**32, 8)])
def test_lengths_take_four_bytes_if_they_fit(length: int, size: int) -> None:
    record = header_of([0, 2**33], [length, 5]).to_record()
    assert len(record["block_lengths"]) == 2 * size
    assert Header.from_record(record).block_lengths.tolist() == [length, 5]


@pytest.mark.parametrize(
    "value", [None, 0, -9999, 2**64 - 1, -3.4028234663852886e38, float("inf"), 1 + 2j]
)
def test_nodata_and_fill_keep_their_types(value: Any) -> None:
    header = replace(header_of([0], [5]), nodata=value, fill=value or 0)
    again = Header.from_record(through_arrow(header.to_record()))
    assert (again.nodata, type(again.nodata)) == (value, type(value))
    assert (again.fill, type(again.fill)) == (value or 0, type(value or 0))


def test_a_copy_elsewhere_is_known_by_its_size_alone() -> None:
    mask = header_of([0], [5])
    moved = replace(header_of([0], [5]), mask=mask, validity="mask").moved()
    assert moved.identity == Identity(10**6)
    assert moved.mask is not None
    assert moved.mask.identity == Identity(10**6)
    assert moved.crs == "EPSG:32629"


def test_a_header_of_planes_has_blocks_for_each_band() -> None:
    header = replace(header_of([0] * 6, [5] * 6), shape=(20, 40), count=3, bits=12)
    assert header.grid == (2, 3)
    assert (header.planes, header.samples, header.row_bytes) == (1, 3, 72)
    planar = replace(header, is_planar=True)
    assert (planar.planes, planar.samples, planar.row_bytes) == (3, 1, 24)
    assert header.geobox is not None
    assert header.geobox.shape.yx == (20, 40)
    assert replace(header, transform=None).geobox is None


def test_arrays_are_made_when_a_block_is_asked_for() -> None:
    header = Header.from_record(header_of([0, 100], [90, 50]).to_record())
    assert not {"offsets", "lengths"} & vars(header.places).keys()
    assert header.moved().places is header.places
    assert header.block_offsets.tolist() == [0, 100]
    assert header.block_offsets is header.block_offsets
