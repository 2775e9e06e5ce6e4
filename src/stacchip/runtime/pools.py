"""The threads that live as long as the process: every pool, in the order of waiting.

A task may wait for tasks of a pool further down, never for those of its own pool or of one above.
Otherwise all threads of a pool could be waiting for tasks that no thread is left to run.

| pool | threads | its tasks |
|---|---|---|
| `fetchers` | 32 | fetch blocks, or open an item ahead of its turn |
| `openers` | 16 | open one file of an item: several requests, one after another |
| `requesters` | 32 | send one request: the calls of `map_concurrently` and `stream_concurrently` |
| `decoders` | one a core | decode blocks, with the GIL released; wait for nothing |
| `encoders` | one a core | encode chips that are kept, and write them; wait for nothing |
"""

from __future__ import annotations

import os
from typing import Final

from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.workers import Workers

_FETCHERS: Final = 32
_OPENERS: Final = 16
REQUESTERS: Final = 32
"""The number of threads that send requests."""


def core_count() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS lacks it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_fetchers = Workers("stacchip-fetch", _FETCHERS)
_openers = Workers("stacchip-open", _OPENERS)
_requesters = Workers("stacchip-storage", REQUESTERS)
# made at its first use: by then, a worker process may have been given fewer cores
_decoders = PerProcess(lambda: Workers("stacchip-decode", core_count()))
_encoders = PerProcess(lambda: Workers("stacchip-encode", core_count()))


def fetchers() -> Workers:
    """Return the threads that fetch blocks."""
    return _fetchers


def openers() -> Workers:
    """Return the threads that open files."""
    return _openers


def requesters() -> Workers:
    """Return the threads that send the requests of one call."""
    return _requesters


def decoders() -> Workers:
    """Return the threads that decode blocks, one a core."""
    return _decoders.get()


def encoders() -> Workers:
    """Return the threads that encode chips, one a core."""
    return _encoders.get()
