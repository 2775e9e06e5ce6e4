"""Allowances: how many bytes large blocks may take at once, whatever the number of threads.

A file from outside chooses the size of its blocks. Each may be as large as `Limits.block_bytes`,
but as many of them at once as there are threads could take more memory than there is.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from stacchip.runtime.per_process import PerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_MOST_BYTES: Final = 256 << 20
_FREE: Final = nullcontext()

LARGE_BLOCK: Final = 32 << 20
"""Bytes of a decoded block from which on it needs an allowance: 1024 px of 32 bytes."""


class Allowance:
    """Bytes that threads may take together; one that finds too few left waits.

    A thread that asks for more than there are at all gets them once no other thread has any.

    Args:
        most_bytes: The bytes that may be taken.

    Example:
        >>> allowance = Allowance(100)
        >>> with allowance.hold(70):
        ...     allowance.held_bytes
        70
        >>> allowance.held_bytes
        0
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self.held_bytes = 0

    def take(self, size: int) -> None:
        """Take `size` bytes, as soon as others have given back enough."""
        with self._changed:
            while self.held_bytes and self.held_bytes + size > self._most_bytes:
                self._changed.wait()
            self.held_bytes += size

    def give_back(self, size: int) -> None:
        """Give back bytes that were taken, by any thread."""
        with self._changed:
            self.held_bytes -= size
            self._changed.notify_all()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold `size` bytes for the duration of a `with` block."""
        self.take(size)
        try:
            yield
        finally:
            self.give_back(size)


_decoded = PerProcess(Allowance)
_encoded = PerProcess(Allowance)


def for_decoding(size: int) -> AbstractContextManager[None]:
    """Return a context in which a block of `size` decoded bytes may be decoded.

    Example:
        >>> with for_decoding(1 << 20):  # a small block waits for nothing
        ...     pass
    """
    return _FREE if size <= LARGE_BLOCK else _decoded.get().hold(size)


def for_fetching() -> Allowance:
    """Return the bytes that large blocks may take between their fetch and their decoding."""
    return _encoded.get()
