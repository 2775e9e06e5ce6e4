"""Claims: who fills which part of a store, so that no two processes read the same files for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Claims"]

_PLACES = 1 << 30


class Claims:
    """Locks on numbers, by the bytes of one file; they end with their process.

    Two numbers may share a byte, and then wait for each other. Where a file cannot be locked, every
    claim succeeds.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def open(self) -> Iterator[OpenClaims]:
        """Give the claims of this process, which are let go of at the end."""
        descriptor = -1
        with contextlib.suppress(OSError):  # the folder may only be read
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            yield OpenClaims(descriptor)
        finally:
            if descriptor >= 0:
                os.close(descriptor)


class OpenClaims:
    """The claims of one process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def take_free(self, numbers: Iterable[int]) -> list[int]:
        """Claim those of some numbers that no other process has, and return them."""
        return [number for number in numbers if self._take(number, fcntl.LOCK_NB)]

    def wait_for(self, number: int) -> None:
        """Claim a number as soon as no other process has it."""
        self._take(number, 0)

    def _take(self, number: int, how: int) -> bool:
        if self._descriptor < 0:
            return True
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | how, 1, number % _PLACES)
        except BlockingIOError:
            return False
        except OSError:  # no locks here
            return True
        return True
