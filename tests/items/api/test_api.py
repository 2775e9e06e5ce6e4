"""A STAC API, searched more than once and no faster than allowed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from items.stac_api import Trouble
from stacchip.errors import InvalidMetadata, StorageError, UsageError
from stacchip.items.api.client import StacApi
from stacchip.items.api.pace import Pace
from stacchip.items.record import parse_items
from stacchip.storage import StorageOptions

OPTIONS = StorageOptions(max_attempts=3, timeout_s=5, deadline_s=10)


class Turns:
    """A pace that counts the requests that wait for it."""

    def __init__(self) -> None:
        self.waited = 0

    def wait(self) -> None:
        self.waited += 1


def ids(records: Iterator[dict[str, object]]) -> list[object]:
    return [record["id"] for record in records]


def test_every_request_waits_for_its_turn(server):
    turns = Turns()
    api = StacApi(server.url, OPTIONS, turns)
    assert len(ids(api.search())) == 5
    assert turns.waited == 1 + 3, "the landing page and three pages"


def test_a_request_that_is_tried_again_waits_again(server):
    turns = Turns()
    server.troubles.append(Trouble(status=503))
    assert len(ids(StacApi(server.url, OPTIONS, turns).search())) == 5
    assert turns.waited == 1 + 1 + 3


def test_the_landing_page_is_read_once_for_all_searches(server):
    turns = Turns()
    api = StacApi(server.url, OPTIONS, turns)
    assert ids(api.search()) == ids(api.search())
    assert turns.waited == 1 + 3 + 3


def test_nothing_is_requested_before_the_first_item_is_wanted(server):
    turns = Turns()
    found = StacApi(server.url, OPTIONS, turns).search()
    assert turns.waited == 0
    assert ids(islice(found, 1)) == ["scene-0"]
    assert turns.waited == 2


def test_pages_come_no_faster_than_the_pace(server):
    started = time.monotonic()
    assert len(ids(StacApi(server.url, OPTIONS, Pace(per_second=20)).search())) == 5
    assert time.monotonic() - started >= 3 / 20, "four requests, the first at once"


def test_a_null_among_the_items_does_not_end_the_search_in_silence(server, caplog):
    server.records[1] = None
    found = StacApi(server.url, OPTIONS).search
    items = list(parse_items(found(), errors="skip", origin="here"))
    assert [item.id for item in items] == ["scene-0", "scene-2", "scene-3", "scene-4"]
    assert "1 items of here were left out" in caplog.text
    with pytest.raises(InvalidMetadata):
        list(parse_items(found(), errors="raise", origin="here"))


def test_an_argument_that_cannot_be_searched_for_is_misuse(server):
    with pytest.raises(UsageError, match="cannot be searched for"):
        next(StacApi(server.url, OPTIONS).search(datetime="yesterday"))
    assert server.bodies == []


def test_an_address_in_an_error_of_the_client_is_not_shown(server):
    server.landing_page = lambda: {"type": "Feature", "id": "token=secret"}
    with pytest.raises(StorageError, match="does not answer as a STAC API") as caught:
        next(StacApi(f"{server.url}/?token=secret", OPTIONS).search())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("depth", [150, 5_000])
def test_an_item_that_nests_too_deeply_does_not_end_the_search(depth, server, caplog):
    def text(mine):
        page = {"type": "FeatureCollection", "features": [*server.records[:2]], "links": []}
        return json.dumps(page).replace('"scene-1"', f'"scene-1", "mine": {mine}').encode()

    server.troubles.append(Trouble(body=text("[" * depth + "]" * depth)))
    found = StacApi(server.url, OPTIONS).search()
    items = list(parse_items(found, errors="skip", origin="here"))
    assert [item.id for item in items] == ["scene-0"]
    assert "Item 'scene-1': It nests more than 100 deep" in caplog.text


@pytest.mark.parametrize("body", [b"{}", b'{"code": "Timeout", "links": []}'])
def test_a_page_without_items_or_their_list_does_not_end_the_search_in_silence(body, server):
    server.troubles.append(Trouble(body=body))
    with pytest.raises(StorageError, match="a page without features"):
        ids(StacApi(server.url, OPTIONS).search())


def test_an_id_that_is_no_text_does_not_become_another_id(server, caplog):
    page = {"type": "FeatureCollection", "features": server.records[:2], "links": []}
    body = json.dumps(page).encode().replace(b"scene-0", b"sc\xe9ne-0")
    server.troubles.append(Trouble(body=body))
    found = StacApi(server.url, OPTIONS).search()
    items = list(parse_items(found, errors="skip", origin="here"))
    assert [item.id for item in items] == ["scene-1"]
    assert "it must be whole characters" in caplog.text
