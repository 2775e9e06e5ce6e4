"""Batches in shared memory: a worker's chips reach its parent without being copied.

PyTorch would send a tensor through fresh shared memory, which is expensive: 137 ms for a batch of
64 chips of 11 bands, twice the time of decoding them (measured on a virtual machine). So a worker
keeps the memory of its batches, and fills it again when the parent has released it.

In the worker, the tensors are ordinary ones: a wrapping dataset or a `collate_fn` may do anything
with them. Memory is lent when a tensor is pickled, which is when `multiprocessing` sends it. What
is never sent is never lent, and is free as soon as the worker has dropped it. PyTorch cannot send
this memory itself: to PyTorch it is memory of numpy, which it copies.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.multiprocessing.reductions import reduce_tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_FREE, _LENT = 0, 1


_copy: Callable[[torch.Tensor], tuple[Any, ...]] = reduce_tensor
# the buffers of this process by their address
_buffers: weakref.WeakValueDictionary[int, _Buffer] = weakref.WeakValueDictionary()
_lending = threading.Lock()


class SharedMemory:
    """The memory of one worker's batches: an `Allocator` of `stacchip.stream`."""

    def __init__(self) -> None:
        self._buffers: list[_Buffer] = []

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array, not filled, in memory that neither this process nor the parent uses."""
        size = math.prod(shape) * dtype.itemsize
        buffer = next((each for each in self._buffers if each.size == size and each.is_free), None)
        if buffer is None:
            buffer = _Buffer.make(size)
            self._buffers.append(buffer)
            _buffers[buffer.memory.data_ptr()] = buffer
        owner = _owner_of(buffer.memory)
        buffer.owner = weakref.ref(owner)
        return owner.view(dtype).reshape(shape)


def lend_when_pickled() -> None:
    """Let `multiprocessing` lend the tensors of `SharedMemory` that this process sends.

    All other tensors, and `pickle` itself, stay as PyTorch has them.
    """
    ForkingPickler.register(torch.Tensor, _reduce)


@dataclass(eq=False)
class _Buffer:
    """Shared memory and its users.

    Attributes:
        memory: The bytes.
        state: One number that parent and worker share: `_LENT` while the parent has the memory.
        owner: The array that all views of the memory in this process refer to.
        process: The process that made it, and alone may lend it.
    """

    memory: torch.Tensor
    state: torch.Tensor
    owner: weakref.ref[NDArray[np.uint8]] | None = None
    process: int = field(default_factory=os.getpid)

    @classmethod
    def make(cls, size: int) -> _Buffer:
        """Return fresh shared memory."""
        # as PyTorch's own `default_collate` does in a worker
        make: Any = torch.UntypedStorage._new_shared  # noqa: SLF001 - there is no public way
        memory, state = (
            torch.empty(0, dtype=torch.uint8).set_(make(each)) for each in (max(size, 1), 1)
        )
        state.fill_(_FREE)
        return cls(memory, state)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.memory)

    @property
    def is_lent(self) -> bool:
        """True if the parent uses the memory, or soon will."""
        return int(self.state[0]) == _LENT

    @property
    def is_free(self) -> bool:
        """True if neither this process nor the parent uses the memory."""
        is_held = self.owner is not None and self.owner() is not None
        return not is_held and not self.is_lent


def _reduce(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Return how a receiver makes a tensor: one that lies in a buffer is lent, any other is sent.

    Memory is lent to one receiver at a time, because the first that is done with it gives it back.
    A second tensor in the same memory is copied.
    """
    if not _is_plain(tensor):
        return _copy(tensor)
    tensor = tensor.resolve_conj().resolve_neg()  # PyTorch would lose these flags on the way
    buffer = _buffers.get(tensor.data_ptr()) if tensor.is_contiguous() else None
    if buffer is None or not _borrow(buffer):
        return _copy(tensor)
    return _receive, (buffer.memory, buffer.state, tuple(tensor.shape), tensor.dtype)


def _borrow(buffer: _Buffer) -> bool:
    """Mark a buffer as lent; return False if it is lent already, or belongs to another process."""
    with _lending:  # several threads may pickle
        if buffer.is_lent or buffer.process != os.getpid():
            return False
        _write(buffer.state, _LENT)
        return True


def _is_plain(value: Any) -> bool:
    """Return True for a tensor that bytes, shape, strides and type describe completely."""
    return (
        type(value) is torch.Tensor
        and value.device.type == "cpu"
        and value.layout is torch.strided
        and not (value.requires_grad or value.is_nested or value.is_quantized)
    )


def _receive(
    memory: torch.Tensor, state: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype
) -> torch.Tensor:
    """Return a tensor in a worker's memory; the worker may reuse that once all views are gone."""
    owner = _owner_of(memory)
    weakref.finalize(owner, _give_back, state, os.getpid()).atexit = False
    size = math.prod(shape) * dtype.itemsize
    return torch.from_numpy(owner[:size]).view(dtype).reshape(shape)


def _give_back(state: torch.Tensor, receiver: int) -> None:
    """Mark the memory as free, so that the worker may use it again."""
    if os.getpid() == receiver:  # not in a fork of the receiver, which has the same tensor
        _write(state, _FREE)


def _write(state: torch.Tensor, value: int) -> None:
    """Set a state through numpy: outside `inference_mode`, PyTorch refuses tensors made inside."""
    state.numpy()[0] = value


def _owner_of(memory: torch.Tensor) -> NDArray[np.uint8]:
    """Return an array of some memory that lives as long as any view of it.

    A view in numpy keeps alive the first array below it that is not itself a view. This array is no
    view, because it is made from a memoryview. A tensor of PyTorch keeps the array that it was made
    from.
    """
    return np.frombuffer(memory.numpy().data, np.uint8)
