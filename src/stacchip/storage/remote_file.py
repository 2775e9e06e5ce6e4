"""A remote object as a seekable file, for libraries that want one."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from stacchip.storage.href import redact

if TYPE_CHECKING:
    from stacchip.storage.storage import Storage

PAGE = 64 * 1024
LARGEST_AHEAD = 4 * 1024 * 1024
LARGEST_CACHE = 32 * 1024 * 1024


class RemoteFile(io.RawIOBase):
    """A read-only, seekable file made of range reads, of which the last 32 MiB are kept.

    The first page is fetched on opening: it tells the size, and holds most headers. A read fetches
    all that it lacks in one request; reading on in sequence fetches ever more ahead, up to 4 MiB.
    Every later page must be of the same version, else `AssetChanged` is raised.
    """

    def __init__(self, storage: Storage, href: str) -> None:
        super().__init__()
        self._storage = storage
        self._href = href
        self._lock = threading.RLock()
        self._position = 0
        self._pages: OrderedDict[int, bytes | memoryview] = OrderedDict()
        self._ahead = 0
        self._fetched_to = 0
        blob = storage.read_range(href, 0, PAGE)
        if blob.identity.size_bytes is None:
            blob = storage.read_blob(href)  # the server tells no size
        self.identity = blob.identity
        self.size = len(blob.data) if blob.identity.size_bytes is None else blob.identity.size_bytes
        self._keep(0, memoryview(blob.data))

    @property
    def name(self) -> str:
        """The href, as it may be shown."""
        return redact(self._href)

    def __repr__(self) -> str:
        return f"RemoteFile({self.name!r})"

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; beyond the end is allowed, before the start is a ValueError."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read to the end, or so many bytes."""
        with self._lock:
            left = max(0, self.size - self._position)
            amount = left if size is None or size < 0 else min(size, left)
            data = self.pread(self._position, amount)
            self._position += len(data)
            return data

    def readall(self) -> bytes:
        """Read to the end."""
        return self.read()

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def pread(self, start: int, length: int) -> bytes:
        """Read a range without moving."""
        if self.closed:
            raise ValueError("I/O operation on closed file")
        length = min(length, self.size - start)
        if length <= 0:
            return b""
        with self._lock:
            first, last = start // PAGE, (start + length - 1) // PAGE
            missing = [page for page in range(first, last + 1) if page not in self._pages]
            if length > LARGEST_CACHE // 2 and missing:
                blob = self._storage.read_range(self._href, start, length, expect=self.identity)
                return bytes(blob.data)
            if missing:
                self._fetch(missing[0], missing[-1])
            for page in range(first, last + 1):
                self._pages.move_to_end(page)
            parts = [self._pages[page] for page in range(first, last + 1)]
            self._trim()
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        offset = start - first * PAGE
        return bytes(memoryview(joined)[offset : offset + length])

    def _fetch(self, first: int, last: int) -> None:
        """Fetch pages, and more ahead where the last fetch ended here."""
        start, end = first * PAGE, (last + 1) * PAGE
        self._ahead = min(LARGEST_AHEAD, max(PAGE, 2 * self._ahead)) if self._is_next(start) else 0
        end = min(self.size, end + self._ahead)
        blob = self._storage.read_range(self._href, start, end - start, expect=self.identity)
        self._fetched_to = end
        self._keep(start, memoryview(blob.data))

    def _is_next(self, start: int) -> bool:
        return start == self._fetched_to != 0

    def _keep(self, start: int, data: memoryview) -> None:
        # copies, so that one page that stays does not keep the whole fetch in memory
        for offset in range(0, len(data), PAGE):
            self._pages[(start + offset) // PAGE] = bytes(data[offset : offset + PAGE])
        self._fetched_to = start + len(data)

    def _trim(self) -> None:
        while len(self._pages) * PAGE > LARGEST_CACHE:
            self._pages.popitem(last=False)
