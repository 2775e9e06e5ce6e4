"""Files below a mount are found by the path of their href, and as in an archive."""

from __future__ import annotations

from datetime import UTC, datetime

import pystac
import pytest

from stacchip.errors import AccessDenied, UsageError
from stacchip.items.mount import Mount
from stacchip.storage import Storage


def _item(**hrefs: str) -> pystac.Item:
    item = pystac.Item("a-1", None, None, datetime(2024, 5, 1, tzinfo=UTC), {})
    for key, href in hrefs.items():
        item.add_asset(key, pystac.Asset(href))
    return item


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return str(path)


def _find(mount, item):
    moved = Mount(str(mount)).relocate(item, "naip", Storage())
    absent = {key: file.places for key, file in moved.absent.items()}
    return {key: asset.href for key, asset in moved.item.assets.items()}, absent


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("s3://bucket/a/b.tif", "a/b.tif"),
        ("s3://bucket/a/b%20c.tif", "a/b%20c.tif"),
        ("/vsis3/bucket/a/b.tif", "a/b.tif"),
        ("gs://bucket/a/b.tif", "a/b.tif"),
        ("abfs://container@account.dfs.core.windows.net/a/b.tif", "a/b.tif"),
        ("https://example.com/v2/a/b.tif", "v2/a/b.tif"),
        ("https://example.com/a/b.tif?versionId=7", "a/b.tif"),
        ("https://example.com/a/b%20c.tif", "a/b c.tif"),
        ("https://example.com/a/b%20c.tif", "a/b%20c.tif"),
        ("/data/a/b.tif", "data/a/b.tif"),
        ("file:///data/a/b.tif", "data/a/b.tif"),
        ("./a/b.tif", "a/b.tif"),
    ],
)
def test_a_file_is_found_by_the_path_of_its_href(tmp_path, href, path):
    place = _touch(tmp_path / path)
    assert _find(tmp_path, _item(red=href)) == ({"red": place}, {})


def test_a_relative_href_is_found_by_the_path_of_its_item(tmp_path):
    item = _item(red="./red.tif")
    item.set_self_href("s3://bucket/naip/scenes/a-1.json")
    place = _touch(tmp_path / "naip/scenes/red.tif")
    assert _find(tmp_path, item) == ({"red": place}, {})


def test_a_file_is_found_as_in_an_archive(tmp_path):
    place = _touch(tmp_path / "naip/a-1/b.tif")
    assert _find(tmp_path, _item(red="https://example.com/x/b.tif")) == ({"red": place}, {})


def test_the_path_of_the_href_goes_first(tmp_path):
    # two files of one name, as Sentinel-2 products have them
    item = _item(fine="s3://bucket/R10m/B02.tif", coarse="s3://bucket/R20m/B02.tif")
    places = {
        "fine": _touch(tmp_path / "R10m/B02.tif"),
        "coarse": _touch(tmp_path / "R20m/B02.tif"),
    }
    _touch(tmp_path / "naip/a-1/B02.tif")
    assert _find(tmp_path, item) == (places, {})


def test_a_relative_href_that_many_items_share_is_looked_for_in_the_archive_first(tmp_path):
    _touch(tmp_path / "data.tif")
    place = _touch(tmp_path / "naip/a-1/data.tif")
    own = _item(red="./data.tif")
    own.set_self_href("s3://bucket/scenes/a-1.json")
    for item in (_item(red="./data.tif"), _item(red="data.tif"), own):
        assert _find(tmp_path, item) == ({"red": place}, {})


def test_each_file_may_lie_in_another_layout(tmp_path):
    item = _item(red="s3://bucket/x/red.tif", nir="s3://bucket/x/nir.tif", swir="s3://bucket/s.tif")
    red, nir = _touch(tmp_path / "x/red.tif"), _touch(tmp_path / "naip/a-1/nir.tif")
    hrefs, absent = _find(tmp_path, item)
    assert (hrefs["red"], hrefs["nir"]) == (red, nir)
    assert absent == {"swir": (str(tmp_path / "s.tif"), str(tmp_path / "naip/a-1/s.tif"))}


@pytest.mark.parametrize(
    "href",
    [
        "https://example.com/a/../../../secret.tif",
        "https://example.com/%2e%2e/%2e%2e/secret.tif",
        "https://example.com/..%2f..%2fsecret.tif",
        "s3://bucket/../../secret.tif",
        "../../secret.tif",
        "/../secret.tif",
    ],
)
def test_no_href_leads_out_of_the_mount(tmp_path, href):
    _touch(tmp_path / "secret.tif")
    mount = tmp_path / "mnt" / "deep"
    mount.mkdir(parents=True)
    _, absent = _find(mount, _item(red=href))
    for place in absent["red"]:
        assert place.startswith(f"{mount}/")
        assert ".." not in place.split("/")


def test_names_that_no_file_can_have_are_not_looked_for(tmp_path):
    _, absent = _find(tmp_path, _item(red="https://example.com/a%00b.tif", nir="https://e.com/"))
    assert absent["red"] == (str(tmp_path / "a%00b.tif"),)
    assert absent["nir"] == ()


def test_an_item_that_leads_out_of_the_mount_is_refused(tmp_path):
    item = _item(red="s3://bucket/red.tif")
    with pytest.raises(UsageError):
        Mount(str(tmp_path)).relocate(item, "../..", Storage())


def test_an_item_that_was_collected_without_its_files_keeps_those_that_are_not_there(tmp_path):
    item = _item(red="s3://bucket/a/red.tif", nir="s3://bucket/a/nir.tif")
    item.properties["stacchip:choices"] = {"assets": "link"}
    place = _touch(tmp_path / "a/red.tif")
    assert _find(tmp_path, item) == ({"red": place, "nir": "s3://bucket/a/nir.tif"}, {})


class _Refusing(Storage):
    """A store that refuses to say what is at some places, and counts the questions."""

    def __init__(self, *refused):
        super().__init__()
        self.refused, self.asked = refused, []

    def exists(self, href):
        self.asked.append(href)
        if href in self.refused:
            raise AccessDenied(f"Not allowed: {href}", href=href, status=403)
        return super().exists(href)


def test_a_refusal_is_kept_unless_another_place_has_the_file(tmp_path):
    item = _item(red="s3://bucket/red.tif", nir="s3://bucket/nir.tif")
    storage = _Refusing(str(tmp_path / "red.tif"), str(tmp_path / "nir.tif"))
    place = _touch(tmp_path / "naip/a-1/nir.tif")
    moved = Mount(str(tmp_path)).relocate(item, "naip", storage)
    assert moved.item.assets["nir"].href == place
    assert moved.absent["red"].denied.href == str(tmp_path / "red.tif")
    assert list(moved.absent) == ["red"]


def test_only_the_files_that_are_asked_for_are_looked_for(tmp_path):
    item = _item(red="s3://bucket/red.tif", nir="s3://bucket/nir.tif")
    place, storage = _touch(tmp_path / "red.tif"), _Refusing()
    moved = Mount(str(tmp_path)).relocate(item, "naip", storage, ["red", "no such asset"])
    assert set(storage.asked) == {place, str(tmp_path / "naip/a-1/red.tif")}
    hrefs = {key: asset.href for key, asset in moved.item.assets.items()}
    assert hrefs == {"red": place, "nir": str(tmp_path / "naip/a-1/nir.tif")}
    assert moved.absent == {}


def test_the_item_itself_stays_as_it_is(tmp_path):
    _touch(tmp_path / "b.tif")
    item = _item(red="s3://bucket/b.tif")
    _find(tmp_path, item)
    assert item.assets["red"].href == "s3://bucket/b.tif"
