"""The threads that fetch and the threads that decode, one set of each for a process.

Fetching threads wait for stores, so there are many; decoding threads compute with the GIL released,
so there are as many as cores. A forked child starts its own. They are daemons: a thread that waits
for a store never holds up the end of the process.
"""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Final

from stacchip.storage.process import PerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

_FETCHERS: Final = 32


class Workers:
    """Threads that run tasks in the order given; started as they are needed.

    Args:
        name: Of the threads.
        most: How many threads at most.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._unclaimed = 0  # waiting threads less waiting tasks

    def submit(self, task: Callable[[], None]) -> None:
        """Run `task` in one of the threads. It must handle its own errors: nobody else does."""
        with self._lock:
            self._unclaimed -= 1
            if self._unclaimed < 0 and self._started < self._most:
                self._started += 1
                self._unclaimed += 1
                threading.Thread(
                    target=self._work, name=f"{self._name}-{self._started}", daemon=True
                ).start()
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            task()
            del task  # or an idle thread keeps the last task's arrays alive
            with self._lock:
                self._unclaimed += 1


def core_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_fetchers = PerProcess(lambda: Workers("stacchip-fetch", _FETCHERS))
_decoders = PerProcess(lambda: Workers("stacchip-decode", core_count()))


def fetchers() -> Workers:
    """This process's threads that wait for stores."""
    return _fetchers.get()


def decoders() -> Workers:
    """This process's threads that decode, one a core."""
    return _decoders.get()
