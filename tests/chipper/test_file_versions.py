"""Files that are replaced by others of the same size while chips are cut from them."""

from __future__ import annotations

import io
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scenes import Scene, make_scene, write_band
from servers.range_server import RangeServer
from stacchip.chipper import Chipper
from stacchip.chipper.file_versions import FileVersions
from stacchip.errors import AssetChanged
from stacchip.index import write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Identity, Storage, StorageOptions

PLAIN = {"compress": "none", "predictor": 1}


def make_copies(folder: Path, *, headers: bool = True, count: int = 1) -> list[Scene]:
    """An index of scenes, and copies of their files below a mount, with other times."""
    scenes = [make_scene(folder / f"archive/scene-{n}", f"scene-{n}") for n in range(count)]
    tables = []
    for scene in scenes:
        write_band(scene.path("red"), 10, (600, 700), **PLAIN)
        tables.append(NoStatsChipIndexer(scene.item, 128).create_index())
        copy_of(folder, scene).parent.mkdir(parents=True)
        copy_of(folder, scene).write_bytes(scene.path("red").read_bytes())
    items = [scene.item for scene in scenes]
    found = gather_headers(items, assets=["red"]) if headers else None
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    write_index(table, folder / "index", items=items, headers=found)
    return scenes


def copy_of(folder: Path, scene: Scene) -> Path:
    return folder / "mount" / scene.item.id / "red.tif"


def replace_copy(folder: Path, scene: Scene) -> None:
    """Put a file of other pixels, of the same size, into the place of a copy."""
    path = copy_of(folder, scene)
    new = path.with_name("new.tif")
    write_band(new, 10, (600, 700), **PLAIN, nodata=7)
    data = bytearray(new.read_bytes())
    data[-1000:] = bytes(1000)
    new.write_bytes(data.ljust(path.stat().st_size, b"\0")[: path.stat().st_size])
    os.utime(new, (path.stat().st_atime, path.stat().st_mtime + 60))
    new.replace(path)


def mounted(items: list[Scene], mount: str) -> list:
    """The items with their files below a mount, as a caller would pass them."""
    moved = []
    for scene in items:
        item = scene.item.clone()
        item.assets["red"].href = f"{mount}/{scene.item.id}/red.tif"
        moved.append(item)
    return moved


@pytest.fixture(params=["local", "web"])
def mount(request, tmp_path):
    (tmp_path / "mount").mkdir()
    if request.param == "local":
        yield str(tmp_path / "mount")
        return
    with RangeServer(tmp_path) as server:
        yield server.url("mount")


@pytest.mark.parametrize("headers", [True, False])
def test_a_copy_that_is_replaced_between_two_chips_is_noticed(tmp_path, mount, headers):
    (scene,) = make_copies(tmp_path, headers=headers)
    items = mounted([scene], mount)
    chipper = Chipper(tmp_path / "index", assets=["red"], items=items)
    chipper.chip(0, 0)
    replace_copy(tmp_path, scene)
    with pytest.raises(AssetChanged, match=r"red\.tif"):
        chipper.chip(3, 3)
    # also by those that open the item anew: one that made room for others, and another process
    for other in (chipper.with_assets(["red"]), pickle.loads(pickle.dumps(chipper))):
        with pytest.raises(AssetChanged, match=r"red\.tif"):
            other.chip(3, 3)
        with pytest.raises(AssetChanged, match=r"red\.tif"):
            other.open_anew(0)
    assert Chipper(tmp_path / "index", assets=["red"], items=items).chip(3, 3)


def test_files_below_a_mountpath_keep_their_version(tmp_path, mount):
    (scene,) = make_copies(tmp_path)
    index = tmp_path / "index"
    original = scene.path("red").relative_to("/")
    place = tmp_path / "mount" / original
    place.parent.mkdir(parents=True)
    place.write_bytes(copy_of(tmp_path, scene).read_bytes())
    chipper = Chipper(index, mount, assets=["red"])
    np.testing.assert_array_equal(
        chipper.chip(0, 0)["red"], Chipper(index, assets=["red"]).chip(0, 0)["red"]
    )
    replace_copy(tmp_path, scene)
    copy_of(tmp_path, scene).replace(place)
    with pytest.raises(AssetChanged, match=r"red\.tif"):
        chipper.chip(3, 3)
    sizes = Storage(options=StorageOptions(identity="size"))
    lax = Chipper(index, mount, assets=["red"], storage=sizes)
    lax.chip(0, 0)
    os.utime(place, (1, 1))
    assert lax.chip(3, 3)


def test_a_copy_of_another_size_is_refused_from_the_beginning(tmp_path, mount):
    (scene,) = make_copies(tmp_path)
    with copy_of(tmp_path, scene).open("ab") as file:
        file.write(b"\0")
    chipper = Chipper(tmp_path / "index", assets=["red"], items=mounted([scene], mount))
    with pytest.raises(AssetChanged, match=r"red\.tif"):
        chipper.chip(0, 0)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A folder for temporary files of our own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("headers", [True, False])
def test_copies_in_other_processes_share_the_versions_of_files(tmp_path, mount, headers):
    (scene,) = make_copies(tmp_path, headers=headers)
    chipper = Chipper(tmp_path / "index", assets=["red"], items=mounted([scene], mount))
    workers = [pickle.loads(pickle.dumps(chipper)) for _ in range(2)]
    workers[0].chip(0, 0)
    replace_copy(tmp_path, scene)
    for later in (workers[1], chipper, pickle.loads(pickle.dumps(chipper))):
        with pytest.raises(AssetChanged, match=r"red\.tif"):
            later.chip(3, 3)


def test_a_chipper_without_copies_shares_nothing(tmp_path, mount, scratch):
    (scene,) = make_copies(tmp_path, headers=False)
    assert Chipper(tmp_path / "index", assets=["red"], items=mounted([scene], mount)).chip(0, 0)
    assert list(scratch.iterdir()) == []


def test_the_versions_of_files_that_were_opened_long_ago_make_room():
    versions, storage = FileVersions(most=2), Storage()
    one, other = Identity(1, '"a"'), Identity(1, '"b"')
    for href in ("/a", "/b", "/c"):
        assert versions.require(href, one, storage) is one
    assert versions.require("/a", other, storage) is other
    with pytest.raises(AssetChanged):
        versions.require("/c", other, storage)


def test_versions_are_sent_while_others_are_noted():
    versions, storage = FileVersions(), Storage()
    known = Identity(1, '"a"')

    class Sender(pickle.Pickler):
        def persistent_id(self, sent: object) -> None:
            if sent == known:  # as another thread may do at any time
                versions.require(f"/{len(versions._first)}", known, storage)

    for href in ("/a", "/b"):
        versions.require(href, known, storage)
    data = io.BytesIO()
    Sender(data).dump(versions)
    with pytest.raises(AssetChanged):
        pickle.loads(data.getvalue()).require("/b", Identity(1, '"b"'), storage)
