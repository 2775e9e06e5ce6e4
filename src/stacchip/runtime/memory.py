"""Reusable memory for bytes from stores, for decoded blocks, and for batches.

Fresh memory costs 0.8 ms a megabyte (measured on a virtual machine). For a batch of 64 chips that
is as much as copying them costs; for a block it is a sixth of what decoding costs.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict, deque
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# for 4 MB and more, numpy asks for huge pages, which arrive seven times as fast
_SLAB_BYTES = 32 << 20
# a slab takes at most 1/32 of the memory that is kept
_SLABS = 32
_LEAST_STEP = 64
# three batches of 64 chips of 11 bands of 256 px, with their valid pixels
_MOST_BYTES = 512 << 20


def _round_up(size: int) -> int:
    """Round up to one of eight sizes between powers of two: similar sizes then share memory."""
    step = max(_LEAST_STEP, 1 << max(0, (size - 1).bit_length() - 4))
    return max(1, -(-size // step)) * step


class MemoryPool:
    """Buffers of a few sizes, which come back when they are no longer needed.

    The pool holds no lock: buffers come back from finalizers, which may run at any moment.

    Args:
        most_bytes: The memory to keep for later. The pool hands out more if more is needed at once.
        slab_bytes: Small buffers are made several at once, in slabs of this size; 0 makes each one
            by itself, which takes less memory if few are needed.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES, slab_bytes: int = _SLAB_BYTES) -> None:
        self._most_bytes = most_bytes
        self._slab_bytes = min(slab_bytes, most_bytes // _SLABS)
        self._idle: dict[int, deque[NDArray[np.uint8]]] = {}
        self._slabs: dict[int, weakref.ref[NDArray[np.uint8]]] = {}
        self._number = count()
        self._used: dict[int, int] = {}  # when a buffer of each size was last taken

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return a buffer of `size` bytes or slightly more; its content is undefined."""
        size = _round_up(size)
        self._used[size] = next(self._number)
        try:
            return self._idle[size].pop()
        except LookupError:
            pass
        pieces = max(1, self._slab_bytes // size)
        self._make_room(pieces * size)
        slab = np.empty(pieces * size, np.uint8)
        self._slabs[next(self._number)] = weakref.ref(slab)
        idle = self._idle.setdefault(size, deque())
        idle.extend(slab[number * size : (number + 1) * size] for number in range(1, pieces))
        return slab[:size]

    def _make_room(self, more: int) -> None:
        """Free idle slabs, the least recently used sizes first, until `more` bytes fit."""
        for size in sorted(self._idle.copy(), key=lambda size: self._used.get(size, 0)):
            if self._held_bytes() + more <= self._most_bytes:
                return
            self._free_slabs(size)

    def _held_bytes(self) -> int:
        """Return the bytes of all slabs, including those whose buffers are all in use."""
        total = 0
        for number, reference in self._slabs.copy().items():  # a copy: other threads change it
            slab = reference()
            if slab is None:
                self._slabs.pop(number, None)
            else:
                total += slab.nbytes
        return total

    def _free_slabs(self, size: int) -> None:
        """Free the slabs of this size that have no buffer in use."""
        idle = self._idle[size]
        by_slab: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)
        with suppress(IndexError):  # one by one: other threads take and give back buffers meanwhile
            while True:
                buffer = idle.pop()
                by_slab[id(buffer.base)].append(buffer)
        for buffers in by_slab.values():
            if len(buffers) * size < buffers[0].base.nbytes:  # type: ignore[union-attr]  # a slab
                idle.extend(buffers)

    def give_back(self, buffer: NDArray[np.uint8]) -> None:
        """Take back an unused buffer."""
        self._idle.setdefault(len(buffer), deque()).append(buffer)

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an unfilled array; its memory comes back when it and all its views are gone."""
        buffer = self.take(math.prod(shape) * dtype.itemsize)
        # all views have this as their base: numpy looks through arrays, not through a memoryview
        owner = np.frombuffer(buffer.data, np.uint8)
        weakref.finalize(owner, self.give_back, buffer).atexit = False
        return owner[: math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
