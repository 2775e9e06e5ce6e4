"""Catalogues: a STAC API on loopback, and files in a folder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import shapely

from collect.survey import SURVEY, Survey
from items.stac_api import StacApi, Trouble
from stacchip.collect import catalogue as catalogues
from stacchip.collect.catalogue import OnlineCatalogue
from stacchip.collect.choice import quarters
from stacchip.errors import InvalidMetadata, ObjectNotFound, StorageError
from stacchip.items.api.pace import Pace
from stacchip.storage import Storage, StorageOptions


def open_catalogue(href: str, pace: float | None = None) -> OnlineCatalogue:
    return OnlineCatalogue(href, storage=Storage(), options=StorageOptions(), pace=Pace(pace))


def write_collection(folder: Path, text: str) -> None:
    (folder / "s").mkdir()
    (folder / "s" / "collection.json").write_text(text)


def record(item_id: str) -> dict[str, object]:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": item_id, "collection": "c", "links": [],
        "geometry": {"type": "Point", "coordinates": [0, 0]}, "bbox": [0, 0, 0, 0], "assets": {},
        "properties": {"datetime": "2020-01-05T00:00:00Z"},
    }  # fmt: skip


def test_a_search_reads_every_page():
    with StacApi([record(name) for name in "abcde"]) as api:
        items = open_catalogue(api.url).search("c")
        assert [item.id for item in items] == list("abcde")
        assert len(api.bodies) == 3


def test_a_search_has_all_its_conditions():
    with StacApi([]) as api:
        open_catalogue(api.url).search(
            "c",
            period=quarters(2020)[0],
            geometry=shapely.Point(1, 2),
            query={"eo:cloud_cover": {"lte": 5}},
        )
        (body,) = api.bodies
    assert body["collections"] == ["c"]
    assert body["datetime"] == "2020-01-01T00:00:00Z/2020-03-31T23:59:59Z"
    assert body["intersects"]["coordinates"] == [1, 2]
    assert body["query"] == {"eo:cloud_cover": {"lte": 5}}


def test_an_item_that_is_invalid_is_left_out_and_logged(caplog):
    bad = record("bad")
    bad["properties"] = {"datetime": "yesterday"}
    with StacApi([record("good"), bad]) as api:
        assert [item.id for item in open_catalogue(api.url).search("c")] == ["good"]
    assert "left out: " in caplog.text


def test_an_answer_that_is_not_a_stac_apis_is_an_error():
    with StacApi([]) as api:
        api.troubles.append(Trouble(body=b"[]"))
        with pytest.raises(StorageError) as caught:
            open_catalogue(api.url).search("c")
        assert api.url.removeprefix("http://") in str(caught.value)


def test_an_api_that_ignores_the_search_is_an_error():
    records = [record("a")] * (catalogues.MOST_ITEMS + 1)
    with (
        StacApi(records, page_size=20_000) as api,
        pytest.raises(StorageError, match="more than 10000 items of c: it seems to ignore"),
    ):
        open_catalogue(api.url).search("c")


def test_searches_keep_the_pace():
    with StacApi([record(name) for name in "abcdefgh"]) as api:
        started = time.monotonic()
        open_catalogue(api.url, pace=20).search("c")
        # the landing page and four pages: the first request waits for none
        assert time.monotonic() - started >= 4 / 20


def test_the_landing_page_is_read_once():
    with StacApi([record("a")]) as api:
        pages = []
        landing = api.landing_page
        api.landing_page = lambda: pages.append(1) or landing()
        catalogue = open_catalogue(api.url)
        assert len(catalogue.search("c")) == len(catalogue.search("c")) == 1
        assert len(pages) == 1


def test_items_of_files_are_found_and_read(tmp_path):
    Survey(tmp_path)
    catalogue = open_catalogue(str(tmp_path))
    (href,) = catalogue.item_hrefs(SURVEY)
    assert href == str(tmp_path / SURVEY / "CE17.json")
    assert catalogue.read_item(href).id == "CE17"


def test_links_of_other_kinds_are_not_items(tmp_path):
    links = [{"rel": rel, "href": f"./{rel}.json"} for rel in ("self", "item", "license", "root")]
    write_collection(tmp_path, json.dumps({"links": links}))
    assert open_catalogue(str(tmp_path)).item_hrefs("s") == [str(tmp_path / "s" / "item.json")]


@pytest.mark.parametrize(
    "text", ["<html>", "[]", "{}", '{"links": [{"rel": "item"}]}', '{"links": 3}']
)
def test_a_file_that_is_not_a_collection_is_named(tmp_path, text):
    write_collection(tmp_path, text)
    with pytest.raises(InvalidMetadata, match=r"collection\.json is not a STAC collection"):
        open_catalogue(str(tmp_path)).item_hrefs("/s/")


def test_a_collection_that_is_absent_is_an_error(tmp_path):
    with pytest.raises(ObjectNotFound):
        open_catalogue(str(tmp_path)).item_hrefs("otago/nowhere")


def test_a_file_without_an_item_is_named(tmp_path):
    path = tmp_path / "empty.json"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(InvalidMetadata, match="holds no item"):
        open_catalogue(str(tmp_path)).read_item(str(path))
