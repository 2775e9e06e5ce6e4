"""Headers in an index: compact, and the same when they come back."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from raster.handmade import strip_tags, strips_of, write_handmade
from raster.pixels import distinct, same_bits
from stacchip.errors import UnsupportedRaster
from stacchip.raster import Header, Window, open_reader, read_header
from stacchip.raster.header import RECORD_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.storage import Storage

ARROW = {int: pa.int64(), str: pa.string(), bytes: pa.binary(), bool: pa.bool_()}


def assert_same_header(one: Header, other: Header) -> None:
    for field in fields(Header):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Header):
            assert_same_header(a, b)
        elif isinstance(a, np.ndarray):
            assert same_bits(a, b), field.name
        else:
            assert type(a) is type(b), field.name
            assert a == b or repr(a) == repr(b), field.name  # NaN


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
