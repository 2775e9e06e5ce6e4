"""Names from catalogues, and where things lie in an archive."""

from __future__ import annotations

import contextlib
import json
import pickle
import posixpath
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stacchip.errors import InvalidMetadata, ObjectNotFound, UsageError
from stacchip.items import read_assets
from stacchip.items.archive import ITEM_NAME, Archive, file_name, other_reading, safe_name
from stacchip.storage import Storage

HOSTILE = [
    "", ".", "..", "...", "../a", "a/b", "/etc/passwd", "a\\b", "a b", "a\nb", "a\0b", "é", "a?b",
    "a#b", "a%2Fb", "a:b", "a" * 201, None, 7,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_and_nothing_is_repaired(name):
    with pytest.raises(InvalidMetadata, match="Nothing was written"):
        safe_name(name, what="item id")


@pytest.mark.parametrize("item_id", [name for name in HOSTILE if isinstance(name, str)])
def test_no_hostile_item_id_is_written(item_id):
    archive = Archive("s3://bucket")
    for place in (archive.place("naip", item_id), archive.place(item_id, "item")):
        with pytest.raises(InvalidMetadata):
            _ = place.folder
        with pytest.raises(InvalidMetadata):
            _ = place.index_folder


@pytest.mark.parametrize("root", ["s3://bucket", "s3://bucket/prefix", "/bucket", "https://h/b"])
@pytest.mark.parametrize("name", ["..", "../a", "/etc/passwd", "", "a/../../..", "a\\b", "a\nb"])
def test_no_name_that_is_read_leads_out_of_the_archive(root, name):
    archive = Archive(root)
    for place in (archive.place(name, "item"), archive.place("naip", name)):
        with pytest.raises(UsageError):
            _ = place.item_href
    with pytest.raises(UsageError):
        _ = archive.place(name, "item").index_href


@settings(deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_let_through_stays_in_the_archive(platform, item_id, name):
    place = Archive("/bucket").place(platform, item_id)
    for href in (
        lambda: place.item_href,
        lambda: place.index_href,
        lambda: place.asset_href(name),
    ):
        with contextlib.suppress(UsageError, ValueError):
            assert posixpath.normpath(href()).startswith("/bucket/")


@settings(deadline=None)
@given(st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True))
def test_writers_and_readers_agree_on_every_place(item_id):
    assume(item_id.strip("."))
    place = Archive("s3://bucket/prefix").place("naip", item_id)
    assert place.item_href == place.folder + ITEM_NAME
    assert place.asset_href("https://h/a/b.tif?x=1") == f"{place.folder}b.tif"
    assert place.index_href == f"{place.index_folder}/{place.index_name}"


@pytest.mark.parametrize("root", ["s3://bucket", "s3://bucket/"])
def test_the_layout_is_the_originals(root):
    place = Archive(root).place("naip", "m_1")
    assert place.item_href == "s3://bucket/naip/m_1/stac_item.json"
    assert place.asset_href("m_1.tif") == "s3://bucket/naip/m_1/m_1.tif"
    assert place.index_href == "s3://bucket/index/naip/m_1/index_m_1.parquet"


# -- one rule of naming ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "href"),
    [
        ("clay-v1-data", "s3://clay-v1-data"),
        ("my.bucket", "s3://my.bucket"),
        ("old_bucket", "s3://old_bucket"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("gs://bucket", "gs://bucket"),
        ("https://example.com/archive", "https://example.com/archive"),
        ("data/cubes", "data/cubes"),
        ("data/", "data/"),
        ("/data/cubes", "/data/cubes"),
        ("./data", "./data"),
        ("..", ".."),
        (".archive", ".archive"),
        (Path("data"), "data"),
        ("~", "/home/someone"),
        ("~/data", "/home/someone/data"),
        (Path("~/data"), "/home/someone/data"),
    ],
)
def test_a_bare_name_is_a_bucket_and_a_path_is_a_folder(name, href, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert Archive.named(name).href == href


@pytest.mark.parametrize(
    ("name", "href"), [("cubes", "./cubes"), ("my cubes", "./my cubes"), ("é", "./é")]
)
def test_a_bare_name_is_a_folder_where_no_bucket_is_asked_for(name, href):
    assert Archive.named(name, bare="folder").href == href


@pytest.mark.parametrize("bare", ["bucket", "folder"])
@pytest.mark.parametrize("name", ["cubes", "a/b", "./a", "..", "~/a", "s3://a", "file:///a"])
def test_a_named_place_means_the_same_when_it_is_named_again(name, bare):
    href = Archive.named(name, bare=bare).href
    assert {Archive.named(href, bare=other).href for other in ("bucket", "folder")} == {href}


@pytest.mark.parametrize(
    ("name", "bare", "other"),
    [
        ("cubes", "folder", "s3://cubes"),
        ("cubes", "bucket", "./cubes"),
        ("bucket/prefix", "bucket", "s3://bucket/prefix"),
        ("bucket/prefix/", "bucket", "s3://bucket/prefix"),
        ("data/cubes", "folder", None),
        ("./cubes", "bucket", None),
        ("~/cubes", "bucket", None),
        ("/data/cubes", "bucket", None),
        ("s3://cubes", "folder", None),
        ("my cubes", "folder", None),
        ("my cubes/x", "bucket", None),
    ],
)
def test_a_name_that_could_be_misread_has_another_reading(name, bare, other):
    assert other_reading(name, bare=bare) == other


@pytest.mark.parametrize("name", ["", "my bucket", "a:b", "é", "-x", "a\\b", "~nobody-here/data"])
def test_what_names_neither_a_bucket_nor_a_folder_is_refused(name):
    with pytest.raises(UsageError, match="names"):
        Archive.named(name)


# -- items of an archive ---------------------------------------------------------------------------


def put_item(root: Path, **properties: Any) -> pystac.Item:
    """An item of two assets, whose files lie at its catalogue, in an archive at `root`."""
    item = pystac.Item("m_1", None, None, datetime(2020, 2, 19, tzinfo=UTC), properties)
    item.add_asset("image", pystac.Asset("https://example.com/a/m_1.tif?versionId=7"))
    item.add_asset("preview", pystac.Asset("https://example.com/api/preview:1.png"))
    path = Path(Archive(str(root)).place("naip", "m_1").item_href)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(item.to_dict()))
    return item


def test_an_item_is_read_with_its_files_beside_it(tmp_path):
    put_item(tmp_path)
    item = Archive(str(tmp_path)).read_item("naip", "m_1", Storage())
    assert {key: asset.href for key, asset in item.assets.items()} == {
        "image": f"{tmp_path}/naip/m_1/m_1.tif",
        "preview": f"{tmp_path}/naip/m_1/preview:1.png",
    }


def test_a_linked_item_keeps_its_hrefs(tmp_path):
    linked = put_item(tmp_path, **{"stacchip:choices": {"assets": "link"}})
    item = Archive(str(tmp_path)).read_item("naip", "m_1", Storage())
    assert item.assets["image"].href == linked.assets["image"].href


def test_relocating_leaves_the_item_as_it_was(tmp_path):
    item = put_item(tmp_path)
    before = item.to_dict()
    assert (
        Archive("s3://b").relocate(item, "naip").assets["image"].href == "s3://b/naip/m_1/m_1.tif"
    )
    assert item.to_dict() == before


def test_relocated_hrefs_do_not_depend_on_where_the_item_was_read(tmp_path, monkeypatch):
    put_item(tmp_path / "data/archive")
    monkeypatch.chdir(tmp_path)
    item = Archive("data/archive").read_item("naip", "m_1", Storage())
    expected = f"{tmp_path}/data/archive/naip/m_1/m_1.tif"
    assert item.assets["image"].get_absolute_href() == expected


@pytest.mark.parametrize("own", ["https://example.com/items/m_1", "s3://bucket/m_1.json"])
def test_local_copies_of_a_remote_item_are_local_files(tmp_path, own):
    item = put_item(tmp_path)
    item.set_self_href(own)
    moved = Archive(str(tmp_path)).relocate(item, "naip")
    assert read_assets(moved)["image"].href == f"{tmp_path}/naip/m_1/m_1.tif"
    assert item.get_self_href() == own


def test_an_item_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ObjectNotFound, match=r"naip/m_1/stac_item\.json"):
        Archive(str(tmp_path)).read_item("naip", "m_1", Storage())


