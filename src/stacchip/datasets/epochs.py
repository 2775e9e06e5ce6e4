"""Epochs: each pass over a dataset is the next epoch, in whatever process it is made.

PyTorch tells the dataset of the parent nothing of a pass that workers make, and the workers of a
loader nothing of each other. Still all of them must take the same epoch, since the epoch decides
which chips each gets. So they share a little memory, in which every process that begins a pass
writes down its epoch.

The parent counts what happens: a loader that creates workers, a pass without workers, and `set`
each draw the next number. All workers of a loader carry the loader's number. So a worker finds the
epoch of the pass before its own without a lock, and whichever worker of a loader is first to begin.

A worker that outlives a pass (`persistent_workers=True`) counts its further passes by itself.
"""

from __future__ import annotations

import itertools
import os
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch.utils.data import get_worker_info

from stacchip.datasets.loader import find_maker_of_workers
from stacchip.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORKERS: Final = 256  # of more, two share a place, which is right unless both are the last of all
_PARENT: Final = _WORKERS
_EPOCH_BITS: Final = 32
_all: weakref.WeakSet[Epochs] = weakref.WeakSet()
_drawn: Final = itertools.count(1)
# the numbers of the loaders' iterators that have created workers
_loaders: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()


class Pass(NamedTuple):
    """A pass over the dataset.

    Attributes:
        epoch: Its epoch.
        is_first: True if no other began since the epoch was set, or a state was loaded.
    """

    epoch: int
    is_first: bool


class Epochs:
    """The epochs of a dataset's passes.

    Copies of a dataset count for themselves, but those in the workers of a loader.

    Args:
        epoch: Epoch of the first pass.

    Example:
        >>> epochs = Epochs(5)
        >>> epochs.begin(), epochs.begin()
        (Pass(epoch=5, is_first=True), Pass(epoch=6, is_first=False))
        >>> epochs.set(3)
        >>> epochs.begin().epoch
        3
    """

    _loader: int = 1  # a worker's: the number of its loader; 1 if it made its dataset itself

    def __init__(self, epoch: int) -> None:
        self._start_counting(epoch)

    def _start_counting(self, epoch: int) -> None:
        # what `set` was told last: its number, the epoch, and whether a state came with it
        self._told = _share(3)
        # passes that began, by worker: the first and the latest of its process; each is a number,
        # and the epoch in the lower bits, so that no process sees the one without the other
        self._first, self._latest = _share(_WORKERS + 1), _share(_WORKERS + 1)
        self._put(0, epoch, with_state=False)
        _all.add(self)

    def _put(self, number: int, epoch: int, *, with_state: bool) -> None:
        self._since, self._epoch = number, epoch
        self._own: int | None = None  # epoch of the latest pass of this process, if it is a worker
        self._resumed: int | None = None
        # through numpy: outside `inference_mode`, PyTorch refuses tensors made inside
        self._told.numpy()[:] = number, epoch, with_state

    def set(self, epoch: int, *, with_state: bool = False) -> None:
        """Let the next pass have this epoch, also in workers that exist.

        Args:
            epoch: The epoch.
            with_state: The pass goes on from a state, which only workers that are created later
                know.
        """
        self._put(next(_drawn), epoch, with_state=with_state)

    def resume(self, epoch: int) -> None:
        """Let the pass that this worker is about to begin have this epoch."""
        self._resumed = epoch
        self._write(epoch)

    def begin(self) -> Pass:
        """Begin a pass.

        Raises:
            UsageError: As for `find_next`.
        """
        found = self.find_next()
        if self._own is not None:
            self._since = int(self._told[0])
        self._resumed = None
        self._write(found.epoch)
        return found

    def find_next(self) -> Pass:
        """Return the pass that begins next in this process.

        Raises:
            UsageError: It should go on from a state that this worker cannot know.
        """
        number = self._number_of_loader()
        if self._resumed is not None:
            return Pass(self._resumed, is_first=True)
        if number is None:
            return self._follow(_passes(self._latest))
        if self._own is None:
            first = _passes(self._first)
            own = first[_numbers(first) == number]
            if len(own):
                epoch = _epoch(own[0])
                return Pass(epoch, is_first=epoch == self._epoch)
            latest = _passes(self._latest)
            return self._follow(latest[_numbers(latest) < number])
        told, epoch, with_state = self._told.tolist()
        if told == self._since:
            return Pass(self._own + 1, is_first=False)
        if with_state:
            raise UsageError(
                "The state was loaded after the loader had created its workers, and cannot reach "
                "them: make another DataLoader of the dataset."
            )
        return Pass(epoch, is_first=False)

    def _follow(self, passes: NDArray[np.int64]) -> Pass:
        """Return the pass after some that began, of which only those since `set` count."""
        latest = int(passes.max(initial=0))
        if latest >> _EPOCH_BITS > self._since:
            return Pass(_epoch(latest) + 1, is_first=False)
        return Pass(self._epoch, is_first=True)

    def _write(self, epoch: int) -> None:
        """Write down that a pass began."""
        worker = get_worker_info()
        place = _PARENT if worker is None else worker.id % _WORKERS
        number = self._number_of_loader()
        word = (next(_drawn) if number is None else number) << _EPOCH_BITS | epoch
        if worker is not None and self._own is None:
            self._first.numpy()[place] = word
        self._latest.numpy()[place] = word
        if worker is not None:
            self._own = epoch

    # --- copies

    def __getstate__(self) -> dict[str, Any]:
        maker = find_maker_of_workers()
        if maker is None:
            return {"_epoch": self.find_next().epoch}
        return {**self.__dict__, "_loader": _number_of(maker)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_told" not in state:
            self._start_counting(self._epoch)

    def follow_fork(self, loader: int | None) -> None:
        """Go on in a forked process: a worker of the loader with this number, or none of any."""
        if loader is None:  # it counts for itself alone
            self._start_counting(self.find_next().epoch)
        else:
            self._loader = loader

    def _number_of_loader(self) -> int | None:
        """Return the number of the loader whose worker this process is; None if it is no worker."""
        return None if get_worker_info() is None else self._loader


def _share(size: int) -> torch.Tensor:
    """Return numbers in shared memory, all 0."""
    make: Any = torch.zeros(size, dtype=torch.int64)
    shared: torch.Tensor = make.share_memory_()
    return shared


def _number_of(maker: object) -> int:
    """Return the number of a loader's iterator, drawn when it creates its first worker."""
    if maker not in _loaders:
        _loaders[maker] = next(_drawn)
    return _loaders[maker]


def _passes(shared: torch.Tensor) -> NDArray[np.int64]:
    """Return the passes that have been written down by now: a copy, since others write on."""
    return shared.numpy().copy()


def _numbers(passes: NDArray[np.int64]) -> NDArray[np.int64]:
    return passes >> _EPOCH_BITS


def _epoch(word: int) -> int:
    return int(word) & ((1 << _EPOCH_BITS) - 1)


def _before_fork() -> None:
    """Let the loader that creates a worker have a number that its further workers see, too."""
    maker = find_maker_of_workers()
    if maker is not None:
        _number_of(maker)


def _after_fork() -> None:
    maker = find_maker_of_workers()
    loader = None if maker is None else _number_of(maker)
    for each in list(_all):
        each.follow_fork(loader)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
