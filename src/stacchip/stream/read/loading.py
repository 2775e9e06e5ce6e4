"""Loading: blocks that are being decoded, and those that are in memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.raster.blocks import Block, decode_block, decode_kept
from stacchip.raster.cache import block_key
from stacchip.raster.fetch import start_fetching
from stacchip.raster.reader import FastReader
from stacchip.stream.plan.ledger import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.raster.block_requests import BlockAddress
    from stacchip.raster.fetch import Fetching
    from stacchip.runtime.memory import MemoryPool
    from stacchip.stream.plan.ledger import LayerBlock
    from stacchip.stream.read.layers import Layer


class BlockMemory:
    """The memory of one block: a codec decodes into it (`stacchip.raster.codecs.Memory`)."""

    def __init__(self, pool: MemoryPool) -> None:
        self._pool = pool
        self._buffers: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> memoryview:
        """Return writable memory of `size` bytes; what was taken before is given back."""
        self.release()
        self._buffers.append(self._pool.take(size))
        return self._buffers[-1][:size].data

    def release(self) -> None:
        """Give everything back; no array may be a view of it any more."""
        while self._buffers:
            self._pool.give_back(self._buffers.pop())


class _Slot:
    """One block: being loaded, in memory, or failed."""

    __slots__ = ("error", "is_dropped", "memory", "pixels", "size_bytes")

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.pixels: NDArray[Any] | None = None
        self.error: BaseException | None = None
        self.memory: BlockMemory | None = None
        self.is_dropped = False


class LoadedBlocks:
    """Decoded blocks of many files, loaded in the background.

    Args:
        pool: Provides the memory that they are decoded into.

    Attributes:
        decoded_blocks: Number of blocks decoded.
        decoded_bytes: Total size of their pixels.
    """

    def __init__(self, pool: MemoryPool) -> None:
        self.decoded_blocks = 0
        self.decoded_bytes = 0
        self._slots: dict[LayerBlock, _Slot] = {}
        self._changed = threading.Condition()
        self._pool = pool
        self._under_way: list[Fetching] = []

    def load(self, blocks: Mapping[LayerBlock, Layer]) -> None:
        """Begin to load blocks."""
        if not blocks:
            return
        slots: dict[int, _Slot] = {}
        addresses: list[BlockAddress] = []
        others: list[Callable[[], None]] = []
        for block, layer in blocks.items():
            slot = self._slots[block] = _Slot(layer.block_bytes(block))
            address = address_of(block, layer)
            if address is None:
                others.append(partial(self._read, slot, block, layer))
            elif (pixels := _find_decoded(address)) is not None:
                slot.pixels = pixels
            else:
                slots[id(address)] = slot
                addresses.append(address)

        def decode(address: BlockAddress, data: Any) -> None:
            self._decode(slots[id(address)], address, data)

        def fail(failed: Sequence[BlockAddress], error: BaseException) -> None:
            for address in failed:
                self._settle(slots[id(address)], error=error)

        def fail_rest(error: BaseException) -> None:
            for block in blocks:
                self._settle(own[block], error=error)

        own = {block: self._slots[block] for block in blocks}
        self._under_way = [fetching for fetching in self._under_way if not fetching.is_done]
        self._under_way.append(
            start_fetching(addresses, decode, *others, on_error=fail, on_failure=fail_rest)
        )

    def _decode(self, slot: _Slot, address: BlockAddress, data: Any) -> None:
        if slot.is_dropped:
            return
        memory = BlockMemory(self._pool)
        header, block, decoded = address.header, address.block, address.caches.decoded
        try:
            if decoded is None:
                pixels = decode_kept(header, block, data, memory, href=address.href)
            else:
                pixels = decode_block(header, block, data, href=address.href)
                decoded.put(block_key(address.href, header, block), pixels)
        except BaseException as error:  # noqa: BLE001 - raised by `get`
            self._settle(slot, error=error)
        else:
            self._settle(slot, pixels, memory=memory)

    def _read(self, slot: _Slot, block: LayerBlock, layer: Layer) -> None:
        """Read a block through GDAL, with its mask as one more band."""
        reader, window = layer.placed.reader, layer.block_window(block)
        try:
            pixels, valid = reader.read(window), reader.read_valid(window)
            both = np.concatenate([pixels, valid[None].astype(pixels.dtype)])
        except BaseException as error:  # noqa: BLE001 - raised by `get`
            self._settle(slot, error=error)
        else:
            self._settle(slot, both)

    def _settle(
        self,
        slot: _Slot,
        pixels: NDArray[Any] | None = None,
        *,
        error: BaseException | None = None,
        memory: BlockMemory | None = None,
    ) -> None:
        with self._changed:
            if slot.pixels is not None or slot.error is not None:
                return  # it was ready before everything failed
            slot.pixels, slot.error, slot.memory = pixels, error, memory
            if pixels is not None:
                self.decoded_blocks += 1
                self.decoded_bytes += slot.size_bytes
            if slot.is_dropped:
                _release(slot)
            self._changed.notify_all()

    def get(self, block: LayerBlock) -> NDArray[Any]:
        """Return the pixels (band, y, x) of a block, once it is decoded.

        Raises:
            RasterError: It is broken.
            StorageError: It could not be fetched.
        """
        slot = self._slots[block]
        if slot.pixels is None:
            with self._changed:
                while slot.pixels is None and slot.error is None:
                    self._changed.wait()
        if slot.pixels is None:
            raise slot.error or RuntimeError(f"{block} has neither pixels nor an error")
        return slot.pixels

    def drop(self, blocks: Iterable[LayerBlock]) -> None:
        """Forget blocks; their pixels must not be used any more."""
        with self._changed:
            for block in blocks:
                slot = self._slots.pop(block)
                slot.is_dropped = True
                _release(slot)

    def close(self) -> None:
        """Cancel loads that have not begun; those that have begun end by themselves."""
        for fetching in self._under_way:
            fetching.cancel()
        self._under_way = []
        with self._changed:
            for slot in self._slots.values():
                slot.is_dropped = True
                _release(slot)
            self._slots = {}


def _find_decoded(address: BlockAddress) -> NDArray[Any] | None:
    """Return the pixels of a block that a cache holds decoded, or None."""
    decoded = address.caches.decoded
    key = block_key(address.href, address.header, address.block)
    return None if decoded is None else decoded.get(key)


def _release(slot: _Slot) -> None:
    """Give back the memory of a dropped block, if it is loaded."""
    if slot.memory is not None:
        slot.pixels = None
        slot.memory.release()
        slot.memory = None


def address_of(block: LayerBlock, layer: Layer) -> BlockAddress | None:
    """Return the address of a block's bytes, or None if GDAL reads it."""
    reader = layer.placed.reader
    if not isinstance(reader, FastReader):
        return None
    header = layer.mask if block.part == MASK else reader.header
    return replace(reader, header=header or reader.header).address(Block(*block[3:]))
