"""Versions of objects, and bytes that know which version they come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Strictness = Literal["etag", "size", "none"]
"""What must agree for two versions to count as one: `StorageOptions.identity` says which."""

# Clocks of file systems and of archives count in nanoseconds, 100 ns (NTFS), microseconds (what
# Python's floats keep), milliseconds or seconds (tar, older file systems).
_CLOCK_UNITS_NS: Final = (1, 100, 1_000, 1_000_000, 1_000_000_000)
# Earlier versions put the inode first, which every copy of a file changes.
_FILE_TAG: Final = re.compile(r'"(?:file|[0-9a-f]+)-(-?[0-9a-f]+)-([0-9a-f]+)"')


@dataclass(frozen=True)
class Identity:
    """The version of an object, as far as its store reports it.

    Attributes:
        size_bytes: The size of the whole object.
        etag: The store's tag for this version, including quotes; for a local file, that of
            `file_tag`.
        last_modified: HTTP date. A web server's is left out if it is too young to tell versions
            apart, unless there is no ETag.
    """

    size_bytes: int | None
    etag: str | None = None
    last_modified: str | None = None

    def matches(self, other: Identity, *, is_mirrored: bool = False) -> bool:
        """Return True if both may be the same version: nothing known to both differs.

        Sizes must agree. If both ETags are known, these decide (`W/` is ignored: RFC 9110, section
        8.8.3.2, weak comparison); otherwise the time of modification does. Local files are the same
        if their times agree as far as the coarser clock tells.

        Args:
            other: The other version.
            is_mirrored: Also take two ETags for one version if size and time of modification are
                known and agree. Several machines may serve one file under one name, and tag it
                differently: Apache's tags held the inode until 2.4, and compression adds suffixes.

        Example:
            >>> Identity(10, '"a"').matches(Identity(10, 'W/"a"'))
            True
            >>> Identity(10, '"a"').matches(Identity(10, '"b"'))
            False
            >>> one, other = Identity(10, '"a"', "Mon"), Identity(10, '"b"', "Mon")
            >>> one.matches(other), one.matches(other, is_mirrored=True)
            (False, True)
        """
        if not self.has_size_of(other):
            return False
        is_dated = bool(self.last_modified and other.last_modified)
        has_same_date = self.last_modified == other.last_modified
        if self.etag and other.etag:
            if strong_etag(self.etag) == strong_etag(other.etag) or self._is_copy_of(other):
                return True
            return is_mirrored and self.size_bytes is not None and is_dated and has_same_date
        return has_same_date or not is_dated

    def has_size_of(self, other: Identity) -> bool:
        """Return True if the sizes agree, as far as both are known."""
        return self.size_bytes is None or other.size_bytes in (None, self.size_bytes)

    def _is_copy_of(self, other: Identity) -> bool:
        """Return True if both are local files of one size that were changed at the same time."""
        one, another = self._changed_ns, other._changed_ns
        return one is not None and another is not None and _is_same_time(one, another)

    @property
    def _changed_ns(self) -> int | None:
        """When a local file was changed, in nanoseconds since 1970; None for any other object."""
        match = _FILE_TAG.fullmatch(self.etag or "")
        if match is None or int(match[2], 16) != self.size_bytes:
            return None
        return int(match[1], 16)


def file_tag(changed_ns: int, size_bytes: int) -> str:
    """Return the tag of a local file, which a copy keeps if it keeps the file's times.

    Args:
        changed_ns: When the content was last changed, in nanoseconds since 1970.
        size_bytes: The file's size.

    Example:
        >>> file_tag(255, 16)
        '"file-ff-10"'
    """
    return f'"file-{changed_ns:x}-{size_bytes:x}"'


def _is_same_time(one_ns: int, other_ns: int) -> bool:
    """Return True if two clocks may show the same time: the coarser one cuts off what is finer."""
    return any(
        one_ns // unit == other_ns // unit
        for unit in _CLOCK_UNITS_NS
        if not (one_ns % unit and other_ns % unit)
    )


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
        media_type: What a web server says that it is, such as "text/html".
    """

    data: bytes | memoryview
    identity: Identity
    start: int = 0
    media_type: str | None = None

    def __repr__(self) -> str:
        return f"Blob({len(self.data)} bytes from {self.start}, {self.identity})"


@dataclass(frozen=True)
class Entry:
    """One object of a listing: its href and size."""

    href: str
    size_bytes: int
