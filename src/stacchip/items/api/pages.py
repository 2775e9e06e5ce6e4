"""The pages of a search: which request gives the next one, and when they lead in a circle.

A page links to the next one by `rel: next` (STAC API 1.0.0, item search, "Pagination"). The link
may have a `method` and, for POST, a `body`, which is added to that of the first request if `merge`
is true. APIs also write links that are relative to the page's own address, and null after the last
page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

_MOST_REPEATS = 10


class BrokenPages(ValueError):
    """A page cannot be read, or the pages do not end; `api` reports it with its address."""


@dataclass(frozen=True)
class PageRequest:
    """The request of one page.

    Attributes:
        href: Its address.
        method: `"GET"` or `"POST"`.
        parameters: The query of a GET, the body of a POST.
        headers: Headers that the link to this page asks for.
    """

    href: str
    method: str = "GET"
    parameters: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def next_request(
    page: dict[str, Any], asked: PageRequest, first: PageRequest
) -> PageRequest | None:
    """Return the request of the page after one; None after the last.

    Args:
        page: A page.
        asked: The request of that page.
        first: The request of the first page.

    Raises:
        BrokenPages: The link to the next page is malformed.

    Example:
        >>> page = {"links": [{"rel": "next", "href": "?token=2"}]}
        >>> first = PageRequest("https://example.com/v1/search")
        >>> next_request(page, first, first).href
        'https://example.com/v1/search?token=2'
    """
    links = page.get("links")
    following = [
        link
        for link in (links if isinstance(links, list) else ())
        if isinstance(link, dict) and link.get("rel") == "next" and link.get("href")
    ]
    if not following:
        return None
    link = following[0]
    method, body, headers = link.get("method") or "GET", link.get("body"), link.get("headers")
    if not (isinstance(link["href"], str) and isinstance(method, str)):
        raise BrokenPages("a link to the next page whose href or method is not text")
    if not all(part is None or isinstance(part, dict) for part in (body, headers)):
        raise BrokenPages("a link to the next page whose body or headers are not objects")
    parameters = {}  # those of a GET are in the href
    if method.upper() == "POST":
        parameters = {**(first.parameters if link.get("merge") else {}), **(body or {})}
    href = urljoin(asked.href, link["href"])
    sent = {name: str(value) for name, value in (headers or {}).items()}
    return PageRequest(href, method.upper(), parameters, sent)


class Circles:
    """Notices pages that lead in a circle, which no number of requests would end.

    A request that is made again gives the same page again. Pages that come again under other
    addresses may be honest, one item repeated on small pages, so a few of them are let through.
    """

    def __init__(self) -> None:
        self._asked: set[int] = set()  # an address may have megabytes
        self._seen: set[int] = set()
        self._repeats = 0

    def ask(self, request: PageRequest) -> None:
        """Note a request.

        Raises:
            BrokenPages: It was made before.
        """
        asked = [request.href, request.method, request.parameters]
        mark = hash(json.dumps(asked, sort_keys=True))
        if mark in self._asked:
            raise BrokenPages("the same page again and again (its next link repeats)")
        self._asked.add(mark)

    def see(self, members: list[Any]) -> None:
        """Note the items or collections of a page.

        Raises:
            BrokenPages: Several pages in a row have come before.
        """
        ids = [
            [_shallow(each.get("collection")), _shallow(each.get("id"))]
            if isinstance(each, dict)
            else _shallow(each)
            for each in members
        ]
        mark = hash(json.dumps(ids))
        self._repeats = self._repeats + 1 if mark in self._seen else 0
        self._seen.add(mark)
        if self._repeats > _MOST_REPEATS:
            raise BrokenPages("the same page again and again (under other addresses)")


def _shallow(value: Any) -> Any:
    """Return a text or a number; of what may nest too deeply to be written, only its type."""
    return value if isinstance(value, str | int | float | None) else type(value).__name__
