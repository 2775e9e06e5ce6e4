"""Threads that wait for stores on behalf of one call."""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from stacchip.storage.process import PerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")
MOST_THREADS = 32


class _Workers:
    """Daemon threads, started as they are needed: unlike an executor's they never hold up exit."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[Any], Any], Any]] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._free = 0  # threads that wait, less tasks that wait
        self._threads = 0

    def submit(self, function: Callable[[T], R], argument: T) -> Future[R]:
        future: Future[R] = Future()
        with self._lock:
            self._free -= 1
            if self._free < 0 and self._threads < MOST_THREADS:
                self._threads += 1
                self._free += 1
                threading.Thread(target=self._work, name="stacchip-storage", daemon=True).start()
        self._tasks.put((future, function, argument))
        return future

    def _work(self) -> None:
        while True:
            future, function, argument = self._tasks.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(argument))
                except BaseException as error:  # noqa: BLE001 - handed to the caller
                    future.set_exception(error)
            del future, function, argument  # or an idle thread keeps the last result alive
            with self._lock:
                self._free += 1


_WORKERS = PerProcess(_Workers)


def map_concurrently(function: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """Call a function that waits on I/O once for each argument, all at the same time.

    The results are in the order of the arguments. The calling thread serves the last argument.
    Where calls fail, the first error in that order is raised, and calls that have not begun are
    cancelled. `function` must not call `map_concurrently` itself.

    Example:
        >>> map_concurrently(abs, [1, -2, 3])
        [1, 2, 3]
    """
    items = list(arguments)
    if len(items) <= 1:
        return [function(item) for item in items]
    workers = _WORKERS.get()
    futures = [workers.submit(function, item) for item in items[:-1]]
    try:
        last = function(items[-1])
        return [*(future.result() for future in futures), last]
    finally:
        for future in futures:
            future.cancel()


def stream_concurrently(
    function: Callable[[T], R], arguments: Iterable[T], *, ahead: int
) -> Iterator[R]:
    """The results of a function that waits on I/O, in order, with `ahead` calls under way.

    Example:
        >>> list(stream_concurrently(abs, [1, -2, 3], ahead=2))
        [1, 2, 3]
    """
    workers = _WORKERS.get()
    pending: deque[Future[R]] = deque()
    try:
        for argument in arguments:
            pending.append(workers.submit(function, argument))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
