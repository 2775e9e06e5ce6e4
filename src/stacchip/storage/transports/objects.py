"""Object stores through obstore: make one attempt of one request, and judge its errors.

obstore's own retries are switched off, so that one policy holds everywhere. Only the parts of a
multipart upload keep them, since only obstore can repeat a single part.

A store is trusted further than a web server: its endpoint comes from the options or is that of AWS,
Google or Azure, never from an item. Objects and ranges are read no further than they may be, but
obstore reads error documents and listings whole, in the time that is left, and has no option to
limit them. If one is said to be larger than the memory, Rust ends the process.
"""

from __future__ import annotations

import re
import time
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from stacchip.errors import (
    AccessDenied,
    ObjectNotFound,
    StacchipError,
    StorageError,
    UsageError,
)
from stacchip.storage.deadline import call_within
from stacchip.storage.failure import (
    TRANSIENT_STATUSES,
    TransientError,
    failure_of_change,
    failure_of_status,
)
from stacchip.storage.href import Location
from stacchip.storage.identity import Blob, Entry, Identity
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from obstore.store import ObjectStore

    from stacchip.storage.limits import Bound

    T = TypeVar("T")

STATUS = re.compile(r"non-2xx status code: (\d{3})")
# addresses where a machine in a cloud asks for its own credentials: obstore's last resort
METADATA_SERVICE = re.compile(
    r"169\.254\.169\.254|metadata\.google\.internal|/latest/(api/token|meta-data)"
    r"|computeMetadata|metadata/identity"
)
CODE = re.compile(r"<Code>(\w{1,64})</Code>")
# S3 allows 10,000 parts of at least 5 MiB
SMALLEST_PART = 8 * 1024 * 1024
MOST_PARTS = 9_000
_NOT_IMPLEMENTED = 501
# as many as a store lists in one answer
PAGE = 1000
# S3, GCS and Azure allow 1,024 characters or bytes; a store of one's own may allow some more
LONGEST_KEY = 4096


def call(location: Location, expect: Identity | None, request: Callable[[], T]) -> T:
    """Make one request, and turn errors of obstore into ours.

    The original is not chained: its text is a dump that can hold keys and signatures.

    Raises:
        TransientError: Another attempt may succeed.
        WrongRegionError: The bucket is in another region.
        StorageError: No attempt can succeed.
    """
    failure: Exception
    try:
        return request()
    except (AlreadyExistsError, PreconditionError):
        failure = failure_of_change(location.href, expect, None)
    except (BaseError, FileNotFoundError, ValueError, TypeError, OSError) as error:
        failure = _failure_of(error, location, expect)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what pyo3 makes of a panic; not exported
            raise
        shown = redact(location.href)
        failure = StorageError(f"The client of the store failed at {shown}.", href=shown)
    raise failure


class WrongRegionError(Exception):
    """A bucket answered that it is in another region. Never reaches a user."""


def _failure_of(  # noqa: PLR0911 - a table of cases
    error: Exception, location: Location, expect: Identity | None
) -> Exception:
    """Translate an error of obstore, whose only facts are its class and its text."""
    if isinstance(error, StacchipError):  # from reading the data of an upload
        return error
    if isinstance(error, TimeoutError):
        return TransientError("a time-out")
    text = str(error)
    href, shown = location.href, redact(location.href)
    status_match, code_match = STATUS.search(text), CODE.search(text)
    code = code_match[1] if code_match else None
    is_busy = status_match is not None and int(status_match[1]) in TRANSIENT_STATUSES
    if METADATA_SERVICE.search(text) and not is_busy:
        return _failure_of_credentials(location)
    if "redirect without LOCATION" in text:
        return WrongRegionError()
    if status_match:
        status = int(status_match[1])
        if status == 412:
            return failure_of_change(href, expect, None)
        return failure_of_status(href, status, code=code)
    if isinstance(error, FileNotFoundError):
        return ObjectNotFound(f"Nothing is at {shown}.", href=shown)
    if isinstance(error, ValueError | TypeError):
        return UsageError(
            f"{shown!r} is not a key of an object store: does it have an empty or '..' part?"
        )
    if "non-partial response" in text or "UnexpectedRange" in text:
        return TransientError("an answer that did not send the requested range")
    return _failure_of_transport(text, location)


