"""`Storage`: one set of verbs for every kind of place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from stacchip.errors import ObjectNotFound, UsageError
from stacchip.runtime.concurrently import map_concurrently
from stacchip.storage import copying
from stacchip.storage.failure import failure_of_change
from stacchip.storage.href import Location, parse_href
from stacchip.storage.identity import Blob, Entry, Identity
from stacchip.storage.limits import Bound
from stacchip.storage.listing import list_objects
from stacchip.storage.options import StorageOptions
from stacchip.storage.ranges import join_ranges, split_joins
from stacchip.storage.redaction import redact
from stacchip.storage.remote_file import PagedFile
from stacchip.storage.requester import Requester, Sign
from stacchip.storage.transports import local, objects, web

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


Bytes = bytes | memoryview
Href = str | os.PathLike[str]
# servers take 8,000 characters, some a little more; file systems 4,096
LONGEST_HREF = 32_768


class Storage:
    """Reads, writes and lists bytes by href: local paths, http(s), s3, gs, az.

    It holds no connection: connections belong to the process and are shared. It is cheap to make,
    can be pickled, and serves many threads at once.

    Credentials go only where they belong. The headers of an override go to the server (scheme, host
    and port) or the bucket of its prefix. The headers of `options` go to one server: that of their
    `endpoint`, else that of the first address that you name, be it to a function (`load_items`,
    `Chipper`, `read_index`, ...) or to a verb of the storage. An item's files elsewhere are read
    without them; if they need headers, pass `overrides`.

    Args:
        options: Credentials, endpoint, time limits.
        overrides: Options for what lies at or below a prefix, such as `https://example.com/data/`
            or `s3://bucket/`; the longest prefix wins.
        sign: "auto" signs Planetary Computer's hrefs when they are read; None signs nothing; a
            function turns each web address into the one to request.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> storage = Storage(
        ...     overrides={"s3://usgs-landsat/": StorageOptions(requester_pays=True)}
        ... )
        >>> storage.write(f"{folder}/a.txt", b"chips")
        >>> storage.read_ranges(f"{folder}/a.txt", [(0, 2), (3, 9)])
        [b'ch', b'ps']
    """

    def __init__(
        self,
        *,
        options: StorageOptions | None = None,
        overrides: Mapping[str, StorageOptions] | None = None,
        sign: Sign = "auto",
    ) -> None:
        self.options = options or StorageOptions()
        self.overrides = dict(overrides or {})
        self.sign = sign
        self._requester = Requester(self.options, self.overrides, sign)

    def __repr__(self) -> str:
        overrides = {redact(prefix): options for prefix, options in self.overrides.items()}
        return f"Storage(options={self.options}, overrides={overrides})"

    @property
    def requests(self) -> int:
        """The number of requests sent so far, including failed attempts; a local read is one."""
        return self._requester.counters.requests

    @property
    def bytes_read(self) -> int:
        """The number of bytes read so far."""
        return self._requester.counters.bytes_read

    def options_for(self, href: Href) -> StorageOptions:
        """Return the options that apply to an href, without those from the environment."""
        return self._requester.options_for(_locate(href))

    def name_server(self, href: Href | None) -> None:
        """Say which server the headers of `options` are for, unless that is known already.

        Functions call this with the address that their user gave, before they follow others. A
        server that is named may be this machine by a name of its own.

        Args:
            href: An address on that server. None, or a local path, says that all addresses that
                follow come from items: the headers are then sent to none of them.
        """
        self._requester.name_server(None if href is None else parse_href(os.fspath(href)))

    # -- reading -----------------------------------------------------------------------------

    def read(
        self, href: Href, *, limit_bytes: int | None = None, limit: str = "file_bytes"
    ) -> bytes:
        """Read a whole object.

        Args:
            href: The object.
            limit_bytes: Raise an error if the object is larger.
            limit: Without `limit_bytes`, the field of `Limits` that says how large it may be. A
                local file that takes its whole size on the disk may have any, if this is
                "file_bytes".

        Raises:
            LimitExceeded: It is larger than `limit` allows.
            ObjectNotFound: Nothing is there.
            AccessDenied: Credentials are missing or were refused.
            StorageTimeout: The time limit passed.
            StorageError: Any other failure.
        """
        return bytes(self.read_blob(href, limit_bytes=limit_bytes, limit=limit).data)

    def read_blob(
        self, href: Href, *, limit_bytes: int | None = None, limit: str = "file_bytes"
    ) -> Blob:
        """Read a whole object, with its identity and without a copy; see `read`."""
        location = _locate(href)
        bound = self._bound(location, limit_bytes, limit)
        if location.scheme == "file":
            blob = local.read_file(location.key, bound)
            self._requester.counters.add(1)
        elif location.scheme == "http":
            blob = self._requester.ask_web(
                location, lambda u, o, t, n: web.get(u, o, t, bound, is_named=n)
            )
        else:
            blob = self._requester.ask_store(
                location, lambda store: objects.get(store, location, bound)
            )
        self._requester.counters.add(0, len(blob.data))
        return blob

    def read_range(
        self, href: Href, start: int, length: int, *, expect: Identity | None = None
    ) -> Blob:
        """Read `length` bytes of an object from `start`, or fewer if it ends sooner.

        Args:
            href: The object.
            start: Offset of the first byte.
            length: The number of bytes; a range beyond the end is empty.
            expect: The version that the object must have.

        Raises:
            AssetChanged: The object's version is not `expect`.
            StorageError: As for `read`. A short read is never returned.
        """
        _refuse_negative(start, length)
        location = _locate(href)
        is_strict = self._requester.options_for(location).identity == "etag"
        condition = expect if is_strict else None
        if length == 0:
            blob = Blob(b"", self.stat(href), start)
        elif location.scheme == "file":
            blob = local.read_ranges(location.key, [(start, length)])[0]
            self._requester.counters.add(1)
        elif location.scheme == "http":
            blob = self._requester.ask_web(
                location,
                lambda url, o, t, n: web.get_range(
                    url, start, length, expect=condition, options=o, until_s=t, is_named=n
                ),
            )
        else:
            blob = self._requester.ask_store(
                location, lambda store: objects.get_range(store, location, start, length, condition)
            )
        self._requester.counters.add(0, len(blob.data))
        self.require_version(location.href, expect, blob.identity)
        return blob

    def read_end(self, href: Href, length: int) -> Blob:
        """Read the last `length` bytes of an object, or all of a shorter one.

        Most servers send them, and the object's size, in answer to one request. `Blob.start` says
        where they begin.

        Raises:
            StorageError: As for `read`. A short read is never returned.
        """
        _refuse_negative(0, length)
        location = _locate(href)
        blob = None
        if length and location.scheme == "http":
            blob = self._requester.ask_web(
                location, lambda u, o, t, n: web.get_end(u, length, o, t, is_named=n)
            )
        elif length and location.scheme != "file":
            blob = self._requester.ask_store(
                location, lambda store: objects.get_end(store, location, length)
            )
        if blob is not None:
            self._requester.counters.add(0, len(blob.data))
            return blob
        identity = self.stat(href)
        if identity.size_bytes is None:  # a web server that gives no size
            return self.read_blob(href)
        start = max(0, identity.size_bytes - length)
        return self.read_range(href, start, identity.size_bytes - start, expect=identity)

    def read_ranges(
        self,
        href: Href,
        ranges: Sequence[tuple[int, int]],
        *,
        expect: Identity | None = None,
    ) -> list[Bytes]:
        """Read several (start, length) ranges of one version of an object, at the same time.

        Ranges that touch, or lie within 16 KiB of each other, are fetched as one.

        Returns:
            The bytes of each range, in the order given; ranges fetched together are views of the
            same memory.

        Raises:
            AssetChanged: The object's version is not `expect`, or changed between two requests.
        """
        for start, length in ranges:
            _refuse_negative(start, length)
        location = _locate(href)
        if location.scheme == "file":
            return self._read_local_ranges(location, ranges, expect)
        joins = join_ranges(ranges)
        blobs = map_concurrently(
            lambda join: self.read_range(href, join.start, join.length, expect=expect), joins
        )
        for blob in blobs[1:]:
            self.require_version(location.href, blobs[0].identity, blob.identity)
        return split_joins(ranges, joins, [blob.data for blob in blobs])

    def _read_local_ranges(
        self, location: Location, ranges: Sequence[tuple[int, int]], expect: Identity | None
    ) -> list[Bytes]:
        if not ranges:
            return []
        blobs = local.read_ranges(location.key, ranges)
        self.require_version(location.href, expect, blobs[0].identity)
        self._requester.counters.add(len(blobs), sum(len(blob.data) for blob in blobs))
        return [blob.data for blob in blobs]

    def stat(self, href: Href) -> Identity:
        """Return the identity of an object.

        Raises:
            ObjectNotFound: Nothing is there, or it is a folder.
        """
        location = _locate(href)
        if location.scheme == "file":
            return local.stat_file(location.key)
        if location.scheme == "http":
            return self._requester.ask_web(
                location, lambda u, o, t, n: web.stat(u, o, t, is_named=n)
            )
        return self._requester.ask_store(location, lambda store: objects.stat(store, location))

    def require_version(self, href: Href, expect: Identity | None, found: Identity) -> None:
        """Refuse a version of an object that is not the expected one.

        `StorageOptions.identity` says what must agree. Differing ETags may be those of two mirrors
        only on the web: an object store's ETag belongs to the object, whoever answers.

        Args:
            href: The object.
            expect: The version that it must have; None accepts any.
            found: The version that it has.

        Raises:
            AssetChanged: It is another version.
        """
        if expect is None or expect == found:
            return
        location = _locate(href)
        strictness = self._requester.options_for(location).identity
        is_mirrored = location.scheme == "http"
        if strictness == "none" or (strictness == "size" and expect.has_size_of(found)):
            return
        if strictness == "size" or not expect.matches(found, is_mirrored=is_mirrored):
            raise failure_of_change(location.href, expect, found)

    def exists(self, href: Href) -> bool:
        """Return True if there is an object; a folder is not one."""
        try:
            self.stat(href)
        except ObjectNotFound:
            return False
        return True

    def open(self, href: Href) -> BinaryIO:
        """Open a read-only, seekable file; a remote one reads ranges and keeps them.

        Raises:
            ObjectNotFound: Nothing is there.
            LimitExceeded: Later, if one read of a remote file asks for more than the limit
                `file_bytes`, be it because the file is said to be larger.
        """
        location = _locate(href)
        if location.scheme == "file":
            return local.open_file(location.key)
        return cast(
            "BinaryIO", PagedFile(self, location.href, self._bound(location, None, "file_bytes"))
        )

    def list(self, prefix: Href) -> Iterator[Entry]:
        """Yield all objects below a folder, at any depth; none if there is no such folder.

        Raises:
            UsageError: The folder is on a web server, which cannot be listed.
        """
        location = _locate(prefix)
        if location.scheme == "file":
            yield from local.list_files(location.key)
            return
        _refuse_web(location, "listed")
        yield from list_objects(self._requester, location)

    # -- writing -----------------------------------------------------------------------------

    def write(self, href: Href, data: bytes | bytearray | memoryview | os.PathLike[str]) -> None:
        """Write an object whole or not at all; an existing one is replaced.

        A local file is written beside its place, synced and renamed, and its folder is made. To a
        store, more than 8 MiB is uploaded in parts; if that fails, the parts are removed.

        Args:
            href: The object to write.
            data: The bytes, or the path of a local file that holds them.

        Raises:
            UsageError: The place is on a web server, which cannot be written to.
        """
        location = _locate(href)
        _refuse_web(location, "written to")
        if isinstance(data, bytes | bytearray | memoryview):
            view = memoryview(data).cast("B")
            size = len(view)
            chunks: Iterable[Bytes] = _cut(view)
        else:
            path = Path(data)
            size = local.stat_file(str(path)).size_bytes or 0
            chunks = copying.read_file_parts(path)
        self._write_chunks(location, chunks, size)

    def write_over(
        self, href: Href, data: bytes | os.PathLike[str], expect: Identity | None
    ) -> None:
        """Write an object in the place of one version of it, and of no other.

        A store gets it in one request, however large it is: a writer that is killed leaves nothing.
        (S3 takes 5 GiB.) The time limit is that of each 8 MiB. In a store that knows no conditions,
        the last of several writers wins; so it does on a file system without locks.

        Args:
            href: The object to write.
            data: The bytes, or the path of a local file that holds them.
            expect: The version that is there; None if nothing is.

        Raises:
            AssetChanged: Something else is there.
            UsageError: The place is on a web server, which cannot be written to.
        """
        location = _locate(href)
        _refuse_web(location, "written to")
        view = memoryview(data) if isinstance(data, bytes) else copying.map_file(Path(data))
        if location.scheme == "file":
            with local.file_over(location.key, expect) as part:
                part.write_bytes(view)
            return
        self._requester.ask_store(
            location,
            lambda s: objects.put_over(s, location, view, expect),
            mode="put",
            parts=-(-len(view) // copying.PART),
        )

    def _write_chunks(self, location: Location, chunks: Iterable[Bytes], size: int) -> None:
        if location.scheme == "file":
            local.write_file(location.key, chunks)
        elif size <= copying.PART:
            data = b"".join(chunks)
            self._requester.ask_store(
                location, lambda s: objects.put(s, location, data), mode="put"
            )
        else:
            self._requester.ask_store(
                location, lambda s: objects.put_parts(s, location, chunks, size), mode="parts"
            )

    def copy(self, source: Href, target: Href) -> None:
        """Copy an object, in parts of 8 MiB; at most four of them are in memory.

        Within a bucket, the store makes the copy itself. The target appears whole or not at all.
        The time limit `StorageOptions.deadline_s` is that of each part, read or written; the copy
        as a whole has none, since it takes as long as the object is large.

        Raises:
            AssetChanged: The source changed meanwhile.
        """
        origin, place = _locate(source), _locate(target)
        _refuse_web(place, "written to")
        if origin.scheme == "file":
            self.write(target, Path(origin.key))
            return
        if copying.copy_inside(self._requester, origin, place):
            return
        first = self.read_range(source, 0, copying.PART)
        size = first.identity.size_bytes
        if size is None:  # without a size it cannot be read in parts
            first = self.read_blob(source)
            size = len(first.data)
        parts = copying.read_parts(self, origin.href, first, size)
        self._write_chunks(place, parts, size)

    def delete(self, href: Href) -> None:
        """Delete an object; an object that does not exist is no error."""
        location = _locate(href)
        _refuse_web(location, "deleted from")
        if location.scheme == "file":
            local.delete_file(location.key)
        else:
            self._requester.ask_store(location, lambda store: objects.delete(store, location))

    def _bound(self, location: Location, limit_bytes: int | None, limit: str) -> Bound:
        if limit_bytes is not None:
            return Bound(limit_bytes)
        limits = self._requester.options_for(location).limits
        return Bound(getattr(limits, limit), limit, limits)


def _locate(href: Href) -> Location:
    """Return the place that an href names, whatever was passed for one."""
    text = os.fspath(href) if isinstance(href, str | os.PathLike) else href
    if not isinstance(text, str):
        raise UsageError(f"An href is text or a path, not {type(href).__name__}: pass a str.")
    if len(text) > LONGEST_HREF:
        shown = redact(text[:LONGEST_HREF]).partition("?")[0][:60]
        raise UsageError(
            f"The href that begins with {shown!r} has {len(text):,} characters. No place has an "
            f"address of more than {LONGEST_HREF:,}: check where it comes from."
        )
    return parse_href(text)


def _cut(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), copying.PART):
        yield view[start : start + copying.PART]


def _refuse_negative(start: int, length: int) -> None:
    if start < 0 or length < 0:
        raise UsageError(
            f"A range begins at 0 or later and has 0 bytes or more, not ({start}, {length})."
        )


def _refuse_web(location: Location, verb: str) -> None:
    if location.scheme == "http":
        raise UsageError(
            f"{redact(location.href)}: a web server cannot be {verb}. "
            "Use a local path or an object store (s3://, gs://, az://)."
        )
