"""HTTP(S): make one attempt of one read, and judge the answer."""

from __future__ import annotations

import contextlib
import io
import re
import time
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from urllib3.connection import port_by_scheme
from urllib3.util import Url, parse_url

from stacchip.errors import StorageError
from stacchip.runtime.per_process import PerProcess
from stacchip.storage.content import LOOKED_AT, describe_content
from stacchip.storage.failure import (
    TransientError,
    describe_status,
    failure_of_status,
)
from stacchip.storage.href import split_href
from stacchip.storage.identity import Blob, Identity
from stacchip.storage.local_hosts import is_local_host
from stacchip.storage.redaction import redact
from stacchip.storage.transports import encoded_body, redirects, web_connection
from stacchip.storage.transports.web_failure import translating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeVar

    from urllib3 import BaseHTTPResponse

    from stacchip.storage.limits import Bound
    from stacchip.storage.options import StorageOptions

    T = TypeVar("T")

MOST_REDIRECTS = 5
# if a server ignores the range: how far into its answer we read to reach it
LARGEST_UNASKED = 16 * 1024 * 1024
LARGEST_REFUSAL = 64 * 1024
LONGEST_DRAIN_S = 1.0
PIECE = 1024 * 1024
# what follows a member of gzip is copied, and a member may take 20 bytes
SMALL_PIECE = 64 * 1024
# longer ones are no tags and no dates; an index keeps what it is given
LONGEST_TAG = 512
LARGEST_SKEW_S = 60.0
# the names of units are case-insensitive (RFC 9110, 14.1); "=" is a common slip for the space
CONTENT_RANGE = re.compile(
    r"bytes[ =]\s*([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE
)
COUNT = re.compile(r"[0-9]{1,18}")
# statuses of success that come without the file: 202 while an archive fetches it from tape
_WITHOUT_FILE = frozenset((202, 204, 205))
# hosts that refused a tag of their own
_REFUSING: PerProcess[set[str]] = PerProcess(set)


def _failure_of_encoding(url: str, encoding: str) -> StorageError:
    shown = redact(url)
    text = f"{shown}: the server sent an encoding that cannot be read ({encoding})."
    return StorageError(text, href=shown)


def send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    options: StorageOptions,
    until_s: float,
    *,
    is_named: bool = False,
) -> contextlib.closing[BaseHTTPResponse]:
    """Send a request without a body, follow redirects, and return the answer, whatever its status.

    The headers of the options and the URL's password go to the first origin only. If the user named
    it (`is_named`), it may be this machine by another name.
    """
    parsed = first = translating(url, partial(parse_url, url))
    # a server of this machine may lead to another one here, but not by way of one elsewhere
    may_be_local = options.allow_local or is_local_host(first.host or "")
    always = {"User-Agent": "stacchip", "Accept-Encoding": "identity", **headers}
    own = _merge(always, options.headers, web_connection.authorization(first))
    for _ in range(MOST_REDIRECTS + 1):
        is_first = _origin(parsed) == _origin(first)
        sent = own if is_first else always
        ask = partial(web_connection.request, method, parsed, sent, options, until_s)
        answer = translating(url, partial(ask, is_named=is_named and is_first))
        location = answer.get_redirect_location()
        if not location:
            return contextlib.closing(answer)
        with contextlib.closing(answer):
            _drain(answer, url)
        target = redirects.join(url, location)
        redirects.require_http(parsed.url, target)
        parsed = translating(target, partial(parse_url, target))
        if not may_be_local:
            redirects.refuse_local(url, parsed)
        may_be_local = options.allow_local or (may_be_local and is_local_host(parsed.host or ""))
        url = target
    raise StorageError(f"{redact(url)} redirects too often.", href=redact(url))


def _merge(*several: Mapping[str, str]) -> dict[str, str]:
    """Return headers, of one name in any case the last: two lines of it would both be sent."""
    merged = {name.lower(): (name, value) for each in several for name, value in each.items()}
    return dict(merged.values())


def _origin(url: Url) -> tuple[str | None, str | None, int | None]:
    return url.scheme, url.host, url.port or port_by_scheme.get(url.scheme or "")


def _read(answer: BaseHTTPResponse, url: str, amount: int) -> bytes:
    """Read the first `amount` bytes of the body as it was sent, or all if there are fewer."""
    web_connection.expect_body(amount)
    # if that is all, it is read into memory from the pool
    asked = None if amount == _size(answer) else amount
    return translating(url, partial(answer.read, asked, decode_content=False))


def _drain(answer: BaseHTTPResponse, url: str) -> None:
    """Read a body that is not needed, usually to its end, so that the connection can be kept."""
    web_connection.hurry(LONGEST_DRAIN_S)
    with contextlib.suppress(TransientError, StorageError):
        _read(answer, url, LARGEST_REFUSAL)


def _size(answer: BaseHTTPResponse) -> int | None:
    """Return the Content-Length, if the answer has one that counts (RFC 9112, 6.3)."""
    if "Transfer-Encoding" in answer.headers:
        return None
    return _read_count(answer.headers.get("Content-Length", ""))


