"""The `DataLoader` that asks a dataset: how many workers it has, and whether it makes batches.

PyTorch tells a dataset neither: it asks for the length and for the iterator without a word about
the loader. So the functions here look at who called. If that is no `DataLoader` but a wrapping
dataset, or a loop of the user, they find nothing. In a forked process, the callers are also those
of the process that forked.

They look at the name of a frame's function before its local variables: until Python 3.13, a frame
whose `f_locals` was read keeps its objects alive, even after the caller's `del`. The methods named
here end before that matters; a training loop does not.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from torch.utils.data import DataLoader, default_collate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# PyTorch's, and torchdata's, whose name begins otherwise
_MAKES_WORKERS: Final = "MultiProcessingDataLoaderIter.__init__"


def find_measuring_loader() -> tuple[DataLoader[Any] | None, bool]:
    """Return the loader whose `len` is being asked, and whether it asks the dataset directly.

    It does not where a wrapping dataset lies between them. Call it from a dataset's `__len__`.
    """
    frame = _caller_of_dataset()
    is_direct = True
    while frame is not None:
        asker = frame.f_locals.get("self") if frame.f_code.co_name == "__len__" else None
        if isinstance(asker, DataLoader):
            return asker, is_direct
        is_direct = False
        frame = frame.f_back
    return None, False


def is_batched_again() -> bool:
    """Return True if a loader will put what the dataset gives into batches by itself.

    A `collate_fn` of the user's own may want that. Call it from a dataset's `__iter__`.
    """
    frame = _caller_of_dataset()
    if frame is None or frame.f_code.co_name != "__init__":
        return False
    fetcher = frame.f_locals.get("self")  # a `_IterableDatasetFetcher`, in the parent or a worker
    collate = getattr(fetcher, "collate_fn", None)
    return collate is default_collate and bool(getattr(fetcher, "auto_collation", False))


def find_maker_of_workers() -> object | None:
    """Return a loader's iterator that is creating a worker, or has forked this process as one."""
    for frame in _frames():
        if frame.f_code.co_qualname.endswith(_MAKES_WORKERS):
            maker: object = frame.f_locals["self"]
            return maker
    return None


def list_callers() -> Iterator[tuple[str, str]]:
    """Yield who called, the nearest first: the module, and the name of the class and method."""
    for frame in _frames():
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_qualname


def _frames() -> Iterator[FrameType]:
    """Yield the frames of the callers, the nearest first."""
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _caller_of_dataset() -> FrameType | None:
    """Return the frame that called the dataset: two above the function of this module."""
    frame = inspect.currentframe()
    for _ in range(3):
        frame = None if frame is None else frame.f_back
    return frame
