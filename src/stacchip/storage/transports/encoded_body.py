"""Bodies that a server sent compressed: decompressed piece by piece, no further than a limit.

Requests ask for no compression, but some servers compress documents all the same. A kilobyte may
decompress to a gigabyte, so that only as much is decompressed as may be kept.
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ENCODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""The encodings that can be decompressed."""
_STEP: Final = 1 << 20


class BrokenBodyError(Exception):
    """A body is not compressed as its header says. Never reaches a user."""


def decompress(encoding: str, parts: Iterable[bytes], most_bytes: int) -> bytes:
    """Return a body decompressed; one byte more than `most_bytes` if it is longer.

    Args:
        encoding: One of `ENCODINGS`.
        parts: The compressed body.
        most_bytes: How many bytes are wanted at the most.

    Raises:
        BrokenBodyError: The body is damaged, or ends too early.

    Example:
        >>> import gzip
        >>> decompress("gzip", [gzip.compress(b"chips")], 100)
        b'chips'
    """
    body = io.BytesIO()  # its value is not copied
    decoder = _Decoder(encoding)
    try:
        for part in parts:
            decoder.feed(part)
            while data := decoder.take(min(_STEP, most_bytes + 1 - body.tell())):
                body.write(data)
                if body.tell() > most_bytes:
                    return body.getvalue()
    except zlib.error as error:
        raise BrokenBodyError("damaged") from error
    if not decoder.is_complete:
        raise BrokenBodyError("cut off")
    return body.getvalue()


class _Decoder:
    """Decompresses gzip, of one member or several, and deflate with or without zlib's header."""

    def __init__(self, encoding: str) -> None:
        self._is_gzip = encoding != "deflate"
        self._decoder: zlib._Decompress | None = None
        self._left = b""
        self._has_more = False  # output that the last call had no room for
        self._members = 0

    @property
    def is_complete(self) -> bool:
        """True if no member lacks its end; nothing at all is an empty body."""
        return not self._left if self._decoder is None else self._decoder.eof

    def feed(self, data: bytes) -> None:
        """Add compressed bytes."""
        self._left += data

    def take(self, most_bytes: int) -> bytes:
        """Return the next decompressed bytes; none if more compressed ones are needed."""
        while self._left or self._has_more:
            if self._decoder is None and not self._is_gzip and len(self._left) < 2:
                break  # its first two bytes tell what it is
            if self._decoder is None or (self._decoder.eof and self._is_gzip):
                self._decoder = zlib.decompressobj(31 if self._is_gzip else _window(self._left))
                self._members += 1
            elif self._decoder.eof:
                self._left = b""
                break
            try:
                data = self._decoder.decompress(self._left, most_bytes)
            except zlib.error:
                if self._members < 2:
                    raise
                self._left, self._has_more = b"", False
                self._decoder = None  # padding after the last member, which gzip ignores too
                break
            self._left = self._decoder.unconsumed_tail or self._decoder.unused_data
            self._has_more = len(data) == most_bytes and not self._decoder.eof
            if data:
                return data
        return b""


def _window(start: bytes) -> int:
    """Return zlib's wbits: servers send its format (RFC 9110, 8.4.1.2), or raw deflate."""
    has_header = start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return 15 if has_header or len(start) < 2 else -15
