"""How many files a reader keeps open at a time."""

from __future__ import annotations

import resource
from typing import Final

__all__ = ["most_open_files"]

_LEAST: Final = 64
_SHARE: Final = 8


def most_open_files() -> int:
    """Return how many files a reader of an index may keep open.

    An eighth of what the process may, for other indexes and whatever else it reads: 128 where 1024
    are allowed, which is usual on Linux. At least 64 (macOS allows 256).

    Example:
        >>> most_open_files() >= 64
        True
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _LEAST if soft == resource.RLIM_INFINITY else soft // _SHARE
    return max(_LEAST, most)
