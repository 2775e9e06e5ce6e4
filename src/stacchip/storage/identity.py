"""Versions of objects, and bytes that know which version they come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The version of an object, as far as its store reports it.

    Attributes:
        size_bytes: The size of the whole object.
        etag: The store's tag for this version, including quotes; for a local file, a tag made of
            inode, modification time and size.
        last_modified: HTTP date; compared only if an ETag is unknown.
    """

    size_bytes: int | None
    etag: str | None = None
    last_modified: str | None = None

    def matches(self, other: Identity) -> bool:
        """Return True if both may be the same version: nothing known to both differs.

        Sizes must agree. If both ETags are known, these decide (`W/` is ignored: RFC 9110, section
        8.8.3.2, weak comparison); otherwise the time of modification does.

        Example:
            >>> Identity(10, '"a"').matches(Identity(10, 'W/"a"'))
            True
            >>> Identity(10, '"a"').matches(Identity(10, '"b"'))
            False
        """
        if self.size_bytes is not None and other.size_bytes not in (None, self.size_bytes):
            return False
        if self.etag and other.etag:
            return strong_etag(self.etag) == strong_etag(other.etag)
        if self.last_modified and other.last_modified:
            return self.last_modified == other.last_modified
        return True


def strong_etag(etag: str) -> str:
    """Return an ETag without the prefix `W/` of weak tags, and without quotes."""
    return etag.removeprefix("W/").strip('"')


@dataclass(frozen=True)
class Blob:
    """Bytes of an object, and the version that they belong to.

    Attributes:
        data: The bytes from `start`: as many as requested, or as the object has.
        identity: The version of the object.
        start: Offset of the first byte.
    """

    data: bytes | memoryview
    identity: Identity
    start: int = 0

    def __repr__(self) -> str:
        return f"Blob({len(self.data)} bytes from {self.start}, {self.identity})"


@dataclass(frozen=True)
class Entry:
    """One object of a listing: its href and size."""

    href: str
    size_bytes: int
