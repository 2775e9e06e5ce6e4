"""Tasks that one caller gives to a pool, and waits for together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.runtime.workers import Workers

__all__ = ["Tasks"]


class Tasks:
    """Tasks in a pool.

    Args:
        pool: Runs them.
    """

    def __init__(self, pool: Workers) -> None:
        self._pool = pool
        self._changed = threading.Condition()
        self._left = 0
        self._error: BaseException | None = None

    def submit(self, task: Callable[[], None]) -> None:
        """Run a task in the pool."""
        with self._changed:
            self._left += 1
        self._pool.submit(lambda: self._run(task))

    def _run(self, task: Callable[[], None]) -> None:
        error: BaseException | None = None
        try:
            task()
        except BaseException as caught:  # noqa: BLE001 - raised by `wait`
            error = caught
        with self._changed:
            self._error = self._error or error
            self._left -= 1
            if not self._left:
                self._changed.notify_all()

    def wait(self) -> None:
        """Wait until all tasks are done, and raise the first error of one that failed."""
        if not self._left and self._error is None:
            return
        with self._changed:
            while self._left:
                self._changed.wait()
            error, self._error = self._error, None
        if error is not None:
            raise error