def _read_count(text: str) -> int | None:
    """Return a number of bytes from a header."""
    return int(text) if COUNT.fullmatch(text) else None


def _identify(answer: BaseHTTPResponse, size_bytes: int | None) -> Identity:
    """Return the identity of an object of this size."""
    headers = answer.headers
    etag, modified = (
        value if value and len(value) <= LONGEST_TAG else None
        for value in (headers.get("ETag"), headers.get("Last-Modified"))
    )
    if etag and modified and not _is_settled(modified, headers.get("Date") or _our_date()):
        modified = None
    return Identity(size_bytes, etag, modified)


def _our_date() -> str:
    """Return the time of a server that does not tell it; its clock may be late."""
    return formatdate(time.time() - LARGEST_SKEW_S, usegmt=True)


@lru_cache(maxsize=4096)
def _is_settled(modified: str, now: str) -> bool:
    """Return True if a file that changes from now on gets a later time of modification.

    These times count whole seconds. A file that was changed in the second of the answer itself may
    change again and keep its time (RFC 9110, section 8.8.2.2).
    """
    try:
        return parsedate_to_datetime(modified) < parsedate_to_datetime(now)
    except (ValueError, TypeError, ArithmeticError, LookupError):  # no dates, or one without a zone
        return False


def _encoding(answer: BaseHTTPResponse) -> str:
    return answer.headers.get("Content-Encoding", "").strip().lower() or "identity"


def _media_type(answer: BaseHTTPResponse) -> str | None:
    """Return the media type without its parameters."""
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() or None


def check(answer: BaseHTTPResponse, url: str) -> None:
    """Raise the error for a status, unless it means that the file, or a part of it, is here.

    Raises:
        TransientError: Another attempt may succeed.
        StorageError: No attempt can succeed.
    """
    if 200 <= answer.status < 300 and answer.status not in _WITHOUT_FILE:
        return
    if answer.status < 200:  # informational, and nothing follows that could be told apart
        raise TransientError(describe_status(answer.status), answer.status)
    _drain(answer, url)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    code = headers.get("x-ms-error-code")
    raise failure_of_status(url, answer.status, code=code, headers=headers)


def get(
    url: str, options: StorageOptions, until_s: float, bound: Bound, *, is_named: bool = False
) -> Blob:
    """Read a whole object, and decompress it if the server sent it compressed."""
    with send("GET", url, {}, options, until_s, is_named=is_named) as answer:
        check(answer, url)
        if answer.status == 206 and not _is_whole(answer):
            raise TransientError("a part of what was requested", answer.status)
        size = _size(answer)
        if size is not None and size > bound.most_bytes:
            raise bound.exceeded(url)
        if _encoding(answer) == "identity" and size is not None:
            data = _read(answer, url, size)
        else:
            data = _read_untold(answer, url, bound.most_bytes)
        if len(data) > bound.most_bytes:
            raise bound.exceeded(url)
        return Blob(data, _identify(answer, len(data)), media_type=_media_type(answer))


def _is_whole(answer: BaseHTTPResponse) -> bool:
    """Return True if a 206 says that its range is the whole object."""
    match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    return match is not None and int(match[1]) == 0 and str(int(match[2]) + 1) == match[3]


def _read_untold(answer: BaseHTTPResponse, url: str, most_bytes: int) -> bytes:
    """Read a body of unknown size, decompressed; one byte more than `most_bytes` if it is longer.

    It grows in one place: parts that are joined would take the memory twice.
    """
    encoding = _encoding(answer)
    piece = PIECE if encoding == "identity" else SMALL_PIECE
    parts = _read_pieces(answer, url, most_bytes + 1, piece)
    if encoding == "identity":
        body = io.BytesIO()
        body.writelines(parts)
        return body.getvalue()
    if encoding not in encoded_body.ENCODINGS:
        raise _failure_of_encoding(url, encoding)
    try:
        return encoded_body.decompress(encoding, parts, most_bytes)
    except encoded_body.BrokenBodyError as error:
        raise _failure_of_encoding(url, str(error)) from error


def _read_pieces(
    answer: BaseHTTPResponse, url: str, most_bytes: int, piece: int
) -> Iterator[bytes]:
    left = most_bytes
    while left and (part := _read(answer, url, min(piece, left))):
        left -= len(part)
        yield part


def get_range(
    url: str,
    start: int,
    length: int,
    *,
    expect: Identity | None,
    options: StorageOptions,
    until_s: float,
    is_named: bool = False,
) -> Blob:
    """Read a range, or as much of it as the object has."""
    headers = {"Range": f"bytes={start}-{start + length - 1}"}
    is_strong = expect and expect.etag and not expect.etag.startswith("W/")
    if expect and is_strong and _host(url) not in _REFUSING.get():
        headers["If-Match"] = expect.etag or ""  # needs a strong tag (RFC 9110, 13.1.1)
    with send("GET", url, headers, options, until_s, is_named=is_named) as answer:
        if answer.status in (412, 416):
            _drain(answer, url)
        if answer.status == 412 and expect and "If-Match" in headers:
            again = partial(get_range, options=options, until_s=until_s, is_named=is_named)
            return _ask_unconditionally(url, partial(again, url, start, length), expect)
        if answer.status == 416:
            size = _read_count(answer.headers.get("Content-Range", "").rpartition("/")[2])
            if size is not None and size > start:  # then the range is there
                raise TransientError("an answer that contradicts itself", answer.status)
            return Blob(b"", _identify(answer, size), start)
        check(answer, url)
        if _encoding(answer) != "identity":
            text = (
                f"{redact(url)}: the server compresses its answer ({_encoding(answer)}), which "
                "then has no ranges. Copy the file to a store that serves it as it is."
            )
            raise StorageError(text, href=redact(url), status=answer.status)
        if answer.status == 206:
            return _read_part(answer, url, start, length)
        return _slice_whole(answer, url, start, length, expect)


