"""Pages of a search, however their links are written."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from items.stac_api import StacApi
from stacchip.errors import LimitExceeded, StorageError
from stacchip.items import search_items
from stacchip.items.api.pages import BrokenPages, PageRequest, next_request
from stacchip.storage import Limits, StorageOptions

FIRST = PageRequest("https://h/v1/search", "POST", {"limit": 2, "token": "a"})


def link(href: Any = "https://h/next", **fields: Any) -> dict[str, Any]:
    return {"links": [{"rel": "self", "href": "x"}, {"rel": "next", "href": href, **fields}]}


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("https://other/search?token=2", "https://other/search?token=2"),
        ("//other/search", "https://other/search"),
        ("/search?token=2", "https://h/search?token=2"),
        ("search?token=2", "https://h/v1/search?token=2"),
        ("?token=2", "https://h/v1/search?token=2"),
        ("../v2/search", "https://h/v2/search"),
    ],
)
def test_a_link_is_relative_to_its_page(href, expected):
    assert next_request(link(href), FIRST, FIRST) == PageRequest(expected)


def test_a_relative_link_is_relative_to_the_page_that_holds_it():
    moved = PageRequest("https://mirror/api/items")
    assert next_request(link("?page=3"), moved, FIRST).href == "https://mirror/api/items?page=3"


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"method": "POST", "body": {"token": "b"}}, {"token": "b"}),
        ({"method": "post", "body": {"token": "b"}, "merge": True}, {"limit": 2, "token": "b"}),
        ({"method": "POST", "merge": True}, FIRST.parameters),
        ({"method": "POST", "body": None, "merge": None}, {}),
        ({"method": "GET", "body": {"token": "b"}, "merge": True}, {}),
        ({"method": None}, {}),
    ],
)
def test_a_body_replaces_the_first_or_is_added_to_it(fields, parameters):
    assert next_request(link(**fields), FIRST, FIRST).parameters == parameters


def test_headers_that_the_link_asks_for_are_sent():
    assert next_request(link(headers={"x-page": 2}), FIRST, FIRST).headers == {"x-page": "2"}


@pytest.mark.parametrize(
    "page", [{}, {"links": None}, {"links": []}, {"links": [None]}, link(None), link("")]
)
def test_a_page_without_a_usable_link_is_the_last(page):
    assert next_request(page, FIRST, FIRST) is None


@pytest.mark.parametrize(
    "page", [link(7), link(method=7), link(body="token"), link(headers=["x"]), link({"a": 1})]
)
def test_a_malformed_link_is_refused(page):
    with pytest.raises(BrokenPages):
        next_request(page, FIRST, FIRST)


class Catalogue(StacApi):
    """An API whose pages follow each other by GET, as the links given say."""

    def __init__(self, *pages: tuple[list[str], Any]) -> None:
        super().__init__([])
        self.pages = dict(enumerate(pages))
        self.asked: list[int] = []

    def landing_page(self) -> dict[str, Any]:
        page = super().landing_page()
        page["links"] = [{"rel": "search", "href": "/search", "type": "application/geo+json"}]
        return page

    def answer(self, handler: Any, body: dict[str, Any]) -> None:
        self.bodies.append(body)
        number = int(body.get("page", 0))
        self.asked.append(number)
        ids, href = self.pages[number % len(self.pages)]
        href = href.replace("N", str(number + 1)) if href else href
        features = [
            {"type": "Feature", "stac_version": "1.0.0", "id": each, "geometry": None, "links": []}
            | {"properties": {"datetime": "2020-02-19T11:04:56Z"}, "assets": {}}
            for each in ids
        ]
        links = [{"rel": "next", "href": href}]
        self.send(handler, {"type": "FeatureCollection", "features": features, "links": links})


def find(api: StacApi) -> list[str]:
    options = StorageOptions(timeout_s=5, deadline_s=10, max_attempts=1)
    return [item.id for item in search_items(api.url, options=options)]


@pytest.mark.parametrize("last", [None, ""])
def test_a_search_follows_relative_links_to_the_last_page(last):
    with Catalogue((["a"], "/search?page=1"), (["b"], "?page=2"), (["c"], last)) as api:
        assert find(api) == ["a", "b", "c"]
        assert api.asked == [0, 1, 2]


def test_an_api_that_offers_only_get_is_asked_so():
    with Catalogue((["a"], None)) as api:
        options = StorageOptions(timeout_s=5, deadline_s=10, max_attempts=1)
        list(search_items(api.url, collections=["c"], bbox=[0, 0, 1, 1], options=options))
        (asked,) = api.bodies
    assert (asked["collections"], asked["bbox"]) == ("c", "0.0,0.0,1.0,1.0")


def test_an_item_may_come_on_several_small_pages():
    with Catalogue((["a"], "?page=1"), (["a"], "?page=2"), (["b"], None)) as api:
        assert find(api) == ["a", "a", "b"]


@pytest.mark.parametrize("href", ["?page=0", "?page=N"], ids=["one address", "many addresses"])
def test_pages_that_lead_in_a_circle_end_in_an_error(href):
    with Catalogue((["a"], "?page=1"), (["b"], href)) as api:
        with pytest.raises(StorageError, match="again and again"):
            find(api)
        assert len(api.asked) < 20


def test_a_search_that_finds_new_items_for_ever_ends_at_the_limit():
    options = StorageOptions(max_attempts=1, limits=Limits(listed=5))
    with Endless() as api:
        found = search_items(api.url, options=options)
        with pytest.raises(LimitExceeded, match=r"finds more than 5 items .*max_items=.*'listed'"):
            collections.deque(found, maxlen=0)
        assert len(api.asked) == 6
        assert len(list(search_items(api.url, options=options, max_items=4))) == 4


class Endless(Catalogue):
    """An API that makes up an item for every page."""

    def __init__(self) -> None:
        super().__init__((["a"], "?page=N"))

    def answer(self, handler: Any, body: dict[str, Any]) -> None:
        number = int(body.get("page", 0))
        self.pages[0] = [f"item-{number}"], "?page=N"
        super().answer(handler, body)
