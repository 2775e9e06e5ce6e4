"""Mutants of HTTP answers: lists of changes, which the server makes to its sound answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .damage import ODD
from .kinds import weighted

if TYPE_CHECKING:
    from random import Random

VERBS: Final = (
    "range",
    "ranges",
    "whole",
    "stat",
    "open",
    "item",
    "collection",
    "search",
    "index",
    "tiff",
    "copy",
)
_STATUS_LINES: Final = (
    "HTTP/1.1 200 OK",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 206 Partial Content",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 400 Bad",
    "HTTP/1.1 401 No",
    "HTTP/1.1 403 No",
    "HTTP/1.1 404 No",
    "HTTP/1.1 412 No",
    "HTTP/1.1 416 No",
    "HTTP/1.1 418 Tea",
    "HTTP/1.1 429 Slow",
    "HTTP/1.1 500 Oh",
    "HTTP/1.1 503 Oh",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 999 What",
    "HTTP/1.1 -1 x",
    "HTTP/1.1 99999999999 x",
    "HTTP/1.1 2oo OK",
    "HTTP/1.1",
    "HTTP/9.9 200 OK",
    "HTTP/0.9 200",
    "ICY 200 OK",
    "",
    " ",
    "\0\0\0",
    "HTTP/1.1 200 " + "x" * 70_000,
    "é 200 ü",
)
_HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "Content-Length": (
        "0",
        "1",
        "-1",
        "4999",
        "5001",
        "1e3",
        "0x10",
        "",
        "abc",
        "99999999999999999999",
        "9223372036854775807",
        "5000, 5000",
        "5000,4",
        "+5000",
        " 5000 ",
        "²",
    ),
    "Content-Range": (
        "bytes 100-5099/*",
        "bytes */60000",
        "bytes 0-4999/60000",
        "bytes 101-5100/60000",
        "bytes 100-5099/5",
        "bytes 5099-100/60000",
        "bytes 100-99999999999/100000000000",
        "bytes -1--1/-1",
        "items 1-2/3",
        "",
        "bytes",
        "bytes 100-5099/1e9",
        "bytes ²-³/9",
        "bytes 100-5099/99999999999999999999999",
        "bytes=100-5099/60000",
        "100-5099/60000",
        "bytes 99999999999999999999-99999999999999999999999/99999999999999999999999999",
    ),
    "ETag": ("", '"other"', "W/", 'W/"x"', '"' + "e" * 9000 + '"', "\xff\xfe", '"a", "b"', "\x01"),
    "Last-Modified": (
        "",
        "yesterday",
        "Thu, 99 Foo 9999 99:99:99 GMT",
        "0",
        "-1",
        "\xff",
        "9" * 5000,
    ),
    "Content-Type": (
        "text/html",
        "",
        "application/json; charset=utf-16",
        "\xff",
        "a/b" * 5000,
        ";;;",
    ),
    "Content-Encoding": (
        "gzip",
        "deflate",
        "br",
        "zstd",
        "identity",
        "x",
        "gzip, gzip, gzip, gzip",
        ", ".join(["gzip"] * 500),
    ),
    "Transfer-Encoding": ("chunked", "gzip", "identity", "chunked, chunked", "x"),
    "Retry-After": (
        "0",
        "-1",
        "1e9",
        "99999999999999999999",
        "never",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "nan",
        "inf",
        "",
    ),
    "Connection": ("close", "keep-alive", "upgrade", ""),
    "Location": (
        "",
        "/",
        "data.bin",
        "http://",
        "//",
        "http://[",
        "ftp://h/a",
        "file:///etc/passwd",
        "http://127.0.0.1:1/a",
        "http://h:port/",
        "\xff",
        "/loop",
        "http://169.254.169.254/",
    ),
    "Set-Cookie": ("a=b", "x" * 9000),
    "Accept-Ranges": ("none", "bytes"),
    "x-ms-blob-type": ("x",),
}
_LINES: Final = (
    "no colon here",
    ": no name",
    "a b: c",
    " folded",
    "x: " + "y" * 100_000,
    "\0: \0",
    "é: ü",
    "Content-Length: 7",
    "Content-Length: 5000",
    "Content-Range: bytes 0-1/2",
    "X\r: y",
    "A" * 70_000,
)
_BODIES: Final = (
    "",
    " ",
    "null",
    "[]",
    "{}",
    "0",
    '"x"',
    "<html></html>",
    "<Error><Code>x</Code></Error>",
    "PAR1",
    "II*\0",
    "[" * 5000,
    '{"type": "FeatureCollection"}',
    '{"type": "FeatureCollection", "features": 1}',
    '{"type": "FeatureCollection", "features": [null, 1, "x", [], {}]}',
    '{"links": 1}',
    "\xff\xfe",
    '{"type": "Catalog", "links": [{"rel": "item", "href": "collection.json"}]}',
    '{"type":"FeatureCollection","features":[],"links":[{"rel":"next","href":"/api/search"}]}',
    '{"type":"FeatureCollection","features":[],"links":[{"rel":"next","href":1,"body":[]}]}',
    '{"type":"Catalog","id":"x","stac_version":"1.0.0","description":"","conformsTo":1,"links":[]}',
    '{"files": ["../../x.parquet", "chips.parquet"]}',
    '{"files": 5}',
    '{"files": [null]}',
    '{"files": ["\\u0000", "http://127.0.0.1:1/x"]}',
)
_GARBAGE: Final = (
    "",
    "\0",
    "\r\n",
    "\r\n\r\n",
    "SSH-2.0-OpenSSH_9\r\n",
    "\x16\x03\x01\x02\x00",
    "220 ftp\r\n",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 2\n\nab",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 206 x\r\nContent-Range: bytes 0-0/1\r\n\r\n",
    "x" * 100_000,
    "HTTP/1.1 100 Continue\r\n\r\n" * 2000,
    "HTTP/1.1 200 OK\r\n" + "a: b\r\n" * 5000,
)
# after these, bytes that are not the file's may come in a form that no client can tell from sound
_LIES: Final = frozenset({"body", "shift", "garbage", "status", "encode", "twice", "chunks"})


def mutate_answers(dice: Random) -> dict[str, Any]:
    """Return what is read, and the changes of each answer; the last ones are made again and again.

    `is_judged` says that what comes must be right, or an error.
    """
    answers = []
    for _ in range(weighted(dice, {1: 6, 2: 2, 4: 1})):
        number = weighted(dice, {0: 1, 1: 6, 2: 3, 4: 1})
        answers.append([_change(dice) for _ in range(number)])
    made = [change for changes in answers for change in changes]
    named = {change[1] for change in made if change[0] in ("header", "drop")}
    names = {change[0] for change in made}
    # a byte taken away and another one added leave an answer of the right length
    is_lie = bool(names & _LIES) or {"cut", "more"} <= names
    is_judged = not is_lie and not named & {"Content-Range", "Content-Encoding", "Location"}
    is_judged = is_judged or _is_plain(made)
    return {"verb": dice.choice(VERBS), "answers": answers, "is_judged": is_judged}


def _is_plain(made: list[list[Any]]) -> bool:
    """Whether the only change is another Content-Range, which contradicts the request."""
    return [change[:2] for change in made] == [["header", "Content-Range"]]


def _change(dice: Random) -> list[Any]:
    name = weighted(dice, _CHANGES)
    if name == "status":
        return [name, dice.choice(_STATUS_LINES)]
    if name == "header":
        header = dice.choice(list(_HEADERS))
        value = dice.choice(_HEADERS[header])
        if header in ("Content-Length", "Retry-After") and dice.random() < 0.3:
            value = str(dice.choice(ODD))
        return [name, header, value]
    if name == "drop":
        return [name, dice.choice(("Content-Length", "Content-Range", "ETag", "Last-Modified"))]
    choices = {
        "line": _LINES,
        "body": _BODIES,
        "garbage": _GARBAGE,
        "redirect": _HEADERS["Location"],
    }
    if name == "redirect":
        return [name, dice.choice((301, 302, 303, 307, 308)), dice.choice(choices[name])]
    if name in choices:
        return [name, dice.choice(choices[name])]
    if name in ("cut", "more", "shift"):
        return [name, dice.choice((0, 1, 2, 10, 100, 4096, 4999))]
    if name == "encode":
        return [
            name,
            dice.choice(("gzip", "deflate", "gzip-bomb", "gzip-cut", "gzip-broken", "raw")),
        ]
    if name == "chunks":
        return [name, dice.choice(("sound", "huge", "negative", "garbage", "no end", "long line"))]
    return [name]


_CHANGES: Final = {
    "status": 3,
    "header": 8,
    "drop": 2,
    "line": 2,
    "body": 2,
    "garbage": 1,
    "redirect": 1,
    "cut": 3,
    "more": 1,
    "shift": 1,
    "encode": 1.5,
    "chunks": 2,
    "reset": 0.5,
    "twice": 0.3,
    "endless": 0.15,
    "drip": 0.1,
    "hang": 0.1,
    "close": 0.5,
}
