"""The threads that fetch and the threads that decode, one set of each for a process.

Fetching threads wait for stores, so there are many; decoding threads compute with the GIL released,
so there are as many as cores. A forked child starts its own.
"""

from __future__ import annotations

import os
from typing import Final

from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.workers import Workers

_FETCHERS: Final = 32


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
