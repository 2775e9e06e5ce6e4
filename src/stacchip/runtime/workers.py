"""Threads that start on demand and stop before the interpreter exits."""

from __future__ import annotations

import atexit
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

from stacchip.runtime.per_process import PerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE_S: Final = 0.5


class Workers:
    """Threads that run tasks in the order given; a forked child starts its own.

    They are daemons: a thread that waits for a store never delays the end of the process. But a
    daemon that returns from compiled code while the interpreter exits is killed there, and if that
    code is C++ or Rust the whole process aborts (CPython issue 87135). So at exit, tasks that have
    not begun are dropped, and the threads get half a second to finish.

    Args:
        name: The threads' names begin with it.
        most: The largest number of threads.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._crew = PerProcess(_Crew)
        atexit.register(self._close)

    def submit(self, task: Callable[[], None]) -> None:
        """Run `task` in one of the threads; it must handle its own errors, since nothing else does.

        Raises:
            RuntimeError: The system cannot start a thread, and there is none yet.
        """
        crew = self._crew.get()
        with crew.lock:
            if crew.unclaimed <= 0 and len(crew.threads) < self._most:
                self._start_one(crew)
            crew.unclaimed -= 1
        crew.tasks.put(task)

    def _start_one(self, crew: _Crew) -> None:
        name = f"{self._name}-{len(crew.threads) + 1}"
        thread = threading.Thread(target=crew.work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads, or too little memory
            if not crew.threads:
                raise
            return  # the threads that exist take the task in their turn
        crew.threads.append(thread)
        crew.unclaimed += 1

    def _close(self) -> None:
        self._crew.get().close()


class _Crew:
    """The threads and tasks of one process.

    Attributes:
        unclaimed: The number of waiting threads minus the number of waiting tasks.
    """

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.unclaimed = 0
        self.is_closed = False

    def work(self) -> None:
        """Run tasks until the interpreter exits."""
        while (task := self.tasks.get()) is not None and not self.is_closed:
            task()
            del task  # or an idle thread keeps the last task's arrays alive
            with self.lock:
                self.unclaimed += 1

    def close(self) -> None:
        """Drop tasks that have not begun, and wait a moment for the others."""
        self.is_closed = True
        for _ in self.threads:
            self.tasks.put(None)
        until = time.monotonic() + _GRACE_S
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
