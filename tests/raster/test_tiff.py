"""The file that tifffile sees: each byte fetched once, and bounds on what a header may ask."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from stacchip.raster import tiff
from stacchip.raster.file_bytes import BrokenTiffError, FileBytes
from stacchip.raster.tiff import read_directories, write_image

DATA = bytes(np.random.default_rng(0).integers(0, 256, 300_000, np.uint8))


class Fetches:
    """Gives parts of a file, and notes which."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ranges: list[tuple[int, int]] = []

    def __call__(self, start: int, length: int) -> bytes:
        self.ranges.append((start, length))
        assert 0 <= start <= start + length <= len(self.data)
        return self.data[start : start + length]


def file_of(data: bytes, head: int = 1000) -> tuple[FileBytes, Fetches]:
    fetches = Fetches(data)
    return FileBytes(fetches, len(data), data[:head]), fetches


@given(st.lists(st.tuples(st.integers(0, 310_000), st.integers(0, 9000)), max_size=30))
def test_reads_are_those_of_a_file(steps):
    file, _ = file_of(DATA)
    other = io.BytesIO(DATA)
    for place, length in steps:
        assert file.seek(place) == other.seek(place)
        assert file.read(length) == other.read(length)
        assert file.tell() == other.tell()


@pytest.mark.parametrize("whence", [0, 1, 2])
def test_seeking_counts_from_the_start_the_place_or_the_end(whence):
    file, _ = file_of(DATA)
    file.seek(500)
    assert file.seek(-20 if whence else 20, whence) == (20, 480, 299_980)[whence]


def test_the_head_and_what_was_fetched_are_not_fetched_again():
    file, fetches = file_of(DATA)
    assert bytes(file.take(0, 1000)) == DATA[:1000]
    assert fetches.ranges == []
    assert bytes(file.take(100_000, 10)) == DATA[100_000:100_010]
    assert fetches.ranges == [(100_000, 10 + (32 << 10))]
    assert bytes(file.take(100_005, 32 << 10)) == DATA[100_005 : 100_005 + (32 << 10)]
    assert len(fetches.ranges) == 1


def test_nothing_is_fetched_beyond_the_end():
    file, fetches = file_of(DATA)
    file.take(299_990, 10)
    assert fetches.ranges == [(299_990, 10)]


def test_more_bytes_than_a_header_has_are_refused():
    file, _ = file_of(bytes(20 << 20))
    for _ in range(2):
        file.seek(0)
        file.read(4 << 20)
    file.seek(0)
    with pytest.raises(BrokenTiffError, match="directories are too long"):
        file.read(4 << 20)


def test_more_reads_than_a_header_takes_are_refused_unless_it_has_more_directories():
    file, _ = file_of(DATA)
    for _ in range(500):
        file.seek(0)
        file.read(1)
    with pytest.raises(BrokenTiffError, match="directories are too long"):
        file.read(1)
    file.allow_directory()
    assert file.read(0) == b""


def test_a_header_scattered_over_the_file_is_refused():
    data = bytes(302 * (40 << 10))
    file, fetches = file_of(data)
    for place in range(301):
        file.take(place * (40 << 10), 1)
    with pytest.raises(BrokenTiffError, match="scattered over the file"):
        file.take(301 * (40 << 10), 1)
    assert len(fetches.ranges) == 300


def test_a_short_answer_is_an_error():
    file = FileBytes(lambda start, length: b"ab", 1000, b"")
    with pytest.raises(BrokenTiffError, match="fewer than 5 bytes came back from byte 10 on"):
        file.take(10, 5)


def test_an_error_of_the_store_is_kept():
    def fail(_start: int, _length: int) -> bytes:
        raise ConnectionError("gone")

    file = FileBytes(fail, 1000, b"")
    with pytest.raises(ConnectionError):
        file.take(10, 5)
    assert isinstance(file.failure, ConnectionError)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_an_image_written_here_is_read_by_gdal_and_by_us(byteorder):
    pixels = np.arange(6 * 5, dtype=np.uint16).reshape(5, 6)
    short = f"{byteorder}H"
    tags = [
        (tiff.BITS_PER_SAMPLE, 3, 1, struct.pack(short, 16)),
        (tiff.PHOTOMETRIC, 3, 1, struct.pack(short, 1)),
        (tiff.SAMPLES_PER_PIXEL, 3, 1, struct.pack(short, 1)),
        (tiff.GDAL_NODATA, 2, 6, b"65535\0"),
    ]
    image = write_image(byteorder, (5, 6), tags, pixels.astype(f"{byteorder}u2").tobytes())
    with rasterio.MemoryFile(image) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), pixels)
        assert dataset.nodata == 65535
    directories = read_directories(file_of(image)[0])
    assert directories is not None
    (page,) = directories
    assert page.byteorder == byteorder
    assert (page.integer(tiff.IMAGE_WIDTH), page.integer(tiff.IMAGE_LENGTH)) == (6, 5)
    assert page.raw(tiff.GDAL_NODATA) == b"65535\0"
    assert page.raw_tags([tiff.BITS_PER_SAMPLE, tiff.PREDICTOR]) == (tags[0],)
    assert page.integer(tiff.PREDICTOR, 1) == 1
    assert tiff.PREDICTOR not in page
    with pytest.raises(BrokenTiffError, match="tag 317 is absent"):
        page.integer(tiff.PREDICTOR)
    with pytest.raises(BrokenTiffError, match="tag 42113 is not of an integer type"):
        page.integers(tiff.GDAL_NODATA)
    assert len(page.integers(tiff.PREDICTOR)) == 0


def test_a_tag_given_replaces_one_that_is_made():
    tags = [(tiff.ROWS_PER_STRIP, 4, 1, struct.pack("<I", 3))]
    directories = read_directories(file_of(write_image("<", (5, 6), tags, b"x" * 30))[0])
    assert directories is not None
    assert next(directories).integer(tiff.ROWS_PER_STRIP) == 3


@pytest.mark.parametrize("start", [b"", b"II", b"PK\3\4", b"\x89PNG\r\n", b"II*"])
def test_other_files_are_no_tiffs(start):
    assert read_directories(file_of(start)[0]) is None


def test_a_tiff_whose_first_directory_lies_outside_is_broken():
    directories = read_directories(file_of(b"II*\0" + struct.pack("<I", 5000) + bytes(100))[0])
    assert directories is not None
    with pytest.raises(BrokenTiffError):
        next(directories)
