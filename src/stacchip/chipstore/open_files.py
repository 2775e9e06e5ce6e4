"""Files that are kept open: those used last."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

from stacchip.runtime.open_files import most_open_files
from stacchip.runtime.per_process import PerProcess

__all__ = ["OpenFile", "OpenFiles"]


class OpenFile:
    """A file that is open for reading as long as somebody holds this.

    Attributes:
        number: Its descriptor.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


class OpenFiles:
    """Opens files for reading, and keeps those used last open."""

    def __init__(self) -> None:
        self._most = most_open_files()
        self._kept: PerProcess[_Kept] = PerProcess(_Kept)

    def get(self, path: str) -> OpenFile:
        """Return an open file; it stays open while the caller holds it.

        Raises:
            OSError: It cannot be opened.
        """
        kept = self._kept.get()
        with kept.lock:
            if path in kept.files:
                kept.files.move_to_end(path)
                return kept.files[path]
        file = OpenFile(path)
        with kept.lock:
            kept.files[path] = file
            if len(kept.files) > self._most:
                kept.files.popitem(last=False)
        return file

    def forget(self, prefix: str) -> None:
        """Let go of the files below a folder."""
        kept = self._kept.get()
        with kept.lock:
            for path in [path for path in kept.files if path.startswith(prefix)]:
                del kept.files[path]


class _Kept:
    """The files of one process."""

    def __init__(self) -> None:
        self.files: OrderedDict[str, OpenFile] = OrderedDict()
        self.lock = threading.Lock()
