"""Many items into one index."""

from __future__ import annotations

import pytest

from scenes import make_scene
from servers.range_server import RangeServer
from stacchip import ChipIndexer, Chipper, Storage, index_items, read_index
from stacchip.cli import run
from stacchip.errors import DuplicateChips, StacchipError, UsageError
from stacchip.index import read_records


def path_of(scene) -> str:
    return str(scene.folder / "item.json")


@pytest.fixture
def scenes(tmp_path):
    return [make_scene(tmp_path / name, item_id=name) for name in ("a", "b", "c")]


def test_the_index_is_the_one_that_the_command_writes(scenes, tmp_path):
    paths = [path_of(scene) for scene in scenes]
    assert run(["index", *paths, "-o", str(tmp_path / "command")]) == 0
    indexed = index_items(paths, tmp_path / "library")
    files = {file.name for file in (tmp_path / "command").iterdir()}
    assert files == {file.name for file in (tmp_path / "library").iterdir()}
    for name in files:
        ours, theirs = (tmp_path / each / name for each in ("library", "command"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert (indexed.items, indexed.skipped) == (3, ())
    assert indexed.chips == read_index(tmp_path / "library").num_rows > 0


def test_items_come_as_objects_paths_or_a_generator(scenes, tmp_path):
    forms = [
        [scene.item for scene in scenes],
        (scene.item for scene in scenes),
        [scenes[0].item, path_of(scenes[1]), scenes[2].item.to_dict()],
    ]
    for number, items in enumerate(forms):
        assert index_items(items, tmp_path / str(number)).items == 3
    assert index_items(scenes[0].item, tmp_path / "one").items == 1


def test_headers_are_kept_unless_refused(scenes, tmp_path):
    index_items([scenes[0].item], tmp_path / "with")
    index_items([scenes[0].item], tmp_path / "without", headers=False)
    kept, left = (next(iter(read_records(tmp_path / name))) for name in ("with", "without"))
    assert set(kept.headers) == {"red", "swir", "coastal"}
    assert left.headers == {}


def test_a_first_chip_takes_fewer_reads_with_headers(scenes, tmp_path):
    with RangeServer(scenes[0].folder) as server:
        item = scenes[0].item.clone()
        for asset in item.assets.values():
            asset.href = server.url(asset.href.rpartition("/")[2])
        reads = {}
        for headers in (True, False):
            path = tmp_path / str(headers)
            index_items([item], path, headers=headers)
            before = server.requests
            Chipper(path)[0]
            reads[headers] = server.requests - before
    assert reads[True] < reads[False]


def test_what_fails_raises_or_is_left_out_and_said(scenes, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    items = [path_of(scenes[0]), str(broken), path_of(scenes[1])]
    with pytest.raises(StacchipError, match="broken"):
        index_items(items, tmp_path / "index")
    assert not (tmp_path / "index").exists()
    seen = []
    indexed = index_items(items, tmp_path / "index", errors="skip", progress=seen.append)
    assert indexed.items == 2
    assert [name for name, _ in indexed.skipped] == [str(broken)]
    assert seen == ["a", str(broken), "b"]


def test_an_item_that_comes_twice_is_refused(scenes, tmp_path):
    twice = [scenes[0].item, scenes[0].item]
    with pytest.raises(DuplicateChips, match="'a'"):
        index_items(twice, tmp_path / "index")
    assert index_items(twice, tmp_path / "index", errors="skip").items == 1


def test_chips_are_measured_by_the_indexer_given(scenes, tmp_path):
    class Striped(ChipIndexer):
        def get_stats(self, x, y):
            return 0.25 if x == 0 else 0.75, 0.0

    index_items([scenes[0].item], tmp_path / "index", indexer=Striped)
    table = read_index(tmp_path / "index")
    expected = [0.25 if x == 0 else 0.75 for x in table["chip_index_x"].to_pylist()]
    assert table["cloud_cover_percentage"].to_pylist() == expected


def test_an_unknown_way_to_treat_errors_is_refused(scenes, tmp_path):
    with pytest.raises(UsageError, match="ignore"):
        index_items([scenes[0].item], tmp_path / "index", errors="ignore")


def test_no_item_gives_no_index(tmp_path):
    indexed = index_items([], tmp_path / "index", storage=Storage())
    assert (indexed.items, indexed.chips) == (0, 0)
    assert not (tmp_path / "index").exists()
