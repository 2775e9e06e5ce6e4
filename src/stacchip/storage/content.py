"""What came in place of a file: a web page, an error document, a pointer, a compressed file.

Servers answer 200 with a log-in page, stores with an error document, a checkout leaves a pointer
where a large file should be. The bytes tell, and an error should say so. Only the first of them are
looked at, and what is shown of them is short, printable and without secrets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from stacchip.storage.href import parse_href
from stacchip.storage.redaction import redact
from stacchip.storage.secret_names import may_be_secret

LOOKED_AT: Final = 1024
"""Bytes of a file that are looked at."""
_SHOWN: Final = 60
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_HTML: Final = ("text/html", "application/xhtml+xml")
_CONTROL: Final = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_PAGE: Final = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype html|html|head|body|script|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_ERROR: Final = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?<((\w+:)?(Error|ExceptionReport|ServiceExceptionReport))\b"
)
_ERROR_CODE: Final = re.compile(
    rb"<Code>\s*(\w{1,64})\s*</Code>|(?:code|exceptionCode)=\"(\w{1,64})\""
)
_JSON: Final = re.compile(rb"\s*(\{\s*[\"}]|\[\s*[\[{\"\]])")
_LFS_POINTER: Final = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\r?\n")
_LFS_SIZE: Final = re.compile(rb"\nsize (\d{1,20})\r?\n")
_ANNEX_POINTER: Final = re.compile(rb"(\S{0,400}/)?annex/objects/\S")
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"(\xb5/\xfd": "Zstandard",
    b"PK\x03\x04": "zip",
}  # fmt: skip
_ADDRESS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+")
_BEARER: Final = re.compile(r"\b(Bearer|Basic)\s+[^\s\"'<>]+", re.IGNORECASE)
_NAME: Final = re.compile(r"([\w-]+)[\\\"']*\s*[:=]\s*\\?")
_VALUE: Final = re.compile(r"\[[^\]]*\]?|\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|[^\s\"'<>&,;]*")
_SESSION: Final = re.compile(r"session|cookie", re.IGNORECASE)
# a word that is too long for prose, and has figures or only capitals: a key, a token, a checksum
_RANDOM_WORD: Final = re.compile(r"(?=[\w+/=.-]*\d)(?=[\w+/=.-]*[A-Za-z])[\w+/=.-]{16,}|[A-Z]{16,}")


@dataclass(frozen=True)
class _Content:
    """A kind of content that is not the file that was asked for.

    Attributes:
        what: The kind, with an article.
        remedy: What to do about it.
        is_certain: True if no raster of any format begins like this.
        may_be_shown: True if its first bytes tell a person more.
    """

    what: str
    remedy: str
    is_certain: bool = True
    may_be_shown: bool = True


def describe_content(
    href: str,
    data: bytes | memoryview,
    media_type: str | None = None,
    *,
    certainly: bool = False,
) -> str | None:
    """Return what is at an href in place of a file, and what to do; None if the bytes do not tell.

    Args:
        href: The file.
        data: Its first bytes.
        media_type: What a web server says that it is.
        certainly: Only tell what no raster of any format begins with.

    Example:
        >>> describe_content("a.tif", b"<html>")
        "a.tif is a web page (HTML); it begins with '<html>'. What was saved is not the file: ..."
    """
    start = bytes(data[:LOOKED_AT]).removeprefix(_BYTE_ORDER_MARK)
    if start.startswith(_UTF_16_MARKS):
        start = start.decode("utf-16", errors="replace").encode()
    content = _recognise(start, href, media_type)
    if content is None or (certainly and not content.is_certain):
        return None
    begin = f"; it begins with {show_start(start)!r}" if content.may_be_shown else ""
    return f"{redact(href)} is {content.what}{begin}. {content.remedy}"


def _recognise(start: bytes, href: str, media_type: str | None) -> _Content | None:
    """Return the kind of content that these first bytes are; None if it is none of these kinds."""
    sent = f", sent as {media_type}" if media_type else ""
    if _PAGE.match(start):
        return _Content(f"a web page (HTML{sent})", fetch_remedy(href))
    if _ERROR.match(start):
        code = _ERROR_CODE.search(start)
        named = f", {(code[1] or code[2]).decode()}" if code else ""
        # a store's error may show the key that it does not know
        what = f"an error document (XML{named}{sent})"
        return _Content(what, fetch_remedy(href), may_be_shown=False)
    if _JSON.match(start):
        return _Content(f"a document (JSON{sent})", fetch_remedy(href), is_certain=False)
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            remedy = "Decompress it: a file that is compressed as a whole cannot be read in parts."
            what = f"a compressed file ({name}{sent})"
            return _Content(what, remedy, is_certain=False, may_be_shown=False)
    pointer = _recognise_pointer(start)
    if pointer is None and media_type in _HTML and is_text(start):
        return _Content(f"text{sent}", fetch_remedy(href), is_certain=False)
    return pointer


def _recognise_pointer(start: bytes) -> _Content | None:
    """Return the pointer that a repository holds in place of a large file; None if it is none."""
    if _LFS_POINTER.match(start):
        size = _LFS_SIZE.search(start)
        of = f" to a file of {int(size[1]):,} bytes" if size else ""
        remedy = "Run `git lfs pull` in a clone of its repository."
        return _Content(f"a Git LFS pointer{of}", remedy, may_be_shown=False)
    if _ANNEX_POINTER.match(start):
        remedy = "Run `git annex get` in a clone of its repository."
        return _Content("a git-annex pointer", remedy, may_be_shown=False)
    return None


def is_text(data: bytes) -> bool:
    """Return True if bytes hold no control characters but those of text.

    Example:
        >>> is_text(b"Access denied"), is_text(bytes([73, 73, 42, 0])), is_text(b"")
        (True, False, False)
    """
    return bool(data) and not _CONTROL.search(data)


def fetch_remedy(href: str) -> str:
    """Return what to do if something else than a file came from its address."""
    scheme = parse_href(href).scheme
    if scheme == "file":
        return "What was saved is not the file: fetch it again."
    if scheme == "http":
        return (
            "The server may want a log-in: in Python, pass "
            "StorageOptions(headers={'Authorization': ...}), or Storage(sign=...) if its addresses "
            "must be signed."
        )
    return "Something else than a store may answer there: check StorageOptions(endpoint=...)."


def show_start(data: bytes | memoryview) -> str:
    """Return the first bytes as short, printable text without secrets.

    Example:
        >>> show_start(b'{"detail": "no", "token": "eyJhbGciOiJIUzI1NiJ9"}')
        '{"detail": "no", "token": ***}'
        >>> show_start(bytes([73, 73, 42, 0, 8]))
        'II*..'
    """
    text = bytes(data[:LOOKED_AT]).decode("utf-8", errors="replace")
    text = " ".join(text.split())
    text = _ADDRESS.sub(lambda match: redact(match[0]).partition("?")[0], text)
    text = _hide_values(_BEARER.sub(r"\1 ***", text))
    text = _RANDOM_WORD.sub("***", text)
    shown = "".join(c if c.isprintable() and c != "\ufffd" else "." for c in text)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."


def _hide_values(text: str) -> str:
    """Return text without the values of names that stand for secrets."""
    shown, at = "", 0
    for name in _NAME.finditer(text):
        is_secret = may_be_secret(name[1]) or _SESSION.search(name[1])
        value = _VALUE.match(text, name.end())
        if is_secret and value and value[0] and name.start() >= at:
            shown += text[at : name.end()] + "***"
            at = value.end()
    return shown + text[at:]
