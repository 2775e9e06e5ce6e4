"""Assets that have several addresses: which one is read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest

from scenes import make_scene
from servers.range_server import Answer, RangeServer, Request
from stacchip.chipper import Chipper
from stacchip.index.headers import gather_headers
from stacchip.indexer import NoStatsChipIndexer
from stacchip.items import Archive, read_assets
from stacchip.storage import Storage, StorageOptions

LOOK = "https://landsatlook.usgs.gov/"
DATA = f"{LOOK}data/collection02/LC08_B4.TIF"
STATED = "s3://usgs-landsat/elsewhere/LC08_B4.TIF"
SAME = "s3://usgs-landsat/collection02/LC08_B4.TIF"


def landsat(href: str, **fields: Any) -> pystac.Item:
    item = pystac.Item("LC08", None, None, datetime(2020, 1, 14, tzinfo=UTC), {})
    item.set_self_href(f"{LOOK}stac-server/items/LC08")
    item.add_asset("red", pystac.Asset(href, extra_fields=fields))
    return item


def href_to_read(item: pystac.Item, storage: Storage) -> str:
    return read_assets(item, storage)["red"].href


@pytest.mark.parametrize(
    ("href", "alternate", "expected"),
    [
        (DATA, {"s3": {"href": STATED}}, STATED),
        (DATA, {"https": {"href": "https://a.org/LC08_B4.TIF"}}, SAME),
        (DATA, None, SAME),
        (DATA, "s3", SAME),
        (DATA, {"s3": {"href": 3}}, SAME),
        ("/data/collection02/LC08_B4.TIF", None, SAME),
        (f"{LOOK}gen-browse/LC08.png", {"s3": {"href": STATED}}, f"{LOOK}gen-browse/LC08.png"),
        ("https://a.org/LC08_B4.TIF", {"s3": {"href": STATED}}, "https://a.org/LC08_B4.TIF"),
        (DATA.replace("https", "http"), None, SAME),
        (DATA.replace(".gov", ".gov:443"), None, SAME),
        (DATA.replace("https://landsatlook.usgs", "HTTPS://LandsatLook.USGS"), None, SAME),
        (f"/vsicurl/{DATA}", None, SAME),
        (f"{DATA}?version=2", None, SAME),
    ],
)
def test_files_behind_a_log_in_are_read_from_their_bucket(
    href: str, alternate: Any, expected: str
) -> None:
    item = landsat(href, **({} if alternate is None else {"alternate": alternate}))
    assert href_to_read(item, Storage()) == expected
    assert read_assets(item)["red"].href != STATED, "the item's own address"


def test_whoever_can_log_in_reads_the_own_address() -> None:
    item = landsat(DATA, alternate={"s3": {"href": STATED}})
    known = Storage(overrides={LOOK: StorageOptions(headers={"Cookie": "EROS=1"})})
    assert href_to_read(item, known) == DATA
    assert href_to_read(item, Storage(sign=lambda href: f"{href}?token=1")) == DATA


def test_an_alternate_is_read_if_the_options_name_it_and_it_is_there() -> None:
    storage = Storage(overrides={"https://a.org/": StorageOptions(alternate="s3")})
    signed = {"s3": {"href": "s3://bucket/B4.TIF?X-Amz-Signature=abc"}}
    assert href_to_read(landsat("https://a.org/B4.TIF", alternate=signed), storage) == (
        "s3://bucket/B4.TIF"
    )
    assert href_to_read(landsat("https://a.org/B4.TIF"), storage) == "https://a.org/B4.TIF"
    assert href_to_read(landsat(DATA), storage) == SAME


def test_a_relative_alternate_needs_the_address_of_its_item() -> None:
    storage = Storage(overrides={"https://a.org/": StorageOptions(alternate="s3")})
    item = landsat("https://a.org/x/B4.TIF", alternate={"s3": {"href": "./y/B4.TIF"}})
    assert href_to_read(item, storage) == f"{LOOK}stac-server/items/y/B4.TIF"
    item.set_self_href(None)
    assert href_to_read(item, storage) == "https://a.org/x/B4.TIF"
    item.assets["red"].href = DATA
    assert href_to_read(item, storage) == SAME


def test_copies_in_an_archive_have_no_alternates(tmp_path: Path) -> None:
    item = landsat(DATA, alternate={"s3": {"href": STATED}})
    anywhere = Storage(options=StorageOptions(alternate="s3"))
    for place in ("s3://mine", str(tmp_path)):
        moved = Archive(place).relocate(item, "landsat")
        assert href_to_read(moved, anywhere) == f"{place}/landsat/LC08/LC08_B4.TIF"
    assert "alternate" in item.assets["red"].extra_fields


def test_indexes_headers_and_chips_come_from_the_same_address(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    expected = Chipper(NoStatsChipIndexer(scene.item)).chip(0, 0)["red"]

    def log_in(request: Request) -> Answer:
        return 200, {"Content-Type": "text/html"}, b"<html>Log in</html>"

    with RangeServer(tmp_path) as server:
        server.route("/login", log_in)
        item = scene.item.clone()
        for key, asset in item.assets.items():
            asset.href = server.url(f"login/{key}.tif")
            asset.extra_fields["alternate"] = {"mirror": {"href": server.url(f"{key}.tif")}}
            for field in ("proj:shape", "proj:transform"):
                asset.extra_fields.pop(field, None)
        storage = Storage(overrides={server.url("login/"): StorageOptions(alternate="mirror")})
        assert len(next(iter(gather_headers(item, storage=storage).values()))) == 3
        chipper = Chipper(NoStatsChipIndexer(item, storage=storage), storage=storage)
        assert np.array_equal(chipper.chip(0, 0)["red"], expected)
        assert not [path for path in server.by_path if path.startswith("/login")]
