"""Which addresses an item may name: those of its own kind of place, unless the user allows more."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pystac
import pytest

from stacchip.errors import NotAllowed, StacchipError
from stacchip.items import Archive, load_items, parse_item, read_assets
from stacchip.items.mount import Mount
from stacchip.items.record import parse_items
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from pathlib import Path


FAR = "https://example.com/items/a.json"
LOCAL = (
    "/etc/passwd.tif",
    "file:///etc/passwd.tif",
    "FILE:///etc/passwd.tif",
    "file://localhost/etc/passwd.tif",
    "file://server/share/a.tif",
    " file:///etc/passwd.tif",
    "http://127.0.0.1:8080/a.tif",
    "http://127.1/a.tif",
    "http://0x7f000001/a.tif",
    "http://2130706433/a.tif",
    "http://[::1]/a.tif",
    "http://[::ffff:127.0.0.1]:80/a.tif",
    "http://localhost/a.tif",
    "http://LOCALHOST./a.tif",
    "http://me:pw@localhost/a.tif",
    "https://169.254.169.254/latest/meta-data/a.tif",
    "http://[fe80::1]/a.tif",
    "/vsicurl/http://127.0.0.1/a.tif",
    "/vsicurl?url=http%3A%2F%2F127.0.0.1%2Fa.tif",
)
LAWFUL = (
    "./a.tif",
    "s3://bucket/a.tif",
    "https://other.org/a.tif",
    "gs://b/a.tif",
    "a/../../b.tif",
)


def make_record(href: str, own: str | None = None, **fields: Any) -> dict[str, Any]:
    links = [] if own is None else [{"rel": "self", "href": own}]
    properties = {
        "datetime": "2020-01-01T00:00:00Z",
        "proj:code": "EPSG:32629",
        "proj:shape": [512, 512],
        "proj:transform": [10, 0, 500000, 0, -10, 4000000],
    }
    asset = {"href": href, "type": "image/tiff", **fields}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None,
        "links": links, "properties": properties, "assets": {"red": asset},
    }  # fmt: skip


def require(item: pystac.Item, **options: Any) -> str:
    return read_assets(item, Storage(**options))["red"].require_href()


@pytest.mark.parametrize("href", LOCAL)
@pytest.mark.parametrize("own", ["s3://bucket/items/a.json", "gs://bucket/items/a.json"])
def test_an_item_from_a_store_names_nothing_local(href: str, own: str) -> None:
    item = parse_item(make_record(href), href=own)
    if href == " file:///etc/passwd.tif":  # no address; a name in the bucket
        assert require(item).partition("://")[0] in ("s3", "gs")
        return
    with pytest.raises(NotAllowed, match=r"Item 'a', asset 'red': .*bucket/items/a\.json names"):
        require(item)
    assert require(item, options=StorageOptions(allow_local=True))


@pytest.mark.parametrize("href", [href for href in LOCAL if not href.startswith("/etc")])
def test_an_item_from_the_web_names_nothing_local(href: str) -> None:
    with pytest.raises(NotAllowed, match="--allow-local") as caught:
        require(parse_item(make_record(href), href=FAR))
    assert (caught.value.item_id, caught.value.facts["asset"]) == ("a", "red")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("href", LAWFUL)
@pytest.mark.parametrize("own", [FAR, "s3://bucket/items/a.json"])
def test_an_item_names_places_of_the_world(href: str, own: str) -> None:
    assert "://" in require(parse_item(make_record(href), href=own))


@pytest.mark.parametrize("own", [None, "file:///home/me/a.json", "/home/me/a.json", FAR,
                                 "http://127.0.0.1/a.json", "item.json"])  # fmt: skip
@pytest.mark.parametrize("href", ["file:///etc/a.tif", "http://127.0.0.1/a.tif"])
def test_a_self_link_does_not_make_an_item_local(href: str, own: str | None) -> None:
    record = make_record(href, own)
    record["stacchip:origin"] = "/home/me/a.json"
    (found,) = parse_items([record], errors="raise", origin="the API", api="https://api.org/v1")
    listed = parse_item(record, base="https://example.com/items.json")
    for item in (found, listed, parse_item(record, href=FAR), pickle.loads(pickle.dumps(found))):
        with pytest.raises(NotAllowed):
            require(item)


def test_a_relative_href_of_a_found_item_without_address_names_no_local_file() -> None:
    (item,) = parse_items(
        [make_record("./a.tif")], errors="raise", origin="the API", api="https://api.org/v1"
    )
    with pytest.raises(NotAllowed, match=r"https://api\.org/v1 names"):
        require(item)


def test_an_alternate_address_is_judged_as_well() -> None:
    alternate = {"mine": {"href": "file:///etc/passwd.tif"}}
    item = parse_item(make_record("https://example.com/a.tif", alternate=alternate), href=FAR)
    assert require(item) == "https://example.com/a.tif"
    with pytest.raises(NotAllowed):
        require(item, options=StorageOptions(alternate="mine"))


def test_an_item_on_this_machine_names_this_machine() -> None:
    near = "http://127.0.0.1:8000/a.json"
    assert require(parse_item(make_record("http://localhost/a.tif"), href=near))
    with pytest.raises(NotAllowed):  # but no file of it
        require(parse_item(make_record("file:///etc/a.tif"), href=near))
    for own in (None, "/data/a.json"):
        assert require(parse_item(make_record("/etc/a.tif"), href=own)) == "/etc/a.tif"
        assert require(parse_item(make_record("http://127.0.0.1/a.tif"), href=own))


def test_a_store_whose_endpoint_is_this_machine_is_local_but_no_file_is() -> None:
    options = StorageOptions(endpoint="http://127.0.0.1:9000")
    item = parse_item(make_record("http://127.0.0.1:8000/a.tif"), href="s3://bucket/a.json")
    assert require(item, options=options)
    with pytest.raises(NotAllowed):
        require(parse_item(make_record("/etc/a.tif"), href="s3://bucket/a.json"), options=options)


def test_it_may_be_allowed_for_one_place() -> None:
    overrides = {"https://example.com/": StorageOptions(allow_local=True)}
    record = make_record("http://127.0.0.1/a.tif")
    assert require(parse_item(record, href=FAR), overrides=overrides)
    with pytest.raises(NotAllowed):
        require(parse_item(record, href="https://example.org/a.json"), overrides=overrides)


@pytest.mark.parametrize("href", ["file:///etc/passwd", "http://127.0.0.1:9/a.json", "//[::1]/a"])
def test_a_link_of_a_catalogue_leads_to_nothing_local(href: str) -> None:
    links = [{"rel": "self", "href": "https://example.com/c.json"}, {"rel": "item", "href": href}]
    with pytest.raises(NotAllowed, match=r"example\.com/c\.json names"):
        list(load_items({"type": "Catalog", "links": links}))


# -- mounts ----------------------------------------------------------------------------------------


def test_a_mount_names_local_files_for_items_of_any_place(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    for own in (FAR, "s3://bucket/a.json"):
        item = parse_item(make_record("./a.tif"), href=own)
        moved = Mount(str(tmp_path)).relocate(item, "naip", Storage()).item
        assert require(moved).startswith(str(tmp_path))
        assert require(Archive(str(tmp_path)).relocate(item, "naip")).startswith(str(tmp_path))


def test_an_asset_that_a_mount_lacks_keeps_its_place_in_the_world(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    record = make_record("./a.tif")
    record["properties"]["stacchip:choices"] = {"assets": "link"}
    for href, is_allowed in (("./other.tif", True), ("file:///etc/a.tif", False)):
        record["assets"]["nir"] = {"href": href, "type": "image/tiff"}
        item = parse_item(json.loads(json.dumps(record)), href="s3://bucket/a.json")
        moved = Mount(str(tmp_path)).relocate(item, "naip", Storage()).item
        nir = read_assets(moved, Storage())["nir"]
        if is_allowed:
            assert nir.require_href() == "s3://bucket/other.tif"
            assert require(moved) == str(tmp_path / "a.tif")
        else:
            with pytest.raises(StacchipError):
                nir.require_href()


@pytest.mark.parametrize(("href", "is_allowed"), [
    ("/data/a.tif", False), ("./a.tif", False), ("file:///data/a.tif", False),
    ("/dev/zero", False), ("http://127.0.0.1:9000/a.tif", True), ("s3://bucket/a.tif", True),
])  # fmt: skip
def test_an_api_on_this_machine_names_its_servers_but_no_file(href: str, is_allowed: bool) -> None:
    (item,) = parse_items(
        [make_record(href)], errors="raise", origin="mine", api="http://127.0.0.1:8000"
    )
    if is_allowed:
        assert require(item) == href
        return
    with pytest.raises(NotAllowed, match=r"http://127\.0\.0\.1:8000 names"):
        require(item)
    overrides = {"http://127.0.0.1:8000": StorageOptions(allow_local=True)}
    assert require(item, overrides=overrides).endswith(href.removeprefix("./"))


@pytest.mark.parametrize("href", ["//[::1/a.tif", "//[", "http://[/a.tif"])
def test_an_address_without_a_host_is_an_error_of_ours(href: str) -> None:
    with pytest.raises(StacchipError):
        Storage().read(require(parse_item(make_record(href), href=FAR)))
    links = [{"rel": "self", "href": FAR}, {"rel": "item", "href": href}]
    with pytest.raises(StacchipError):
        list(load_items({"type": "Catalog", "links": links}))


def test_a_catalogue_of_links_to_itself_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(
        json.dumps({"type": "Catalog", "links": [{"rel": "item", "href": "c.json"}] * 9999})
    )
    storage = Storage()
    assert list(load_items(path, storage=storage, errors="skip")) == []
    assert storage.requests <= 4


def test_an_item_made_in_python_names_anything() -> None:
    item = pystac.Item("a", None, None, datetime(2020, 1, 1, tzinfo=UTC), {})
    item.add_asset("red", pystac.Asset("/data/a.tif"))
    assert require(item) == "/data/a.tif"


def test_a_self_link_to_a_trusted_place_does_not_make_an_item_of_another_trusted() -> None:
    trust = {"https://mine.org/": StorageOptions(allow_local=True)}
    record = make_record("file:///etc/a.tif", own="https://mine.org/items/a")
    mine = parse_item(record, base="https://mine.org/search")
    assert require(mine, overrides=trust) == "file:///etc/a.tif"
    other = parse_item(record, base="https://others.org/search")
    with pytest.raises(NotAllowed, match=r"others\.org/search names"):
        require(other, overrides=trust)


@pytest.mark.parametrize("href", ["file:///data/a.tif", "http://127.0.0.1/a.tif"])
def test_a_dictionary_is_the_users_own_also_after_it_was_indexed(href: str, tmp_path: Path) -> None:
    """He may have pointed the assets of a remote item to his copies."""
    from stacchip.index import read_records, write_index
    from stacchip.indexer import NoStatsChipIndexer

    record, path = make_record(href, FAR), href.removeprefix("file://")
    assert read_assets(parse_item(record), Storage())["red"].require_href() in (href, path)
    write_index(NoStatsChipIndexer(record).create_index(), tmp_path / "index")
    (kept,) = read_records(tmp_path / "index")
    item = parse_item(kept.item, base=kept.item_href)
    assert read_assets(item, Storage())["red"].require_href() in (href, path)


@pytest.mark.parametrize("mark", ["user", None, 5, ["user"], "https://example.com/"])
def test_what_a_remote_item_says_of_its_origin_is_not_believed(mark: Any) -> None:
    record = {**make_record("file:///etc/passwd.tif", FAR), "stacchip:origin": mark}
    searched = parse_item(record, origin="https://api.example.com/")
    loaded = parse_item(record, href=FAR)
    of_pystac = pystac.Item.from_dict(record)
    for item in (searched, loaded, of_pystac):
        with pytest.raises(NotAllowed):
            read_assets(item, Storage())["red"].require_href()


def test_an_item_that_names_nothing_local_gets_no_mark() -> None:
    item = parse_item(make_record("s3://bucket/a.tif", FAR))
    assert "stacchip:origin" not in item.extra_fields


@pytest.mark.parametrize("href", ["/etc/a.tif", "file:///etc/a.tif", "http://127.0.0.1/a.tif"])
def test_a_self_link_of_an_unknown_scheme_makes_nothing_local_allowed(href: str) -> None:
    item = pystac.Item.from_dict(make_record(href, "custom://items/a.json"))
    with pytest.raises(NotAllowed):
        require(item)
    assert require(item, options=StorageOptions(allow_local=True)) == href
