"""A deadline for calls that take none, such as the resolver or another library's client."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

from stacchip.runtime.task_name import in_this_task

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def call_within(act: Callable[[], T], until_s: float) -> T:
    """Return what a call returns, if it does so in time; a thread of its own makes the call.

    A call that does not end in time is left alone: its thread does not keep the process alive.

    Args:
        act: The call.
        until_s: The time (`time.monotonic()`) by which it must be over.

    Raises:
        TimeoutError: It was not over by then.

    Example:
        >>> call_within(lambda: 2 + 3, time.monotonic() + 10)
        5
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    thread = threading.Thread(target=in_this_task(run), daemon=True, name="stacchip-deadline")
    thread.start()
    # a lock cannot wait for more than some hundred years
    thread.join(min(max(0.0, until_s - time.monotonic()), threading.TIMEOUT_MAX))
    if failures:
        raise failures.pop()  # kept, it would hold its own frame, and all that its frames hold
    if not results:
        raise TimeoutError
    return results[0]
