"""Ctrl-C ends a command within seconds, even if threads are in the middle of a large file.

What they leave is what a killed process leaves: nothing half appears, and the next run clears away
temporary files and unfinished uploads.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended."""
_GRACE_S = 3.0

was_reported = threading.Event()
"""Set once the line that says so is printed."""


@contextmanager
def prompt_interrupts(program: str, grace_s: float = _GRACE_S) -> Iterator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt`, and end the process if that takes longer than a grace.

    A second Ctrl-C ends it at once. The first one may come while Python waits for threads at its
    exit, so the block should be the process's last. Where interrupts are ignored, or handled by
    someone else, nothing is changed.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    is_interrupted = threading.Event()

    def handle(_number: int, _frame: Any) -> None:
        if is_interrupted.is_set():
            _end(program)
        is_interrupted.set()
        threading.Thread(target=_end, args=(program, grace_s), daemon=True).start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if not is_interrupted.is_set():
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(program: str, wait_s: float = 0.0) -> None:
    time.sleep(wait_s)
    if not was_reported.is_set():
        sys.stderr.write(f"{program}: interrupted\n")
    os._exit(INTERRUPTED)