def _failure_of_transport(text: str, location: Location) -> Exception:
    """Translate a failure below HTTP."""
    shown = redact(location.href)
    if "certificate" in text.lower():
        message = f"{shown}: the store's certificate is not trusted."
        return StorageError(message, href=shown)
    for sign, reason in (
        ("kind: Timeout", "a time-out"),
        ("TimedOut", "a time-out"),
        ("kind: Connect", "a failed connection"),
        ("response body error", "a short read"),
        ("error sending request", "a failed connection (closed by the server)"),
        ("HTTP error", "a failed connection"),
    ):
        if sign in text:
            return TransientError(reason)
    first = re.split(r"[\n:]", text, maxsplit=1)[0][:80]
    return StorageError(f"The request for {shown} failed: {first}.", href=shown)


def _failure_of_credentials(location: Location) -> AccessDenied:
    """Return the error for missing credentials: the machine has none of its own either."""
    denied = failure_of_status(location.href, 401)
    shown = redact(location.href)
    remedy = str(denied).partition("). ")[2]
    return AccessDenied(f"No credentials were found for {shown}. {remedy}", href=shown)


def get(store: ObjectStore, location: Location, bound: Bound) -> Blob:
    """Read a whole object."""
    result = call(location, None, lambda: obstore.get(store, location.key))
    identity = _identity(result.meta)
    size = identity.size_bytes or 0
    if size > bound.most_bytes:
        raise bound.exceeded(location.href)
    return Blob(_read(result, location, None, size), identity)


def _read(result: Any, location: Location, expect: Identity | None, size: int) -> memoryview:
    """Return the body of an answer, which must have this size; more of it is not read."""
    # one part holds everything, and a byte that is too many
    parts = call(location, expect, lambda: iter(result.stream(min_chunk_size=size + 1)))
    data = memoryview(call(location, expect, lambda: next(parts, b"")))
    if len(data) != size:  # obstore checks this too, but wrong pixels are worth a second check
        raise TransientError("a short read" if len(data) < size else "more bytes than requested")
    return data


def get_range(
    store: ObjectStore, location: Location, start: int, length: int, expect: Identity | None
) -> Blob:
    """Read a range, or as much of it as the object has."""
    options: Any = {"range": (start, start + length)}
    if expect and expect.etag and not expect.etag.startswith("W/"):
        options["if_match"] = expect.etag
    try:
        result = call(location, expect, lambda: obstore.get(store, location.key, options=options))
    except StorageError as error:
        if error.status == 416:  # the range begins past the end
            return Blob(b"", stat(store, location), start)
        raise
    identity = _identity(result.meta)
    have = min(length, (identity.size_bytes or 0) - start)
    return Blob(_read(result, location, expect, max(0, have)), identity, start)


def get_end(store: ObjectStore, location: Location, length: int) -> Blob | None:
    """Read the last bytes of an object; None if the store does not send them when asked so."""
    if location.scheme == "az":  # Azure has no such ranges
        return None
    options: Any = {"range": {"suffix": length}}
    try:
        result = call(location, None, lambda: obstore.get(store, location.key, options=options))
    except StorageError as error:
        if error.status == 416:  # the object is empty
            return None
        raise
    identity = _identity(result.meta)
    size = identity.size_bytes or 0
    start = max(0, size - length)
    if tuple(result.range) != (start, size):
        return None
    return Blob(_read(result, location, None, size - start), identity, start)


def stat(store: ObjectStore, location: Location) -> Identity:
    """Return the identity of an object."""
    return _identity(call(location, None, lambda: obstore.head(store, location.key)))


