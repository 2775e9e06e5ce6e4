"""`stacchip headers`: adding and refreshing the headers that an index keeps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from scenes import Scene, make_scene, write_band
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.errors import AssetChanged
from stacchip.grid.geobox import read_grid
from stacchip.index import read_records, write_index
from stacchip.index.headers import gather_headers
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "scene")


@pytest.fixture
def index(scene: Scene, tmp_path: Path) -> str:
    """An index without headers."""
    path = tmp_path / "index"
    write_index(NoStatsChipIndexer(scene.item).create_index(), path)
    return str(path)


def kept(index: str) -> set[str]:
    (record,) = read_records(index)
    return set(record.headers)


def test_headers_are_added_once(index: str, capsys):
    assert run(["headers", index, "--assets", "red"]) == 0
    assert "1 headers read" in capsys.readouterr().out
    assert kept(index) == {"red"}
    assert run(["headers", index]) == 0
    assert "2 headers read" in capsys.readouterr().out
    assert kept(index) == {"red", "swir", "coastal"}
    assert run(["headers", index]) == 0
    out = capsys.readouterr().out
    assert "has the headers of all its files" in out
    assert "stacchip headers" in out
    assert "--refresh" in out


@pytest.mark.parametrize(
    ("options", "variable", "identity"),
    [((), None, "etag"), (("--identity", "size"), None, "size"), ((), "none", "none")],
)
def test_what_must_agree_is_an_option_and_a_variable(
    options: tuple[str, ...], variable: str | None, identity: str, index: str, monkeypatch
):
    seen = []

    def read_none(*_, storage: Storage, **__) -> int:
        seen.append(storage.options_for("https://a.org/a.tif").identity)
        return 0

    monkeypatch.setattr("stacchip.cli.commands.headers.add_headers", read_none)
    if variable is not None:
        monkeypatch.setenv("STACCHIP_IDENTITY", variable)
    assert run(["headers", index, *options]) == 0
    assert seen == [identity]


def test_a_replaced_file_can_be_read_after_a_refresh(scene: Scene, tmp_path: Path, capsys):
    index = str(tmp_path / "index")
    table = NoStatsChipIndexer(scene.item).create_index()
    write_index(table, index, headers=gather_headers(scene.item))
    write_band(scene.path("red"), 10, (600, 700), nodata=7)
    with pytest.raises(AssetChanged, match="stacchip headers INDEX --refresh"):
        Chipper(index, assets=["red"]).chip(0, 0)
    assert run(["headers", index, "--refresh"]) == 0
    captured = capsys.readouterr()
    assert "3 headers read" in captured.out
    assert "index their items again" in captured.err
    assert np.all(Chipper(index, assets=["red"]).chip(0, 0)["red"])


def test_a_file_that_moved_is_told_even_if_the_index_holds_no_grid(
    scene: Scene, tmp_path: Path, capsys
):
    index = str(tmp_path / "index")
    table = NoStatsChipIndexer(scene.item).create_index()
    write_index(table, index, items=[scene.item], headers=gather_headers(scene.item))
    (record,) = read_records(index)
    assert read_grid(record.item) is None
    assert run(["headers", index, "--refresh"]) == 0
    assert "WARNING" not in capsys.readouterr().err
    write_band(scene.path("swir"), 10, (600, 700), nodata=7)
    assert run(["headers", index, "--refresh"]) == 0
    error = capsys.readouterr().err
    assert "the index says of asset 'swir'" in error
    assert "index the item again" in error
    assert "'red'" not in error


def test_files_that_fail_are_named_and_cost_no_other(scene: Scene, index: str, capsys):
    scene.path("swir").unlink()
    assert run(["headers", index]) == 1
    assert "asset 'swir'" in capsys.readouterr().err
    assert kept(index) == set()
    assert run(["headers", index, "--skip-errors"]) == 1
    captured = capsys.readouterr()
    assert "2 headers read" in captured.out
    assert "1 files left out" in captured.out
    assert "left out: Item 'scene-1', asset 'swir'" in captured.err
    assert kept(index) == {"red", "coastal"}


def test_an_asset_that_no_item_has_is_an_error(index: str, capsys):
    assert run(["headers", index, "--assets", "blue"]) == 1
    assert "'blue'" in capsys.readouterr().err


def test_how_strictly_versions_are_compared_is_an_option_and_a_variable(
    scene: Scene, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    index, picture = str(tmp_path / "index"), tmp_path / "chip.npy"
    table = NoStatsChipIndexer(scene.item).create_index()
    write_index(table, index, headers=gather_headers(scene.item))
    os.utime(scene.path("red"), ns=(1, 1))
    cut = ["chip", index, "scene-1-0-0", "-o", str(picture), "--assets", "red"]
    assert run(cut) == 1
    assert "compare sizes: --identity size." in capsys.readouterr().err
    assert run([*cut, "--identity", "size"]) == 0
    monkeypatch.setenv("STACCHIP_IDENTITY", "none")
    assert run(cut) == 0
    monkeypatch.setenv("STACCHIP_IDENTITY", "inode")
    assert run(["index", str(scene.folder / "item.json"), "-o", str(tmp_path / "new")]) == 2
    assert run(cut) == 2
    assert "'etag', 'size', 'none'" in capsys.readouterr().err
