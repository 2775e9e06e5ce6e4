"""Batches in shared memory: a worker's chips reach its parent without being copied.

PyTorch would send a tensor through fresh shared memory, which is expensive: 137 ms for a batch of
64 chips of 11 bands, twice the time of decoding them (measured on a virtual machine). So a worker
keeps the memory of its batches, and fills it again when the parent has released it.

In the worker, the tensors are ordinary ones: a wrapping dataset or a `collate_fn` may do anything
with them. Memory is lent when a tensor is pickled, which is when `multiprocessing` sends it. What
is never sent is never lent, and is free as soon as the worker has dropped it. PyTorch cannot send
this memory itself: to PyTorch it is memory of numpy, which it copies.

In the parent, a tensor is one in shared memory, as PyTorch's own loader gives it, so nothing moves
its pixels. The memory goes back to the worker when the tensor's storage is gone, which lives as
long as any view, also one of numpy. If another process may see the pixels, because the tensor is
sent on or the parent forks, the memory does not go back: the worker lets go of it, and takes fresh
memory.

A worker also lets go of memory that lay free for its last 128 arrays, so that a pass that gathers
many batches does not keep all that it took.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from torch.multiprocessing import get_sharing_strategy
from torch.multiprocessing.reductions import reduce_storage, reduce_tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_FREE, _LENT, _KEPT = 0, 1, 2
_LONG: Final = 128  # arrays; a batch takes two to four


_copy: Callable[[torch.Tensor], tuple[Any, ...]] = reduce_tensor
_send_storage: Callable[[torch.UntypedStorage], tuple[Any, ...]] = reduce_storage
_sharing_strategy: Callable[[], str] = get_sharing_strategy
# the buffers of this process by their address
_buffers: weakref.WeakValueDictionary[int, _Buffer] = weakref.WeakValueDictionary()
_lending = threading.Lock()
# the storages that this process has received, by their address, each with what gives it back
_received: dict[int, weakref.finalize[..., Any]] = {}


class SharedMemory:
    """The memory of one worker's batches: an `Allocator` of `stacchip.stream`."""

    def __init__(self) -> None:
        self._buffers: list[_Buffer] = []
        self._arrays = 0

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array, not filled, in memory that neither this process nor the parent uses."""
        size = math.prod(shape) * dtype.itemsize
        self._arrays += 1
        self._let_go()
        # the first that fits: what is not needed lies free until it is let go
        buffer = next((each for each in self._buffers if each.size == size and each.is_free), None)
        if buffer is None:
            buffer = _Buffer.make(size)
            self._buffers.append(buffer)
            _buffers[buffer.memory.data_ptr()] = buffer
        buffer.last_use = self._arrays
        owner = _owner_of(buffer.memory)
        buffer.owner = weakref.ref(owner)
        return owner.view(dtype).reshape(shape)

    def _let_go(self) -> None:
        """Let go of memory that the parent keeps for good, or that nobody has used for long."""
        for buffer in self._buffers:
            if not buffer.is_free:
                buffer.last_use = self._arrays
        self._buffers = [
            each
            for each in self._buffers
            if not each.is_kept and self._arrays - each.last_use <= _LONG
        ]


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
        state: One number that parent and worker share: `_LENT` while the parent has the memory,
            `_KEPT` if it does not give it back.
        owner: The array that all views of the memory in this process refer to.
        process: The process that made it, and alone may lend it.
        last_use: Number of the worker's array for which it was last in use.
    """

    memory: torch.Tensor
    state: torch.Tensor
    owner: weakref.ref[NDArray[np.uint8]] | None = None
    process: int = field(default_factory=os.getpid)
    last_use: int = 0

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
    def is_kept(self) -> bool:
        """True if the parent will not give the memory back."""
        return int(self.state[0]) == _KEPT

    @property
    def is_free(self) -> bool:
        """True if neither this process nor the parent uses the memory."""
        is_held = self.owner is not None and self.owner() is not None
        return not is_held and int(self.state[0]) == _FREE


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
        if int(buffer.state[0]) != _FREE or buffer.process != os.getpid():
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
    """Return a tensor in a worker's memory; the worker may reuse that once all views are gone.

    PyTorch keeps the Python object of a storage for as long as the storage itself is in use: by a
    tensor, by a view of one, or by an array of numpy, which holds its tensor.
    """
    storage = memory.untyped_storage()
    if storage.data_ptr() in _buffers:  # this process has lent it to itself
        storage = _map_again(storage)
    ForkingPickler.register(torch.UntypedStorage, _keep_and_send)
    giving = weakref.finalize(storage, _give_back, state, storage.data_ptr())
    giving.atexit = False
    _received[storage.data_ptr()] = giving
    tensor: Any = torch.empty(0, dtype=dtype)
    return cast("torch.Tensor", tensor.set_(storage, 0, shape))


def _map_again(storage: Any) -> torch.UntypedStorage:
    """Return another storage of the same shared memory, with a life of its own."""
    kind: Any = torch.UntypedStorage
    if _sharing_strategy() == "file_system":
        again = kind._new_shared_filename_cpu(*storage._share_filename_cpu_())  # noqa: SLF001 - as PyTorch does
    else:
        again = kind._new_shared_fd_cpu(*storage._share_fd_cpu_())  # noqa: SLF001 - as PyTorch does
    return cast("torch.UntypedStorage", again)


def _give_back(state: torch.Tensor, address: int) -> None:
    """Mark the memory as free, so that the worker may use it again."""
    _received.pop(address, None)
    _write(state, _FREE)


def _keep(address: int) -> None:
    """Never give received memory back, because another process may have it, too.

    It is freed when the last process is done with it, as any that PyTorch shares.
    """
    giving = _received.pop(address, None)
    given = None if giving is None else giving.detach()
    if given is not None:
        _write(given[2][0], _KEPT)


def _keep_all() -> None:
    """Never give back what this process holds: it is about to fork, and the child has it, too."""
    for address in list(_received):
        _keep(address)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_keep_all)


def _keep_and_send(storage: torch.UntypedStorage) -> Any:
    """Return how another process makes a storage, which all tensors are sent with."""
    _keep(storage.data_ptr())
    return _send_storage(storage)


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
