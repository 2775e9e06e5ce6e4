"""The versions of the files that a chipper reads, so that all its chips are of one version each.

An index's header says which version of a file it was read from. For a copy of that file, and for a
file without a header in the index, the version counts that was opened first. A chipper notes it:
an item that is closed to make room for others, and opened again, may find another.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stacchip.storage import Identity, Storage

__all__ = ["FileVersions"]

_MOST: Final = 100_000  # about 40 MB


class FileVersions:
    """The version of each file that was opened first.

    A copy in another process begins with those that are known here, and goes its own way.

    Args:
        most: The number of files to know: those that came last.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._first: dict[str, Identity] = {}

    def require(self, href: str, found: Identity, storage: Storage) -> Identity:
        """Return the version that a file had when it was opened first.

        Args:
            href: The file.
            found: The version that it has now.
            storage: Says what must agree.

        Raises:
            AssetChanged: The file has another version.
        """
        first = self._first.setdefault(href, found)  # one step for all threads, without a lock
        if first is found:
            while len(self._first) > self._most:
                with contextlib.suppress(RuntimeError, StopIteration):  # another thread was faster
                    self._first.pop(next(iter(self._first)), None)
        storage.require_version(href, first, found)
        return first
