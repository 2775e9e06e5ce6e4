"""A catalogue over a STAC API, without a real server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import shapely

from items.stac_api import StacApi as Server
from items.stac_api import Trouble
from stacchip.collect.catalogue import MOST_ITEMS, OnlineCatalogue
from stacchip.collect.choice import quarters
from stacchip.errors import StorageError
from stacchip.items.pace import Pace
from stacchip.storage import Storage, StorageOptions


def make_record(number: int) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"scene-{number}",
        "geometry": None,
        "properties": {"datetime": "2020-02-19T11:04:56Z"},
        "links": [],
        "assets": {},
    }


def open_catalogue(url: str) -> OnlineCatalogue:
    options = StorageOptions(max_attempts=2, timeout_s=5, deadline_s=10)
    return OnlineCatalogue(url, storage=Storage(), options=options, pace=Pace(None))


def test_a_search_sends_the_period_the_place_and_the_query():
    with Server([make_record(0)]) as api:
        items = open_catalogue(api.url).search(
            "naip",
            period=quarters(2020)[0],
            geometry=shapely.box(0, 0, 1, 1),
            query={"eo:cloud_cover": {"lt": 20}},
        )
    assert [item.datetime for item in items] == [datetime(2020, 2, 19, 11, 4, 56, tzinfo=UTC)]
    (body,) = api.bodies
    assert body["collections"] == ["naip"]
    assert body["datetime"] == "2020-01-01T00:00:00Z/2020-03-31T23:59:59Z"
    assert body["intersects"]["type"] == "Polygon"
    assert body["query"] == {"eo:cloud_cover": {"lt": 20}}


def test_a_wrong_item_cannot_be_chosen_and_is_logged(caplog):
    records = [make_record(number) for number in range(3)]
    records[1]["properties"]["datetime"] = "yesterday"
    with Server(records) as api:
        items = open_catalogue(api.url).search("naip")
    assert [item.id for item in items] == ["scene-0", "scene-2"]
    assert "scene-1" in caplog.text


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"features": 3}', b'{"features": [3], "x'])
def test_an_answer_that_is_not_an_apis_is_an_error(body):
    with Server([make_record(0)]) as api:
        api.troubles.extend([Trouble(body=body)] * 2)
        with pytest.raises(StorageError):
            open_catalogue(api.url).search("naip")


def test_an_api_that_ignores_the_search_is_stopped():
    records = [make_record(number) for number in range(MOST_ITEMS + 1)]
    with Server(records, page_size=MOST_ITEMS // 2) as api:
        with pytest.raises(StorageError, match="more than 10000 items"):
            open_catalogue(api.url).search("naip")
        api.records.pop()
        assert len(open_catalogue(api.url).search("naip")) == MOST_ITEMS
