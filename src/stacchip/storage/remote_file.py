"""Remote objects as seekable files, for libraries that need a file.

`PagedFile`, from `Storage.open`, is for readers that return to a place or read on in sequence:
`zipfile`, which lists what is in a cube, and pyarrow where it reads whole files (stac-geoparquet).
It fetches pages, keeps them, and fetches ahead. `ExactFile` is for the parquet files of an index,
where pyarrow chooses row groups and columns: it fetches their ranges and no more.
"""

from __future__ import annotations

import io
import threading
from abc import abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from stacchip.errors import StorageError
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.storage.identity import Identity
    from stacchip.storage.limits import Bound
    from stacchip.storage.ranges import RangeReader

PAGE = 64 * 1024
LARGEST_AHEAD = 4 * 1024 * 1024
LARGEST_CACHE = 32 * 1024 * 1024
# the footer of a parquet file of a few hundred row groups
TAIL = 256 * 1024


class RemoteFile(io.RawIOBase):
    """A read-only, seekable file of one version of an object; subclasses say how it is fetched.

    Attributes:
        identity: The version; a read that finds another raises `AssetChanged`.
        size: The object's size in bytes.
    """

    identity: Identity
    size: int

    def __init__(self, reader: RangeReader, href: str, bound: Bound | None = None) -> None:
        super().__init__()
        self._reader = reader
        self._bound = bound
        self._href = href
        self._lock = threading.RLock()
        self._position = 0

    @property
    def name(self) -> str:
        """The href, without secrets."""
        return redact(self._href)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position: beyond the end is allowed, before the start is a ValueError."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, or to the end."""
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
        """Read a range, or as much of it as the object has, without moving."""
        if self.closed:
            raise ValueError("I/O operation on closed file")
        length = min(length, self.size - start)
        if self._bound and length > self._bound.most_bytes:  # the size is what its server says
            raise self._bound.exceeded(self._href)
        return self._fetch_range(start, length) if length > 0 else b""

    def _ask(self, start: int, length: int) -> bytes | memoryview:
        """Ask for a range that lies in the object, and refuse less than that."""
        data = self._reader.read_range(self._href, start, length, expect=self.identity).data
        self._refuse_short(start, length, len(data))
        return data

    def _refuse_short(self, start: int, length: int, came: int) -> None:
        if came < length:
            raise StorageError(
                f"{self.name} is said to have {self.size} bytes, but {came} came in place of "
                f"{length} from byte {start} on. Its server contradicts itself: fetch the file by "
                "other means.",
                href=self.name,
            )

    @abstractmethod
    def _fetch_range(self, start: int, length: int) -> bytes:
        """Return the bytes of a range that lies in the object."""


class PagedFile(RemoteFile):
    """A file that is fetched in pages, and keeps the last 32 MiB of them.

    Opening it fetches the first page, which gives the size and holds most headers. A read fetches
    everything it lacks in one request; reading on in sequence fetches ever more ahead, up to 4 MiB.

    Args:
        reader: Reads the object.
        href: The object.
        bound: The most bytes of one read.
    """

    def __init__(self, reader: RangeReader, href: str, bound: Bound | None = None) -> None:
        super().__init__(reader, href, bound)
        self._pages: OrderedDict[int, bytes | memoryview] = OrderedDict()
        self._ahead = 0
        self._fetched_to = 0
        blob = reader.read_range(href, 0, PAGE)
        if blob.identity.size_bytes is None:
            blob = reader.read_blob(href)  # the server gives no size
        self.identity = blob.identity
        self.size = len(blob.data) if blob.identity.size_bytes is None else blob.identity.size_bytes
        self._refuse_short(0, min(self.size, PAGE), len(blob.data))
        self._keep(0, memoryview(blob.data))

    def _fetch_range(self, start: int, length: int) -> bytes:
        with self._lock:
            first, last = start // PAGE, (start + length - 1) // PAGE
            missing = [page for page in range(first, last + 1) if page not in self._pages]
            if length > LARGEST_CACHE // 2 and missing:
                return bytes(self._ask(start, length))
            if missing:
                self._fetch_pages(missing[0], missing[-1])
            for page in range(first, last + 1):
                self._pages.move_to_end(page)
            parts = [self._pages[page] for page in range(first, last + 1)]
            self._trim()
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        offset = start - first * PAGE
        return bytes(memoryview(joined)[offset : offset + length])

    def _fetch_pages(self, first: int, last: int) -> None:
        """Fetch pages, and more ahead if the last fetch ended here."""
        start, end = first * PAGE, (last + 1) * PAGE
        self._ahead = min(LARGEST_AHEAD, max(PAGE, 2 * self._ahead)) if self._is_next(start) else 0
        end = min(self.size, end + self._ahead)
        data = self._ask(start, end - start)
        self._fetched_to = end
        self._keep(start, memoryview(data))

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


class ExactFile(RemoteFile):
    """A file that fetches exactly the ranges that are read; the last 256 KiB are kept.

    Reading ahead would load row groups and columns of an index that nobody asked for. The end of
    the object is kept because it holds the footer. Readers check the ranges that the footer names
    (`Limits.table_bytes`) before they read them.
    """

    def __init__(self, reader: RangeReader, href: str, identity: Identity, tail: bytes) -> None:
        super().__init__(reader, href)
        self.identity = identity
        self.size = identity.size_bytes or len(tail)
        self._tail = tail
        self._held: dict[int, memoryview] = {}

    @classmethod
    def open(cls, reader: RangeReader, href: str) -> ExactFile:
        """Fetch the end of an object, and open it.

        Raises:
            ObjectNotFound: Nothing is there.
        """
        blob = reader.read_end(href, TAIL)
        return cls(reader, href, blob.identity, bytes(blob.data))

    def reopen(self) -> ExactFile:
        """Return the same file, positioned at its start, for another thread."""
        return ExactFile(self._reader, self._href, self.identity, self._tail)

    def hold(self, ranges: Sequence[tuple[int, int]]) -> ExactFile:
        """Return the same file with some (start, length) ranges fetched, near ones together."""
        same = self.reopen()
        wanted = [each for each in ranges if each[1] and each[0] < self.size - len(self._tail)]
        found = self._reader.read_ranges(self._href, wanted, expect=self.identity)
        same._held = {  # noqa: SLF001 - another instance of this class
            start: memoryview(data) for (start, _), data in zip(wanted, found, strict=True)
        }
        return same

    def _fetch_range(self, start: int, length: int) -> bytes:
        in_tail = start - (self.size - len(self._tail))
        if in_tail >= 0:
            return self._tail[in_tail : in_tail + length]
        for first, data in self._held.items():
            if first <= start and start + length <= first + len(data):
                return bytes(data[start - first : start - first + length])
        return bytes(self._ask(start, length))
