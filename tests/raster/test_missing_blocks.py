"""What happens when a block is missing: each row of the table in the introduction of `raster`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raster.pixels import distinct
from servers.range_server import RangeServer
from stacchip.errors import AssetChanged, CorruptBlock, ObjectNotFound
from stacchip.raster import Window, open_reader, read_header
from stacchip.raster.block_places import BlockPlaces
from stacchip.raster.blocks import Block, block_number, block_window
from stacchip.raster.cache import Caches, DiskCache
from stacchip.raster.reader import FastReader
from stacchip.storage import Storage

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
LAST = Block(0, 1, 1)


@pytest.fixture
def pixels():
    return distinct("uint16", (1, 128, 128))


@pytest.fixture
def path(write_tiff, pixels) -> Path:
    return Path(write_tiff(pixels, nodata=7, **TILED))


def last_block(path: Path, storage: Storage) -> tuple[FastReader, Window, int, int]:
    """The file's reader, and of its last block the window, the first byte and the length."""
    header = read_header(storage, str(path))
    number = block_number(header, LAST)
    start, length = int(header.block_offsets[number]), int(header.block_lengths[number])
    return FastReader(str(path), storage, header), block_window(header, LAST), start, length


def test_a_sparse_block_is_filled_and_asks_nothing(path, storage):
    reader, window, _, _ = last_block(path, storage)
    lengths = reader.header.block_lengths.copy()
    lengths[block_number(reader.header, LAST)] = 0
    places = BlockPlaces.of(reader.header.block_offsets, lengths)
    sparse = FastReader(str(path), storage, replace(reader.header, places=places))
    before = storage.requests
    found = sparse.read(window)
    assert (found == sparse.header.fill).all()
    assert not sparse.read_valid(window).any()
    assert storage.requests == before


def test_a_sparse_block_of_a_file_is_what_rasterio_reads(write_tiff, storage, pixels):
    pixels[:, 64:] = 0
    path = write_tiff(pixels, sparse_ok=True, **TILED)
    header = read_header(storage, path)
    assert (header.block_lengths == 0).sum() == 2
    np.testing.assert_array_equal(open_reader(path, storage).read(Window(0, 0, 128, 128)), pixels)


def test_a_block_beyond_the_end_of_the_file_is_named_before_any_request(path, storage):
    _, window, start, length = last_block(path, storage)
    path.write_bytes(path.read_bytes()[: start + length // 2])
    with RangeServer(path.parent) as server:
        reader = open_reader(server.url(path.name), Storage())
        server.reset_counters()
        with pytest.raises(CorruptBlock, match=r"it is cut off\. Fetch it again") as caught:
            reader.read(window)
        assert server.requests == 0
        assert caught.value.facts["block"] == (0, 1, 1)
        reader.read(Window(0, 0, 64, 64))  # its other blocks are sound


def test_a_file_that_went_away_is_not_found(path):
    with RangeServer(path.parent) as server:
        reader = open_reader(server.url(path.name), Storage())
        path.unlink()
        with pytest.raises(ObjectNotFound):
            reader.read(Window(0, 0, 64, 64))


def test_a_file_of_another_version_has_changed(path):
    with RangeServer(path.parent) as server:
        reader = open_reader(server.url(path.name), Storage())
        path.write_bytes(path.read_bytes() + b"more")
        with pytest.raises(AssetChanged):
            reader.read(Window(0, 0, 64, 64))


def test_a_block_that_cannot_be_decoded_is_named(path, storage):
    _, window, start, length = last_block(path, storage)
    data = bytearray(path.read_bytes())
    data[start : start + length] = bytes(length)
    path.write_bytes(data)
    again = open_reader(str(path), storage)
    with pytest.raises(CorruptBlock, match=r"Block \(0, 1, 1\) .* cannot be decoded") as caught:
        again.read(window)
    assert caught.value.facts["block"] == (0, 1, 1)
    assert again.read(Window(0, 0, 64, 64)).shape == (1, 64, 64)


def test_a_block_that_is_damaged_in_the_cache_is_fetched_again(path, tmp_path, pixels):
    caches = Caches(encoded=DiskCache(tmp_path / "cache", 1 << 24))
    window = Window(64, 64, 64, 64)
    with RangeServer(path.parent) as server:
        reader = open_reader(server.url(path.name), Storage(), caches=caches)
        for expected_requests in (1, 0):
            server.reset_counters()
            np.testing.assert_array_equal(reader.read(window), pixels[:, 64:, 64:])
            assert server.requests == expected_requests
        for file in (tmp_path / "cache").glob("*/*"):
            file.write_bytes(b"damaged")
        server.reset_counters()
        np.testing.assert_array_equal(reader.read(window), pixels[:, 64:, 64:])
        assert server.requests == 1
