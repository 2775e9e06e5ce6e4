from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pystac
import pytest

from index import dying
from kills import files_of, left_by_kills
from scenes import Scene, make_scene
from servers.range_server import RangeServer
from stacchip.chipper import Chipper
from stacchip.errors import AssetChanged, AssetNotFound, ObjectNotFound, UsageError
from stacchip.index import read_index, read_records, write_index
from stacchip.index.headers import add_headers, gather_headers, stream_headers
from stacchip.indexer import NoStatsChipIndexer
from stacchip.items import item_key
from stacchip.storage import Storage

BANDS = ("coastal", "red", "swir")


@pytest.fixture
def server(scene: Scene) -> Iterator[RangeServer]:
    with RangeServer(scene.folder) as running:
        yield running


def remote(scene: Scene, server: RangeServer) -> pystac.Item:
    """The scene's item with its files behind the server."""
    item = scene.item.clone()
    for key, asset in item.assets.items():
        asset.href = server.url(f"{key}.tif")
    return item


def write_remote_index(item: pystac.Item, path: Path, **options) -> str:
    table = NoStatsChipIndexer(item).create_index()
    write_index(table, path, **options)
    return str(path)


def rewrite_in_place(path: Path) -> None:
    """Another file of the same size: one byte of a block differs."""
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def test_a_header_takes_one_request_for_each_raster(scene, server):
    headers = gather_headers(remote(scene, server))
    assert set(headers[item_key(scene.item)]) == set(BANDS)
    assert server.by_path == {f"/{key}.tif": 1 for key in BANDS}


def test_headers_of_chosen_assets_only(scene, server):
    headers = gather_headers(remote(scene, server), ["red"])
    assert set(headers[item_key(scene.item)]) == {"red"}
    with pytest.raises(AssetNotFound, match="'blue'"):
        gather_headers(remote(scene, server), ["blue"])


def test_a_lost_file_is_named_with_item_and_asset_or_left_out(scene, server):
    (scene.folder / "swir.tif").unlink()
    with pytest.raises(ObjectNotFound, match=r"Item 'scene-1', asset 'swir'.*swir\.tif") as caught:
        gather_headers(remote(scene, server))
    assert (caught.value.facts["item_id"], caught.value.facts["asset"]) == ("scene-1", "swir")
    headers = gather_headers(remote(scene, server), errors="skip")
    assert set(headers[item_key(scene.item)]) == {"red", "coastal"}


def test_headers_of_many_items_are_read_as_they_are_needed(tmp_path):
    scenes = [make_scene(tmp_path / f"{number}", f"item-{number}") for number in range(3)]
    taken = []

    def give_items():
        for scene in scenes * 100:
            taken.append(scene)
            yield scene.item

    found = dict(stream_headers(give_items()))
    assert sorted(key.item_id for key in found) == ["item-0", "item-1", "item-2"]
    assert {frozenset(each) for each in found.values()} == {frozenset(BANDS)}
    assert len(taken) == 300, "an item may come again"


def test_two_different_items_of_one_key_have_no_headers(scene):
    other = scene.item.clone()
    other.properties["eo:cloud_cover"] = 99
    with pytest.raises(UsageError, match="Two different items have the key"):
        list(stream_headers([scene.item, other]))


def test_with_an_index_at_hand_the_first_chip_takes_one_round_trip(scene, server, tmp_path):
    item = remote(scene, server)
    expected = Chipper(NoStatsChipIndexer(item)).cut(1, 1)
    path = write_remote_index(item, tmp_path / "index", headers=gather_headers(item))
    server.delay_s = 0.3
    server.reset_counters()
    chip = Chipper(path).cut(1, 1)
    np.testing.assert_array_equal(chip.array, expected.array)
    # nothing but blocks, all asked for before the first of them has come
    times = sorted(request.time_s for request in server.log)
    assert len(times) == len({(r.path, r.headers["range"]) for r in server.log}) >= len(BANDS)
    assert times[-1] - times[0] < 0.3


def test_headers_are_added_to_an_index_that_lacks_them(scene, server, tmp_path):
    item = remote(scene, server)
    path = write_remote_index(item, tmp_path / "index")
    assert read_records(path)[0].headers == {}
    assert add_headers(path) == len(BANDS)
    assert set(read_records(path)[0].headers) == set(BANDS)
    server.reset_counters()
    assert add_headers(path) == 0
    assert server.requests == 0


def test_a_file_rewritten_with_the_same_size_is_noticed(scene, server, tmp_path):
    item = remote(scene, server)
    path = write_remote_index(item, tmp_path / "index", headers=gather_headers(item))
    chipper = Chipper(path)
    chipper.cut(0, 0)
    size = (scene.folder / "red.tif").stat().st_size
    rewrite_in_place(scene.folder / "red.tif")
    assert (scene.folder / "red.tif").stat().st_size == size
    for reader in (chipper, Chipper(path)):
        with pytest.raises(AssetChanged, match=r"red\.tif"):
            reader.cut(0, 0)


