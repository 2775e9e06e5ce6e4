"""Batches in shared memory: a worker's chips reach its parent without being copied.

PyTorch would send a tensor through fresh shared memory, and fresh memory is what costs most: 137 ms
for a batch of 64 chips of 11 bands, twice what decoding them takes (measured on a virtual machine).
So a worker keeps the memory of its batches, and fills it again when the parent has let go of it.
"""

from __future__ import annotations

import math
import os
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
        """What to put into the queue for a sample: its tensors that lie here as they are.

        Memory is lent to one receiver at a time, since the first that is done with it gives it
        back: a second tensor that lies there, in this sample or a later one, is copied.
        """
        if not isinstance(sample, dict):
            return sample
        places = {each.memory.data_ptr(): each for each in self._buffers if not each.is_lent}
        return {name: _lend(value, places) for name, value in sample.items()}


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
    def is_lent(self) -> bool:
        """Whether the parent looks at it, or is about to."""
        return int(self.state[0]) == _LENT

    @property
    def is_free(self) -> bool:
        """Whether neither this process nor the parent looks at it."""
        is_held = self.owner is not None and self.owner() is not None
        return not is_held and not self.is_lent


class _Lent:
    """A tensor on its way to the parent, where it is unpickled as a tensor."""

    def __init__(self, tensor: torch.Tensor, buffer: _Buffer) -> None:
        self._facts = (buffer.memory, buffer.state, tuple(tensor.shape), tensor.dtype)
        _write(buffer.state, _LENT)

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, self._facts


def _lend(value: Any, places: dict[int, _Buffer]) -> Any:
    """The value, or how it is sent: as what lies at the beginning of one of these places."""
    if not _is_plain(value):
        return value
    value = value.resolve_conj().resolve_neg()  # which PyTorch would forget on the way
    buffer = places.pop(value.data_ptr(), None) if value.is_contiguous() else None
    return value if buffer is None else _Lent(value, buffer)


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor that its bytes, shape, strides and type tell all about."""
    return (
        type(value) is torch.Tensor
        and value.layout is torch.strided
        and not (value.requires_grad or value.is_nested or value.is_quantized)
    )


def _receive(
    memory: torch.Tensor, state: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype
) -> torch.Tensor:
    """A tensor in a worker's memory, which the worker may use when all its views are gone."""
    owner = _owner_of(memory)
    weakref.finalize(owner, _give_back, state, os.getpid()).atexit = False
    size = math.prod(shape) * dtype.itemsize
    return torch.from_numpy(owner[:size]).view(dtype).reshape(shape)


def _give_back(state: torch.Tensor, receiver: int) -> None:
    """Tell the worker that the process that received its memory is done with it."""
    if os.getpid() == receiver:  # and not a fork of it, which has the same tensor
        _write(state, _FREE)


def _write(state: torch.Tensor, value: int) -> None:
    """Set a state, also where PyTorch would not: what `inference_mode` made, and outside of it."""
    state.numpy()[0] = value


def _owner_of(memory: torch.Tensor) -> NDArray[np.uint8]:
    """An array of some memory that every view of it holds on to.

    numpy's views hold on to the first array that is no view itself: this one, since it is made of a
    memoryview. PyTorch's hold on to the array that they were made from.
    """
    return np.frombuffer(memory.numpy().data, np.uint8)
