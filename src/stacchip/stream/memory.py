"""Memory for decoded blocks and for batches: `stacchip.runtime.memory`'s, used again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stacchip.runtime.memory import MemoryPool


class Allocator(Protocol):
    """Where batches get their memory."""

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array, not filled."""


class BlockMemory:
    """The memory of one block: what a codec decodes into (`stacchip.raster.codecs.Memory`)."""

    def __init__(self, pool: MemoryPool) -> None:
        self._pool = pool
        self._buffers: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> memoryview:
        """Writable memory of `size` bytes."""
        self._buffers.append(self._pool.take(size))
        return self._buffers[-1][:size].data

    def release(self) -> None:
        """Give everything back: no array may be a view of it any more."""
        while self._buffers:
            self._pool.give_back(self._buffers.pop())
