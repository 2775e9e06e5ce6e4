"""JPEG streams: the size that they say they have, and blocks of another."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pytest
import rasterio

from raster.handmade import strip_tags, write_handmade
from stacchip.errors import CorruptBlock
from stacchip.raster import Window, open_reader
from stacchip.raster.gdal.jpeg import Frame, frame_of

if TYPE_CHECKING:
    from pathlib import Path

    from stacchip.storage import Storage

GREY = (np.arange(48 * 32) % 251).astype(np.uint8).reshape(48, 32)
STREAM = bytes(imagecodecs.jpeg8_encode(GREY))


def test_a_frame_says_bits_height_width_and_bands() -> None:
    assert frame_of(STREAM) == Frame(8, 48, 32, 1)
    rgb = np.zeros((7, 9, 3), np.uint8)
    assert frame_of(memoryview(imagecodecs.jpeg8_encode(rgb))) == Frame(8, 7, 9, 3)


def test_markers_before_the_frame_are_passed_over() -> None:
    comment = b"\xff\xfe" + struct.pack(">H", 300) + b"\xff\xc0" * 149
    assert frame_of(STREAM[:2] + b"\xff\xff" + comment + b"\xff\x01" + STREAM[2:]) == (8, 48, 32, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", STREAM[1:],
        b"\xff\xd8\xff\xc0\0\x11\x08\0", STREAM[:2] + b"\0" + STREAM[2:], b"\xff" * 100_000,
        b"\xff\xd8" + b"\xff\xd0" * 100_000, STREAM[:2] + b"\xff\xda\0\2" + STREAM[2:],
    ],
)  # fmt: skip
def test_a_stream_without_a_frame_says_nothing(data: bytes) -> None:
    assert frame_of(data) is None


@pytest.mark.parametrize("shape", [(48, 33), (48, 31), (49, 32), (96, 64), (47, 32)])
def test_a_stream_of_another_size_than_its_block_is_an_error(
    shape: tuple[int, int], tmp_path: Path, storage: Storage
) -> None:
    """GDAL leaves the rest of the block as the memory was: pixels of other files."""
    tags = strip_tags(shape, shape[0], compression=7)
    path = write_handmade(tmp_path / "a.tif", tags, [STREAM])
    with pytest.raises(CorruptBlock, match=r"JPEG stream has 48 x 32 px, the block \d+ x \d+"):
        open_reader(path, storage).read(Window(0, 0, *shape))


def test_a_last_strip_that_is_stored_whole_is_read(tmp_path: Path, storage: Storage) -> None:
    tags = strip_tags((90, 32), 48, compression=7)
    path = write_handmade(tmp_path / "a.tif", tags, [STREAM, STREAM])
    with rasterio.open(path) as dataset:
        expected = dataset.read()
    found = open_reader(path, storage).read(Window(0, 0, 90, 32))
    np.testing.assert_array_equal(found, expected)


def test_a_strip_that_is_too_short_is_an_error(tmp_path: Path, storage: Storage) -> None:
    short = bytes(imagecodecs.jpeg8_encode(GREY[:20]))
    path = write_handmade(
        tmp_path / "a.tif", strip_tags((96, 32), 48, compression=7), [STREAM, short]
    )
    reader = open_reader(path, storage)
    assert reader.read(Window(0, 0, 48, 32)).shape == (1, 48, 32)
    with pytest.raises(CorruptBlock, match="20 x 32 px, the block 48 x 32"):
        reader.read(Window(48, 0, 48, 32))
