"""Blocks by themselves: what a scheduler of its own makes of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from raster.pixels import distinct, same_bits
from stacchip.errors import CorruptBlock
from stacchip.raster import Window, read_header
from stacchip.raster.block_requests import BlockAddress
from stacchip.raster.blocks import (
    Block,
    Target,
    block_number,
    block_window,
    blocks_of,
    decode_block,
    paste_block,
)
from stacchip.raster.fetch import start_fetching

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.storage import Storage

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 48, "compress": "zstd", "predictor": 2}


@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_fetched_decoded_and_pasted_one_by_one_make_the_image(
    order: str, interleave: str, write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("int32", (3, 131, 157))
    path = write_tiff(array, endianness=order, interleave=interleave, **TILED)
    header = read_header(storage, path)
    window, bands = Window(20, 10, 100, 140), [2, 0]
    out = np.zeros((2, *window.shape), np.int32)
    kept: dict[Block, Any] = {}
    lock = threading.Lock()

    def keep(address: BlockAddress, data: Any) -> None:
        pixels = decode_block(header, address.block, data, href=address.href)
        with lock:
            kept[address.block] = pixels

    blocks = blocks_of(header, window, bands)
    start_fetching([BlockAddress(storage, path, header, block) for block in blocks], keep).wait()
    assert sorted(kept) == sorted(blocks)
    for block, pixels in kept.items():
        assert pixels.dtype.isnative
        assert pixels.flags.owndata or pixels.base is None
        assert pixels.shape == (header.samples, *block_window(header, block).shape)
        paste_block(header, block, pixels, Target(window, bands, out))
    assert same_bits(out, np.ascontiguousarray(array[bands][(slice(None), *window.slices)]))


def test_blocks_are_numbered_as_in_the_file(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    header = read_header(
        storage, write_tiff(distinct("uint8", (3, 131, 157)), interleave="band", **TILED)
    )
    assert header.grid == (3, 3)
    assert [block_number(header, Block(0, 0, 2)), block_number(header, Block(2, 1, 0))] == [2, 21]
    assert block_window(header, Block(1, 2, 2)) == Window(96, 128, 35, 29)


def test_what_a_handler_raises_reaches_who_waits(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    path = write_tiff(distinct("uint8", (1, 131, 157)), **TILED)
    header = read_header(storage, path)
    addresses = [
        BlockAddress(storage, path, header, block)
        for block in blocks_of(header, Window(0, 0, 131, 157), [0])
    ]

    def refuse(address: BlockAddress, data: Any) -> None:
        decode_block(header, address.block, bytes(data)[:9], href=path)

    with pytest.raises(CorruptBlock, match=r"raster\.tif"):
        start_fetching(addresses, refuse).wait()


def test_cancelled_blocks_are_left_out(write_tiff: Callable[..., str], storage: Storage) -> None:
    path = write_tiff(distinct("uint8", (1, 2000, 30)), blockysize=1, compress="deflate")
    header = read_header(storage, path)
    begun = threading.Event()
    handled: list[Block] = []

    def slow(address: BlockAddress, _data: Any) -> None:
        handled.append(address.block)
        begun.set()
        threading.Event().wait(0.01)

    blocks = blocks_of(header, Window(0, 0, 2000, 30), [0])
    fetching = start_fetching([BlockAddress(storage, path, header, b) for b in blocks], slow)
    assert begun.wait(10)
    fetching.cancel()
    fetching.wait()
    assert len(handled) < 100


def test_sparse_blocks_ask_nothing_of_the_store(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = np.zeros((1, 256, 256), np.uint8)
    path = write_tiff(array, sparse_ok=True, nodata=0, **TILED)
    header = read_header(storage, path)
    before = storage.requests
    found: list[int] = []
    start_fetching(
        [
            BlockAddress(storage, path, header, b)
            for b in blocks_of(header, Window(0, 0, 9, 9), [0])
        ],
        lambda address, data: found.append(len(data)),
    ).wait()
    assert found == [0]
    assert storage.requests == before
