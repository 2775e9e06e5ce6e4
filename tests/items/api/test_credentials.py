"""Headers, keys and passwords for an API go to its own server, and into no text."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from items.stac_api import StacApi as Server
from items.stac_api import Trouble, bare_record
from servers.range_server import RangeServer
from stacchip.errors import StacchipError, StorageError
from stacchip.items import load_items, read_assets, search_items
from stacchip.items.search import list_collections
from stacchip.raster import read_header
from stacchip.storage import Storage, StorageOptions

KEYED = StorageOptions(
    headers={"Authorization": "Bearer SECRET", "X-API-Key": "SECRET"},
    deadline_s=10, timeout_s=5, max_attempts=2,
)  # fmt: skip
NAMES = ("Authorization", "X-API-Key")


@pytest.fixture
def other() -> Iterator[Server]:
    with Server([bare_record(number) for number in (7, 8, 9)]) as api:
        yield api


def sent(server: Server) -> list[dict[str, str]]:
    names = {name.lower(): name for name in NAMES}
    return [
        {names[name.lower()]: value for name, value in headers.items() if name.lower() in names}
        for headers in server.headers
    ]


def search(api: str, options: StorageOptions = KEYED) -> list[str]:
    return [item.id for item in search_items(api, options=options)]


def test_all_pages_of_the_api_get_them(server: Server) -> None:
    assert len(search(server.url)) == 5
    assert sent(server) == [dict(KEYED.headers)] * 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_they_do_not_follow_a_redirect_to_another_server(
    server: Server, other: Server, status: int
) -> None:
    moved = Trouble(status=status, headers={"Location": f"{other.url}/search"})
    server.troubles.append(moved)
    assert search(server.url) == ["scene-7", "scene-8", "scene-9"]
    assert sent(server) == [dict(KEYED.headers)]
    assert sent(other) == [{}] * 2


def test_they_follow_a_redirect_on_the_server(server: Server) -> None:
    server.troubles.append(Trouble(status=307, headers={"Location": "/search"}))
    assert len(search(server.url)) == 5
    assert sent(server) == [dict(KEYED.headers)] * 4
    assert server.bodies[0] == server.bodies[1], "the search is sent again"


@pytest.mark.parametrize("status", [301, 307])
def test_headers_of_a_page_stay_with_its_server(server: Server, other: Server, status: int) -> None:
    keys = {"X-API-Key": "SECRET"}
    following = {"rel": "next", "href": f"{server.url}/search", "method": "POST", "headers": keys}
    page = {"type": "FeatureCollection", "features": [bare_record(1)], "links": [following]}
    moved = {"Location": f"{other.url}/search"}
    server.troubles += [
        Trouble(body=json.dumps(page).encode()), Trouble(status=status, headers=moved)
    ]  # fmt: skip
    assert search(server.url, StorageOptions())[0] == "scene-1"
    assert sent(server) == [{}, keys]
    assert sent(other)[0] == {}


@pytest.mark.parametrize("target", ["ftp://example.com/", "file:///etc/passwd", "gopher://a"])
def test_a_redirect_away_from_http_is_an_error(server: Server, target: str) -> None:
    server.troubles.append(Trouble(status=302, headers={"Location": target}))
    with pytest.raises(StorageError, match="away from HTTP"):
        search(server.url)


def test_a_redirect_without_end_is_an_error(server: Server) -> None:
    server.troubles.extend([Trouble(status=307, headers={"Location": "/search"})] * 20)
    with pytest.raises(StorageError, match="too often"):
        search(server.url)


def test_a_page_on_another_port_gets_none(server: Server, other: Server) -> None:
    server.next_url = other.url
    assert "scene-9" in search(server.url)
    assert sent(other) == [{}]


def test_the_password_of_an_address_goes_to_each_page_of_its_server_alone(
    server: Server, other: Server
) -> None:
    plain = StorageOptions(deadline_s=10)
    address = server.url.replace("//", "//me:p%40ss@")
    assert len(search(address, plain)) == 5
    assert sent(server) == [{"Authorization": "Basic bWU6cEBzcw=="}] * 3
    server.headers.clear()
    server.troubles.append(Trouble(status=302, headers={"Location": f"{other.url}/search"}))
    search(address, plain)
    assert sent(other) == [{}] * 2


def test_passwords_of_netrc_do_not_take_the_place_of_ours_or_go_elsewhere(
    server: Server, other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password NETRC\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.next_url = other.url
    search(server.url)
    assert sent(server)[0]["Authorization"] == "Bearer SECRET"
    assert sent(other) == [{}]


def test_cookies_are_not_kept(server: Server, other: Server) -> None:
    """A jar would send them to every port of the host."""
    body = json.dumps({"features": [bare_record(1)], "links": [{"rel": "next", "href": other.url}]})
    cookie = {"Set-Cookie": "session=SECRET; Path=/"}
    body = body.replace(other.url, f"{other.url}/search")
    server.troubles.append(Trouble(headers=cookie, body=body.encode()))
    assert search(server.url) == ["scene-1", "scene-7", "scene-8", "scene-9"]
    assert [headers.get("Cookie") for headers in other.headers] == [None, None]


HOLDS = "user:SECRET@", "/?api_key=SECRET"


@pytest.mark.parametrize(
    "failure",
    ["scheme", "404", "401", "400", "500", "text", "list", "reset", "redirect", "host", "port"],
)
def test_no_failure_shows_a_secret(
    server: Server, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    options = StorageOptions(headers={"X-Key": "SECRET"}, max_attempts=1, deadline_s=2, timeout_s=1)
    scheme, host = server.url.split("://")
    host = {"host": "absent.invalid", "port": "127.0.0.1:99999"}.get(failure, host)
    scheme = "htp" if failure == "scheme" else scheme
    bodies = {"text": b"<html>SECRET", "list": b'[{"token": "SECRET"}]'}
    if failure.isdigit():
        body = b'{"detail": "no", "api_key": "SECRET", "u": "http://a/?sig=SECRET"}'
        server.troubles.append(Trouble(status=int(failure), body=body))
    elif failure in bodies:
        server.troubles.append(Trouble(body=bodies[failure].replace(b"<html>SECRET", b"<html>")))
    elif failure == "reset":
        server.troubles.append(Trouble(hang_up_after=1))
    elif failure == "redirect":
        leads = {"Location": "ftp://user:SECRET@host/?sig=SECRET"}
        server.troubles.append(Trouble(status=302, headers=leads))
    address = f"{scheme}://{HOLDS[0]}{host}{HOLDS[1]}"
    for act in (
        lambda: list(search_items(address, options=options)),
        lambda: list_collections(address.replace(":99999", ":9"), options=options),
    ):
        try:
            act()
        except StacchipError as error:
            chain: BaseException | None = error
            while chain is not None:
                lines = traceback.format_exception_only(type(chain), chain)
                assert "SECRET" not in "".join(lines) + repr(getattr(chain, "facts", ""))
                chain = chain.__cause__ or chain.__context__
    logged = "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records)
    assert "SECRET" not in logged.replace(address, "")


def test_files_that_an_item_of_the_catalogue_names_elsewhere_get_none(
    server: Server, other: Server, tmp_path: Path
) -> None:
    """The token of a catalogue is not for whatever host an item names."""
    (tmp_path / "own").mkdir()
    with RangeServer(tmp_path / "own") as own, RangeServer(tmp_path) as away:
        assets = {
            "near": {"href": "./near.tif", "type": "image/tiff"},
            "far": {"href": away.url("far.tif"), "type": "image/tiff"},
            "lookalike": {"href": f"{own.url().rstrip('/')}0/a.tif", "type": "image/tiff"},
        }
        (tmp_path / "own" / "item.json").write_text(
            json.dumps({**bare_record(1), "assets": assets})
        )
        storage = Storage(options=KEYED)
        (item,) = load_items(own.url("item.json"), storage=storage)
        for info in read_assets(item, storage).values():
            with pytest.raises(StacchipError):
                read_header(storage, info.href)
        assert {r.headers.get("x-api-key") for r in own.log} == {"SECRET"}
        assert len(own.log) > 1
        assert away.log
        assert {r.headers.get("x-api-key") for r in away.log} == {None}


def test_files_that_an_item_of_this_machine_names_get_none(tmp_path: Path) -> None:
    with RangeServer(tmp_path) as away:
        red = {"href": away.url("far.tif"), "type": "image/tiff"}
        (tmp_path / "item.json").write_text(json.dumps({**bare_record(1), "assets": {"red": red}}))
        for source in (str(tmp_path / "item.json"), {**bare_record(1), "assets": {"red": red}}):
            storage = Storage(options=KEYED)
            (item,) = load_items(source, storage=storage)
            with pytest.raises(StacchipError):
                read_header(storage, read_assets(item, storage)["red"].href)
        assert away.log
        assert {r.headers.get("x-api-key") for r in away.log} == {None}
