"""The versions of the files that a chipper reads, so that all its chips are of one version each.

An index's header says which version of a file it was read from. For a copy of that file, and for a
file without a header in the index, the version counts that was opened first. A chipper notes it:
an item that is closed to make room for others, and opened again, may find another. Its copies in
other processes tell each other (the module `shared_versions`).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

from stacchip.chipper.shared_versions import SharedVersions

if TYPE_CHECKING:
    from stacchip.storage import Identity, Storage

__all__ = ["FileVersions"]

_MOST: Final = 100_000  # about 40 MB


class _Forks:
    """How often this process and those that it was forked from have forked."""

    count = 0

    @classmethod
    def add(cls) -> None:
        cls.count += 1


os.register_at_fork(before=_Forks.add)


class FileVersions:
    """The version of each file that was opened first, here or in a copy in another process.

    A copy begins with the versions that are known here. As long as there is none, nothing is
    written anywhere.

    Args:
        most: The number of files to know: those that came last.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._first: dict[str, Identity] = {}
        self._shared = SharedVersions()
        self._forks = _Forks.count
        self._was_sent = False

    def require(self, href: str, found: Identity, storage: Storage) -> Identity:
        """Return the version that a file had when it was opened first.

        Args:
            href: The file.
            found: The version that it has now.
            storage: Says what must agree.

        Raises:
            AssetChanged: The file has another version.
        """
        first = self._first.get(href)
        if first is None:
            may_have_copies = self._was_sent or self._forks != _Forks.count
            first = self._shared.first(href, found) if may_have_copies else found
            first = self._first.setdefault(href, first)  # one step for all threads, without a lock
            while len(self._first) > self._most:
                with contextlib.suppress(RuntimeError, StopIteration):  # another thread was faster
                    self._first.pop(next(iter(self._first)), None)
        storage.require_version(href, first, found)
        return first

    def __getstate__(self) -> dict[str, Any]:
        self._was_sent = True
        return {**self.__dict__, "_first": self._first.copy()}  # one step, as other threads add