def test_an_archive_can_be_pickled_and_is_found_under_its_old_names():
    from stacchip.chipper.bucket import Bucket
    from stacchip.processors.layout import Layout

    assert Bucket is Archive
    assert Layout is Archive
    assert pickle.loads(pickle.dumps(Archive("s3://b"))) == Archive("s3://b")
    old = b"\x80\x04cstacchip.chipper.bucket\nBucket\n)\x81}\x8c\x04hrefX\x06\x00\x00\x00s3://bsb."
    assert pickle.loads(old) == Archive("s3://b"), "a pickle of 0.x"


# -- file names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("s3://b/k/B02.tif", "B02.tif"),
        ("https://h/c/iw-vv.rtc.tiff?sv=1&sig=secret", "iw-vv.rtc.tiff"),
        ("./B02.tif", "B02.tif"),
    ],
)
def test_a_file_keeps_its_name_without_the_query(href, name):
    assert file_name(href) == name


@pytest.mark.parametrize(
    "href", ["https://h/a/..%2F..%2Fx", "https://h/", "s3://b/..", "s3://b/a b.tif"]
)
def test_a_file_name_that_climbs_is_refused(href):
    try:
        name = file_name(href)
    except InvalidMetadata:
        return
    assert name == "x", "only the last segment may be left of a path that climbs"
