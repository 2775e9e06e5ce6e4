"""Batches in shared memory: a worker's chips reach its parent without being copied.

PyTorch would send a tensor through fresh shared memory, and fresh memory is what costs most: 137 ms
for a batch of 64 chips of 11 bands, twice what decoding them takes (measured on a virtual machine).
So a worker keeps the memory of its batches, and fills it again when the parent has let go of it.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FREE, _LENT = 0, 1


class SharedMemory:
    """The batches of one worker: an `Allocator` of `stacchip.stream`, and what sends its arrays."""

    def __init__(self) -> None:
        self._buffers: list[_Buffer] = []

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array, not filled, in memory that nobody uses, neither here nor in the parent."""
        size = math.prod(shape) * dtype.itemsize
        buffer = next((each for each in self._buffers if each.size == size and each.is_free), None)
        if buffer is None:
            buffer = _Buffer.make(size)
            self._buffers.append(buffer)
        owner = _owner_of(buffer.memory)
        buffer.owner = weakref.ref(owner)
        return owner.view(dtype).reshape(shape)

    def lend(self, sample: Any) -> Any:
        """What to put into the queue for a sample: its tensors that lie here as they are."""
        if not isinstance(sample, dict):
            return sample
        places = {buffer.memory.data_ptr(): buffer for buffer in self._buffers}
        return {
            name: _lend(value, places) if isinstance(value, torch.Tensor) else value
            for name, value in sample.items()
        }


@dataclass
class _Buffer:
    """Shared memory, and whether somebody uses it.

    Attributes:
        memory: The bytes.
        state: One number that parent and worker both see: whether the parent has it.
        owner: The array that all of this process's views of it are of.
    """

    memory: torch.Tensor
    state: torch.Tensor
    owner: weakref.ref[NDArray[np.uint8]] | None = None

    @classmethod
    def make(cls, size: int) -> _Buffer:
        """Fresh shared memory."""
        # what PyTorch's own `default_collate` does in a worker: there is no public way
        make: Any = torch.UntypedStorage._new_shared  # noqa: SLF001
        memory, state = (
            torch.empty(0, dtype=torch.uint8).set_(make(each)) for each in (max(size, 1), 1)
        )
        state.fill_(_FREE)
        return cls(memory, state)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.memory)

    @property
    def is_free(self) -> bool:
        """Whether neither this process nor the parent looks at it."""
        is_held = self.owner is not None and self.owner() is not None
        return not is_held and int(self.state[0]) == _FREE


class _Lent:
    """A tensor on its way to the parent, where it is unpickled as a tensor."""

    def __init__(self, tensor: torch.Tensor, buffer: _Buffer) -> None:
        self._tensor = tensor
        self._buffer = buffer
        buffer.state.fill_(_LENT)

    def __reduce__(self) -> tuple[Any, ...]:
        array = self._tensor.numpy()
        return _receive, (self._buffer.memory, self._buffer.state, array.shape, array.dtype.str)


def _lend(tensor: torch.Tensor, places: dict[int, _Buffer]) -> Any:
    """The tensor, or how it is sent where it lies at the beginning of one of these."""
    buffer = places.get(tensor.data_ptr())
    return _Lent(tensor, buffer) if buffer is not None and tensor.is_contiguous() else tensor


def _receive(
    memory: torch.Tensor, state: torch.Tensor, shape: tuple[int, ...], dtype: str
) -> torch.Tensor:
    """A tensor in a worker's memory, which the worker may use when all its views are gone."""
    owner = _owner_of(memory)
    weakref.finalize(owner, state.fill_, _FREE).atexit = False
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return torch.from_numpy(owner[:size].view(dtype).reshape(shape))


def _owner_of(memory: torch.Tensor) -> NDArray[np.uint8]:
    """An array of some memory that every view of it holds on to.

    numpy's views hold on to the first array that is no view itself: this one, since it is made of a
    memoryview. PyTorch's hold on to the array that they were made from.
    """
    return np.frombuffer(memory.numpy().data, np.uint8)