def test_the_etag_is_compared_where_the_server_ignores_if_match(scene, server, tmp_path):
    item = remote(scene, server)
    path = write_remote_index(item, tmp_path / "index", headers=gather_headers(item))
    body = (scene.folder / "red.tif").read_bytes()

    def careless(request):
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        part = body[first : last + 1]
        told = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
        return 206, {"ETag": '"other"', "Content-Range": told}, part

    server.route("/red.tif", careless)
    with pytest.raises(AssetChanged):
        Chipper(path).cut(0, 0)


def test_a_rewritten_local_file_is_noticed(scene, tmp_path):
    path = write_remote_index(scene.item, tmp_path / "i", headers=gather_headers(scene.item))
    Chipper(path).cut(0, 0)
    rewrite_in_place(scene.folder / "red.tif")
    with pytest.raises(AssetChanged):
        Chipper(path).cut(0, 0)


def test_refreshed_headers_read_the_new_file(scene, server, tmp_path):
    item = remote(scene, server)
    path = write_remote_index(item, tmp_path / "index", headers=gather_headers(item))
    shutil.copy(make_scene(tmp_path / "new").path("red"), scene.path("red"))
    with pytest.raises(AssetChanged):
        Chipper(path).cut(0, 0)
    assert add_headers(path, ["red"], refresh=True) == 1
    Chipper(path).cut(0, 0)


def test_under_a_mountpath_the_size_alone_identifies_a_copy(scene, server, tmp_path):
    item = remote(scene, server)
    path = write_remote_index(item, tmp_path / "index", headers=gather_headers(item))
    expected = Chipper(path).cut(1, 0)
    platform = read_records(path)[0].platform
    copies = tmp_path / "mount" / platform / item.id
    shutil.copytree(scene.folder, copies)
    server.reset_counters()
    storage = Storage()
    chip = Chipper(path, tmp_path / "mount", storage=storage).cut(1, 0)
    np.testing.assert_array_equal(chip.array, expected.array)
    assert server.requests == 0
    with (copies / "red.tif").open("ab") as file:
        file.write(b"more")
    with pytest.raises(AssetChanged, match=r"red\.tif"):
        Chipper(path, tmp_path / "mount").cut(1, 0)


def test_a_local_copy_that_is_replaced_while_it_is_open_is_noticed(scene, server, tmp_path):
    item = remote(scene, server)
    path = write_remote_index(item, tmp_path / "index", headers=gather_headers(item))
    copies = tmp_path / "mount" / read_records(path)[0].platform / item.id
    shutil.copytree(scene.folder, copies)
    chipper = Chipper(path, tmp_path / "mount", assets=["red"])
    chipper.cut(0, 0)
    rewrite_in_place(copies / "red.tif")
    with pytest.raises(AssetChanged, match=r"red\.tif"):
        chipper.cut(1, 1)
    Chipper(path, tmp_path / "mount", assets=["red"]).cut(0, 0)  # opened anew


def test_a_given_copy_of_the_item_uses_the_headers_of_the_index(scene, server, tmp_path):
    item = remote(scene, server)
    path = write_remote_index(item, tmp_path / "index", headers=gather_headers(item))
    elsewhere = scene.item.clone()
    with RangeServer(scene.folder) as other:
        for key, asset in elsewhere.assets.items():
            asset.href = other.url(f"{key}.tif")
        Chipper(path, items=[elsewhere]).cut(0, 0)
        assert not any(r.headers.get("range", "").startswith("bytes=0-") for r in other.log)
        # each copy says its own version once, which its blocks are to have
        assert sum(r.method == "HEAD" for r in other.log) == len(BANDS)


def test_headers_that_are_added_are_all_there_or_none_whenever_their_writer_is_killed(
    scene, tmp_path
):
    index = tmp_path / "index"
    write_index(NoStatsChipIndexer(scene.item).create_index(), index, items=[scene.item])
    chips, names = read_index(index), sorted(files_of(index))
    lefts = left_by_kills(dying.read_headers, index, ["red", "swir"], copies=tmp_path / "copies")
    files = files_of(index)
    assert sorted(files) == names
    seen = []
    for left in lefts:
        (record,) = read_records(left.folder)
        assert sorted(record.headers) in ([], ["red", "swir"]), left.step
        assert read_index(left.folder).equals(chips)
        seen.append(len(record.headers))
        add_headers(left.folder, ["red", "swir"])
        assert files_of(left.folder) == files, left.step
    assert set(seen) == {0, 2}
    assert seen == sorted(seen)