def _identity(meta: Any) -> Identity:
    modified = meta["last_modified"]
    date = format_datetime(modified, usegmt=True) if modified else None
    return Identity(meta["size"], meta["e_tag"], date)


def put(store: ObjectStore, location: Location, data: bytes | memoryview) -> None:
    """Write a small object in one request."""
    call(location, None, lambda: obstore.put(store, location.key, data, use_multipart=False))


def put_over(
    store: ObjectStore, location: Location, data: memoryview, expect: Identity | None
) -> None:
    """Write an object in one request in the place of one version; of none, if that is None.

    Raises:
        AssetChanged: Something else is there.
    """
    mode: Any = "create"
    if expect is not None:
        try:
            meta = call(location, None, lambda: obstore.head(store, location.key))
        except ObjectNotFound:
            raise failure_of_change(location.href, expect, None) from None
        if meta["e_tag"] != expect.etag:
            raise failure_of_change(location.href, expect, _identity(meta))
        # Google asks for the version
        mode = {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}
    try:
        call(location, expect, lambda: obstore.put(store, location.key, data, mode=mode))
    except StorageError as error:
        if error.status != _NOT_IMPLEMENTED:
            raise
        put(store, location, data)


def put_parts(
    store: ObjectStore,
    location: Location,
    chunks: Iterable[bytes | memoryview],
    size_bytes: int,
) -> None:
    """Write a large object in parts; it appears with the last one.

    If `chunks` or the upload fails, the upload is aborted, so that no parts are left to be billed.
    """
    part = max(SMALLEST_PART, -(-size_bytes // MOST_PARTS))
    call(
        location,
        None,
        lambda: obstore.put(
            store,
            location.key,
            iter(chunks),
            use_multipart=True,
            chunk_size=part,
            max_concurrency=4,
        ),
    )


def list_pages(
    store: ObjectStore, location: Location, after: str | None, deadline_s: float
) -> Iterator[list[tuple[str, Entry]]]:
    """Yield pages of (key, entry) below a prefix, beginning after the key `after`.

    obstore refuses keys with parts that are empty, "." or "..", or with control characters.

    Raises:
        StorageError: The store lists what is not below the prefix: who reads, or deletes, what a
            folder holds would reach other objects.
    """
    prefix = location.key or None
    pages = call(
        location,
        None,
        lambda: iter(obstore.list(store, prefix=prefix, offset=after, chunk_size=PAGE)),
    )
    done: Any = object()

    def ask() -> Any:
        # obstore goes on by itself from page to page as long as they are empty
        until_s = time.monotonic() + deadline_s
        return call_within(lambda: call(location, None, lambda: next(pages, done)), until_s)

    while (page := call(location, None, ask)) is not done:
        yield [
            (meta["path"], _entry(location, meta))
            for meta in page
            if meta["path"] != location.key  # the folder itself, as consoles make it
        ]


def _entry(folder: Location, meta: Any) -> Entry:
    """Return an object that was listed, if it is below the folder that was asked for."""
    key: str = meta["path"]
    if len(key) > LONGEST_KEY or not key.startswith(f"{folder.key}/" if folder.key else ""):
        shown = redact(folder.href)
        raise StorageError(
            f"{shown}: the store lists the key {key[:60]!r}, which cannot be the key of an object "
            "below this folder. Check StorageOptions(endpoint=...).",
            href=shown,
        )
    return Entry(Location(folder.scheme, folder.root, key, folder.account).href, meta["size"])


def delete(store: ObjectStore, location: Location) -> None:
    """Delete an object; an object that does not exist is no error."""
    try:
        call(location, None, lambda: obstore.delete(store, location.key))
    except ObjectNotFound:
        return


def copy(store: ObjectStore, source: Location, target: Location) -> None:
    """Copy within a bucket; the bytes stay in the store."""
    call(source, None, lambda: obstore.copy(store, source.key, target.key))
