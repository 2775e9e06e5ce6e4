"""Threads that are started as they are needed, and sent home before the interpreter ends."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE_S: Final = 0.5


class Workers:
    """Threads that run tasks in the order given.

    They are daemons: one that waits for a store never holds up the end of the process. But a daemon
    that comes out of compiled code while the interpreter ends is killed there, and where that code
    is C++ or Rust the whole process aborts (CPython issue 87135). So at the end tasks that have not
    begun are dropped, and the threads are given half a second to finish.

    Args:
        name: Of the threads.
        most: How many threads at most.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._unclaimed = 0  # waiting threads less waiting tasks
        self._process = os.getpid()
        self._is_closed = False
        atexit.register(self._close)

    def submit(self, task: Callable[[], None]) -> None:
        """Run `task` in one of the threads. It must handle its own errors: nobody else does.

        Raises:
            RuntimeError: The system gives no thread, and there is none.
        """
        with self._lock:
            if self._unclaimed <= 0 and len(self._threads) < self._most:
                self._start_one()
            self._unclaimed -= 1
        self._tasks.put(task)

    def _start_one(self) -> None:
        name = f"{self._name}-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads, or too little memory
            if not self._threads:
                raise
            return  # those that are there take the task in their turn
        self._threads.append(thread)
        self._unclaimed += 1

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._is_closed:
            task()
            del task  # or an idle thread keeps the last task's arrays alive
            with self._lock:
                self._unclaimed += 1

    def _close(self) -> None:
        if os.getpid() != self._process:  # a forked child has none of its parent's threads
            return
        self._is_closed = True
        for _ in self._threads:
            self._tasks.put(None)
        until = time.monotonic() + _GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