def get_end(
    url: str, length: int, options: StorageOptions, until_s: float, *, is_named: bool = False
) -> Blob | None:
    """Read the last bytes of an object; None if the server does not send them when asked so.

    Some servers take such a range for another one, or ignore it (RFC 9110, 14.1.2).
    """
    headers = {"Range": f"bytes=-{length}"}
    with send("GET", url, headers, options, until_s, is_named=is_named) as answer:
        if answer.status in (400, 405, 416, 501):
            _drain(answer, url)
            return None
        check(answer, url)
        match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if answer.status != 206 or match is None or match[3] == "*":
            return None
        size = int(match[3])
        start = max(0, size - length)
        is_end = int(match[1]) == start and int(match[2]) == size - 1
        if not is_end or _encoding(answer) != "identity":
            return None
        return _read_part(answer, url, start, size - start)


def _ask_unconditionally(url: str, ask: Callable[..., Blob], expect: Identity) -> Blob:
    """Read a range although the server says that it does not have the version that is expected.

    The caller compares what comes. Some servers refuse a tag that they sent themselves, and some
    mirrors have tags of their own: such a host is not asked for versions again.
    """
    blob = ask(expect=None)
    if expect.matches(blob.identity, is_mirrored=True):
        _REFUSING.get().add(_host(url))
    return blob


def _host(url: str) -> str:
    return split_href(url).netloc


def _read_part(answer: BaseHTTPResponse, url: str, start: int, length: int) -> Blob:
    """Return the body of a 206, if it is the requested range."""
    match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != start or int(match[2]) < start:
        raise TransientError("another range than requested", answer.status)
    size = None if match[3] == "*" else int(match[3])
    announced = int(match[2]) + 1 - start
    sent = _size(answer)
    # only at the object's end may a range be shorter than requested
    is_cut_off = announced < length and size is not None and start + announced < size
    if is_cut_off or sent not in (None, announced):
        raise TransientError("a short read", answer.status)
    # what was not asked for is not read
    data = _read(answer, url, min(announced, length))
    if len(data) != min(announced, length):
        raise TransientError("a short read", answer.status)
    if announced > length or sent is None:
        _drain(answer, url)
    return Blob(data, _identify(answer, size), start, _media_type(answer))


def _slice_whole(
    answer: BaseHTTPResponse, url: str, start: int, length: int, expect: Identity | None
) -> Blob:
    """Cut the range out of the whole body that a server sent because it ignored the range."""
    size = _size(answer)
    head = b""
    if expect is not None and size != expect.size_bytes is not None:
        head = _read(answer, url, min(LOOKED_AT, start + length))
        _refuse_foreign(answer, url, head)
    if start + length > LARGEST_UNASKED and (size or 2**62) > LARGEST_UNASKED:
        text = (
            f"{redact(url)}: the server ignores ranges, and the file is too large to read whole "
            "each time. Copy it to a store that serves ranges."
        )
        raise StorageError(text, href=redact(url), status=answer.status)
    needed = min(start + length, LARGEST_UNASKED) - len(head)
    data = head + (_read(answer, url, needed) if needed > 0 else b"")
    if size is not None and len(data) < min(size, start + length):
        raise TransientError("a short read")
    if size is None and len(data) < start + length:
        size = len(data)
    return Blob(memoryview(data)[start:], _identify(answer, size), start, _media_type(answer))


def _refuse_foreign(answer: BaseHTTPResponse, url: str, head: bytes) -> None:
    """Refuse what came in place of a file of another size, if its first bytes tell."""
    text = describe_content(url, head, _media_type(answer))
    if text is not None:
        raise StorageError(text, href=redact(url), status=answer.status)


def stat(url: str, options: StorageOptions, until_s: float, *, is_named: bool = False) -> Identity:
    """Return the identity of an object, by HEAD or else by its first byte.

    Some servers do not support HEAD, and a URL that is signed for GET refuses it.
    """
    with send("HEAD", url, {}, options, until_s, is_named=is_named) as answer:
        _drain(answer, url)
        if answer.status in (200, 203) and _size(answer) is not None:
            return _identify(answer, _size(answer))
        if not 200 <= answer.status < 300 and answer.status not in (400, 401, 403, 405, 501):
            check(answer, url)
    first = get_range(url, 0, 1, expect=None, options=options, until_s=until_s, is_named=is_named)
    return first.identity
