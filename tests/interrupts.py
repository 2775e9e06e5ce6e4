"""Ctrl-C in tests."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def heeding_interrupts() -> Iterator[None]:
    """SIGINT interrupts this process, and those that it starts meanwhile.

    A shell starts what it runs in the background (`make test &`) with SIGINT ignored, and children
    inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
