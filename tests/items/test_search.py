"""Items from a STAC API, also from one that is busy, broken or no API at all."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from items.stac_api import StacApi, Trouble, bare_record
from servers.pgstac import PgstacServer
from stacchip.errors import (
    AccessDenied,
    InvalidMetadata,
    LimitExceeded,
    NotAllowed,
    ObjectNotFound,
    StacchipError,
    StorageError,
    StorageTimeout,
    UsageError,
)
from stacchip.items import item_href, read_assets, search_items
from stacchip.items.api.bounded_io import BoundedApiIO
from stacchip.storage import Limits, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = StorageOptions(timeout_s=5, deadline_s=10, max_attempts=4)


def record(item_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": "c",
        "geometry": {"type": "Point", "coordinates": [0, 0]},
        "bbox": [0, 0, 0, 0],
        "properties": {"datetime": "2020-02-19T11:04:56Z"},
        "links": [{"rel": "self", "href": f"https://example.com/items/{item_id}"}],
        "assets": {},
    } | changes


@pytest.fixture
def server() -> Iterator[StacApi]:
    with StacApi([record(str(number)) for number in range(5)]) as api:
        yield api


def ids(api: StacApi, **arguments: Any) -> list[str]:
    return [item.id for item in search_items(api.url, **{"options": QUICK} | arguments)]


def test_items_come_from_all_pages(server: StacApi) -> None:
    assert ids(server) == ["0", "1", "2", "3", "4"]
    assert len(server.bodies) == 3


def test_a_self_link_may_be_a_path_on_the_host_of_the_api() -> None:
    rooted = record(
        "c", links=[{"rel": "self", "href": "/items/c"}], assets={"red": {"href": "/data/B04.tif"}}
    )
    with StacApi([rooted]) as api:
        (item,) = search_items(api.url, options=QUICK)
        host = "/".join(api.url.split("/")[:3])
    assert item_href(item) == f"{host}/items/c"
    assert read_assets(item)["red"].href == f"{host}/data/B04.tif"


def test_pages_are_asked_for_when_their_items_are(server: StacApi) -> None:
    items = search_items(server.url, options=QUICK)
    assert server.bodies == []

    next(items)

    assert len(server.bodies) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9])
def test_no_more_than_max_items_come(server: StacApi, limit: int) -> None:
    assert len(ids(server, max_items=limit)) == min(limit, 5)


def test_the_search_is_sent_as_given(server: StacApi) -> None:
    ids(
        server,
        collections=["c"],
        bbox=[1, 2, 3, 4],
        datetime="2020-02-01/2020-02-29",
        query={"eo:cloud_cover": {"lt": 20}},
        page_size=7,
    )

    assert server.bodies[0] == {
        "collections": ["c"],
        "bbox": [1, 2, 3, 4],
        "datetime": "2020-02-01T00:00:00Z/2020-02-29T23:59:59Z",
        "query": {"eo:cloud_cover": {"lt": 20}},
        "limit": 7,
    }


def test_a_search_that_finds_nothing_gives_no_items(server: StacApi) -> None:
    server.records = []

    assert ids(server) == []


def test_items_without_assets_come_too_and_keep_their_address(server: StacApi) -> None:
    (item, *_) = search_items(server.url, options=QUICK)

    assert read_assets(item) == {}
    assert item_href(item) == "https://example.com/items/0"


def test_signed_hrefs_are_unsigned(server: StacApi) -> None:
    server.records = [record("a", assets={"red": {"href": "https://a.org/B04.tif?sig=abc"}})]

    (item,) = search_items(server.url, options=QUICK)

    assert item.assets["red"].href == "https://a.org/B04.tif"


# -- a busy server


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: StacApi, status: int) -> None:
    server.troubles.extend([Trouble(status), Trouble(status)])

    assert len(ids(server)) == 5
    assert len(server.bodies) == 5


def test_retry_after_is_waited_for(server: StacApi) -> None:
    server.troubles.append(Trouble(429, {"Retry-After": "1"}))
    start = time.monotonic()

    assert len(ids(server)) == 5
    assert time.monotonic() - start >= 1


def test_a_lost_connection_in_the_middle_of_a_page_is_asked_again(server: StacApi) -> None:
    server.troubles.append(Trouble(body=json.dumps(record("a")).encode(), hang_up_after=20))

    assert len(ids(server)) == 5


def test_a_server_that_stays_busy_is_an_error_with_its_status(server: StacApi) -> None:
    server.troubles.extend([Trouble(503)] * 9)

    with pytest.raises(StorageError, match="503") as caught:
        ids(server)
    assert caught.value.status == 503
    assert len(server.bodies) == QUICK.max_attempts


def test_a_wait_longer_than_the_deadline_is_not_waited(server: StacApi) -> None:
    server.troubles.append(Trouble(429, {"Retry-After": "3600"}))
    start = time.monotonic()

    with pytest.raises(StorageTimeout, match="3600"):
        ids(server, options=StorageOptions(deadline_s=60))
    assert time.monotonic() - start < 20


def test_a_dripping_answer_ends_at_the_deadline(server: StacApi) -> None:
    options = StorageOptions(timeout_s=5, deadline_s=1)
    server.troubles.extend([Trouble(body=b" " * 1000, drip_s=0.05)] * 3)
    start = time.monotonic()

    with pytest.raises(StorageTimeout):
        ids(server, options=options)
    assert time.monotonic() - start < 20  # 50 s if it came to its end


def test_nobody_at_the_address_is_an_error_that_names_it() -> None:
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9.*connection refused"):
        list(search_items("http://127.0.0.1:9", options=StorageOptions(max_attempts=2)))


def test_a_host_without_an_address_is_an_error_that_says_so() -> None:
    # without a name server, the machine cannot tell whether there is such a host
    words = r"there is no host no-such-host\.invalid|no-such-host\.invalid.*name resolution"
    with pytest.raises(StorageError, match=words):
        list(search_items("https://no-such-host.invalid", options=StorageOptions(max_attempts=1)))


# -- a broken server, or a wrong search


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (404, ObjectNotFound)]
)
def test_a_refusal_is_an_error_at_once(
    server: StacApi, status: int, kind: type[StacchipError]
) -> None:
    server.troubles.append(Trouble(status))

    with pytest.raises(kind) as caught:
        ids(server)
    assert caught.value.status == status
    assert len(server.bodies) == 1


def test_a_refused_search_says_what_the_server_says(server: StacApi) -> None:
    server.troubles.append(Trouble(400, body=b'{"description": "bbox is upside down"}'))

    with pytest.raises(StorageError, match="bbox is upside down") as caught:
        ids(server)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<html>maintenance</html>", "not JSON"),
        (b'{"features": [', "not JSON"),
        (b"[]", "not an object"),
        (b'{"features": {"a": 1}}', "not a list"),
        (b'{"features": "abc"}', "not a list"),
    ],
)
def test_a_malformed_page_is_an_error(server: StacApi, body: bytes, what: str) -> None:
    server.troubles.append(Trouble(body=body))

    with pytest.raises(StorageError, match=what):
        ids(server)


@pytest.mark.parametrize(
    "links",
    [
        '{"rel": "next"}',
        '[{"rel": "next"}]',
        '[{"href": "x"}, 3, null]',
        '[{"rel": "next", "href": 7}]',
        "null",
    ],
)
def test_malformed_links_end_in_an_error_or_in_the_page(server: StacApi, links: str) -> None:
    page = f'{{"features": [{json.dumps(record("a"))}], "links": {links}}}'
    server.troubles.append(Trouble(body=page.encode()))

    try:
        found = ids(server)
    except StorageError:
        found = ["a"]
    assert found[0] == "a"


def test_an_item_that_is_wrong_is_an_error_or_left_out(
    server: StacApi, caplog: pytest.LogCaptureFixture
) -> None:
    server.records[1] = record("wrong", geometry="here")

    with pytest.raises(InvalidMetadata, match="'wrong'"):
        ids(server)
    with caplog.at_level(logging.WARNING, "stacchip"):
        assert ids(server, errors="skip") == ["0", "2", "3", "4"]
    assert "'wrong'" in caplog.text


def test_a_next_link_that_leads_in_a_circle_ends_in_an_error(server: StacApi) -> None:
    server.repeats = True

    with pytest.raises(StorageError, match="again and again"):
        ids(server)
    assert len(server.bodies) <= 3


def test_an_answer_without_end_is_an_error(server: StacApi) -> None:
    server.troubles.append(Trouble(body=b" " * (8 << 20)))
    io = BoundedApiIO(server.url, QUICK, largest_page_bytes=3 << 20)

    with pytest.raises(StorageError, match="more than 3 MB"):
        io.read_json(f"{server.url}/search")


def test_a_page_that_nests_or_grows_without_end_is_an_error(server: StacApi) -> None:
    for body in (b"[" * 200_000, b'{"a":' * 200_000, b'{"features":[' + b"[]," * 40_000 + b"0]}"):
        server.troubles.append(Trouble(body=body))
        options = replace(QUICK, limits=Limits(document_bytes=200_000))
        io = BoundedApiIO(server.url, options, largest_page_bytes=3 << 20)
        with pytest.raises(LimitExceeded):
            io.read_json(f"{server.url}/search")


@pytest.mark.parametrize(
    "href", ["http://127.0.0.1:9/search", "http://[::1]/", "http://169.254.169.254/latest"]
)
def test_a_remote_api_leads_to_nothing_on_this_machine(href: str) -> None:
    io = BoundedApiIO("https://example.com/v1", QUICK)
    with pytest.raises(NotAllowed, match=r"example\.com/v1 leads to"):
        io.request(href)
    allowed = BoundedApiIO("https://example.com/v1", replace(QUICK, allow_local=True))
    with pytest.raises(StorageError):
        allowed.request("http://127.0.0.1:9/search")


@pytest.mark.parametrize("leads", ["redirect", "next"])
def test_an_api_of_this_machine_leads_to_nothing_here_by_way_of_one_elsewhere(
    server: StacApi, monkeypatch: pytest.MonkeyPatch, leads: str
) -> None:
    page = {
        "features": [bare_record(9)],
        "links": [{"rel": "next", "href": f"{server.url}/search"}],
    }
    with StacApi([]) as elsewhere:  # as a proxy, it stands for one
        monkeypatch.setenv("http_proxy", elsewhere.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        if leads == "redirect":
            far = Trouble(status=307, headers={"Location": "http://far.invalid/search"})
            server.troubles.append(far)
            back = Trouble(status=307, headers={"Location": f"{server.url}/search"})
        else:
            server.next_url = "http://far.invalid"
            back = Trouble(body=json.dumps(page).encode())
        elsewhere.troubles.append(back)
        found = search_items(server.url, options=QUICK)
        with pytest.raises(NotAllowed, match=r"leads to http://127\.0\.0\.1"):
            list(found)
    assert len(server.bodies) == 1


def test_a_landing_page_from_elsewhere_leads_to_nothing_on_this_machine(
    server: StacApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API redirects to a page elsewhere, whose search is here."""
    with StacApi([]) as elsewhere:  # as a proxy, it stands for one
        monkeypatch.setenv("http_proxy", elsewhere.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        far = {"Location": "http://far.invalid/search"}
        server.troubles.append(Trouble(status=302, headers=far))
        elsewhere.troubles.append(Trouble(body=json.dumps(server.landing_page()).encode()))
        with pytest.raises(NotAllowed, match=r"leads to http://127\.0\.0\.1"):
            list(search_items(f"{server.url}/search", options=QUICK))
    assert len(server.bodies) == 1


@pytest.mark.parametrize("href", ["search", "/search", "http://far.invalid/search", "http://[", 5])
def test_links_of_a_remote_landing_page_may_have_any_form(
    monkeypatch: pytest.MonkeyPatch, href: object
) -> None:
    page = {"links": [{"rel": "search", "href": href}, {"rel": ["data"]}, 5]}
    with StacApi([]) as elsewhere:  # as a proxy, it stands for one
        monkeypatch.setenv("http_proxy", elsewhere.url)
        elsewhere.troubles.append(Trouble(body=json.dumps(page).encode()))
        io = BoundedApiIO("http://far.invalid/search", QUICK)
        assert io.read_json("http://far.invalid/search") == page


def test_one_redirect_elsewhere_does_not_close_an_api_of_this_machine(
    server: StacApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    io = BoundedApiIO(server.url, QUICK)
    with StacApi([]) as elsewhere:  # as a proxy, it stands for one
        monkeypatch.setenv("http_proxy", elsewhere.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        far = Trouble(status=302, headers={"Location": "http://far.invalid/collections"})
        server.troubles.append(far)
        assert "collections" in io.request(f"{server.url}/search")
    assert io.read_json(server.url)["id"] == "api"
    pages = io.get_pages(f"{server.url}/search", "POST", {})
    assert sum(len(page["features"]) for page in pages) == len(server.records)


def test_what_is_no_api_is_an_error_that_says_so(server: StacApi) -> None:
    with pytest.raises(StorageError, match="STAC API"):
        list(search_items(f"{server.url}/search", options=QUICK))


@pytest.mark.parametrize(
    "arguments",
    [
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"max_items": 0},
        {"max_items": -1},
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_is_asked(
    server: StacApi, arguments: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        search_items(server.url, **arguments)


def test_a_datetime_that_is_no_date_is_refused(server: StacApi) -> None:
    with pytest.raises(UsageError, match="yesterday"):
        ids(server, datetime="yesterday")


def test_an_api_key_goes_to_its_own_host_only(server: StacApi) -> None:
    with StacApi([record("elsewhere")] * 5) as other:
        server.next_url = other.url
        options = StorageOptions(headers={"Authorization": "Bearer secret"}, deadline_s=10)

        ids(server, options=options)

        assert server.headers[0]["Authorization"] == "Bearer secret"
        assert other.bodies
        assert all("Authorization" not in headers for headers in other.headers)


def test_keys_in_an_address_are_shown_in_no_error() -> None:
    api = "http://user:hunter2@127.0.0.1:9/?token=hunter2"

    with pytest.raises(StorageError) as caught:
        list(search_items(api, options=StorageOptions(max_attempts=1)))
    assert "hunter2" not in str(caught.value)


# -- a real one


@pytest.mark.servers
def test_a_real_api_finds_what_is_there(tmp_path_factory: Any, shared_data: Path) -> None:
    path = shared_data / "items/sentinel2/odc-stac__site1-20200606-tall-strip-africa.geojson"
    records = json.loads(path.read_text())["features"]
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    collection = {
        "type": "Collection",
        "id": "sentinel-2-l2a",
        "stac_version": "1.0.0",
        "description": "",
        "license": "proprietary",
        "extent": extent,
        "links": [],
    }
    with PgstacServer(tmp_path_factory.mktemp("search")) as server:
        server.load(collections=[collection], items=records)
        every = search_items(server.url, collections=["sentinel-2-l2a"], page_size=2)
        assert sorted(item.id for item in every) == sorted(record["id"] for record in records)
        assert list(search_items(server.url, collections=["nothing"])) == []
        box = records[0]["bbox"]
        inside = [item.id for item in search_items(server.url, bbox=box, max_items=50)]
        assert records[0]["id"] in inside
        clear = search_items(
            server.url, query={"eo:cloud_cover": {"lt": 5}}, collections=["sentinel-2-l2a"]
        )
        expected = {r["id"] for r in records if r["properties"]["eo:cloud_cover"] < 5}
        assert {item.id for item in clear} == expected
