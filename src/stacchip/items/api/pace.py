"""A limit on the requests to a catalogue."""

from __future__ import annotations

import threading
import time
from functools import lru_cache


class Pace:
    """A limit on requests a second, over all threads of a process.

    Args:
        per_second: The limit; None for no limit.

    Example:
        >>> pace = Pace(None)
        >>> pace.wait()
    """

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._next_s = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the next request may be sent."""
        if self.per_second is None:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_s)
            self._next_s = turn + 1 / self.per_second
        time.sleep(turn - now)

    def __reduce__(self) -> tuple[type[Pace], tuple[float | None]]:
        return Pace, (self.per_second,)


@lru_cache(maxsize=64)
def pace_of(catalogue: str, per_second: float | None) -> Pace:
    """Return the pace of a catalogue, one for all jobs of this process.

    A worker of a cluster unpickles a job for each row; all of them share this pace.

    Example:
        >>> pace_of("https://example.com", 5.0) is pace_of("https://example.com", 5.0)
        True
    """
    del catalogue  # it only makes the key of the cache
    return Pace(per_second)
