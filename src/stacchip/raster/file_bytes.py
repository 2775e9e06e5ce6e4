"""The bytes of a TIFF's header, as the file that tifffile reads: fetched once, and bounded.

Headers are read from remote stores, and from untrusted files. So `FileBytes` fetches ahead, it
bounds reads that a malformed header could make endless, and it remembers the store's errors, which
tifffile would take for errors of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Limits of what tifffile may read from one file: it follows some microscopes' tags value by value,
# and makes Python integers of tables, 40 bytes each. A directory by GDAL takes some 10 reads.
_MAX_READS: Final = 500
_READS_PER_DIRECTORY: Final = 30
_MAX_FETCHES: Final = 300
_FEW_BYTES: Final = 8 << 20  # tables of 500,000 blocks; larger files may have more
MAX_BYTES: Final = 64 << 20
_MAX_HELD: Final = 192 << 20  # both tables of an image of 8 million blocks, and of its mask
_READ_AHEAD: Final = 32 << 10


class BrokenTiffError(ValueError):
    """The structure contradicts itself or the file's size; the message says how."""


class FileBytes:
    """The bytes of a file's header, each fetched once: a file object for tifffile.

    Args:
        fetch: Returns the bytes of (start, length), which lie inside the file.
        size: The file's size in bytes.
        head: The file's first bytes, which were read before.
        fetch_parts: Returns the bytes of several (start, length) at the same time.

    Attributes:
        failure: The error that a fetch raised; tifffile takes some for the end of the file.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], Any],
        size: int,
        head: Any,
        fetch_parts: Callable[[Sequence[tuple[int, int]]], Sequence[Any]] | None = None,
    ) -> None:
        self._fetch = fetch
        self._fetch_parts = fetch_parts or (lambda parts: [fetch(*part) for part in parts])
        self.size = size
        self.failure: Exception | None = None
        self._chunks: list[tuple[int, memoryview]] = [(0, memoryview(head))]
        self._position = 0
        self._held = len(head)
        self._reads_left = _MAX_READS
        self._bytes_left = min(_FEW_BYTES + size // 256, MAX_BYTES)

    def allow_directory(self) -> None:
        """Allow reads for one more directory."""
        self._reads_left += _READS_PER_DIRECTORY

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a byte, as a file's `seek`."""
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def tell(self) -> int:
        """Return the offset of the byte that is read next."""
        return self._position

    def read(self, length: int) -> bytes:
        """Return the next bytes: fewer if the file ends.

        Raises:
            BrokenTiffError: More bytes are read than any sound header has.
        """
        start = self._position
        length = max(0, min(length, self.size - start))
        self._reads_left -= 1
        self._bytes_left -= length
        if self._reads_left < 0 or self._bytes_left < 0:
            raise BrokenTiffError("its directories are too long")
        self._position = start + length
        # a place beyond the end has no bytes to fetch
        return bytes(self.take(start, length)) if length else b""

    def take(self, start: int, length: int) -> memoryview:
        """Return the bytes `[start, start + length)`, which lie inside the file."""
        for first, data in reversed(self._chunks):  # a call of `_holds` would cost 1 % of a header
            if first <= start and start + length <= first + len(data):
                return data[start - first : start - first + length]
        if len(self._chunks) > _MAX_FETCHES:
            raise BrokenTiffError("its directories are scattered over the file")
        ahead = min(length + _READ_AHEAD, self.size - start)
        self._held += ahead
        if self._held > _MAX_HELD:
            raise BrokenTiffError("its directories and their values are too long")
        try:
            data = memoryview(self._fetch(start, ahead))
        except Exception as error:
            self.failure = error
            raise
        if len(data) < length:
            raise BrokenTiffError(f"fewer than {length} bytes came back from byte {start} on")
        self._chunks.append((start, data))
        return data[:length]

    def prefetch(self, starts: Iterable[int], length: int) -> None:
        """Fetch `length` bytes from each of these places, unless they are held: all together."""
        parts = [(start, min(length, self.size - start)) for start in sorted(set(starts))]
        if not (missing := [part for part in parts if not self._holds(*part)]):
            return
        self._held += sum(length for _, length in missing)
        try:
            found = self._fetch_parts(missing)
        except Exception as error:
            self.failure = error
            raise
        self._chunks += [
            (start, memoryview(data)) for (start, _), data in zip(missing, found, strict=True)
        ]

    def _holds(self, start: int, length: int) -> bool:
        """Return whether one of the chunks has all of these bytes."""
        return any(
            first <= start and start + length <= first + len(data) for first, data in self._chunks
        )
