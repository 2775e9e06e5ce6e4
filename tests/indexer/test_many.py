"""Many items into one index."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import weakref

import pytest
from affine import Affine
from pystac import Asset, Link

from interrupts import heeding_interrupts
from scenes import make_scene
from servers.range_server import RangeServer
from stacchip import ChipIndexer, Chipper, Storage, index_items, load_items, read_index
from stacchip.cli import run
from stacchip.errors import (
    DuplicateChips,
    GridMismatch,
    StacchipError,
    StorageError,
    UnexpectedError,
    UsageError,
)
from stacchip.index import read_records
from stacchip.indexer import NoStatsChipIndexer


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


@pytest.mark.parametrize("errors", ["raise", "skip"])
def test_an_item_that_comes_again_is_dropped_and_counted(scenes, tmp_path, errors):
    again = scenes[0].item.clone()
    again.add_link(Link("via", "https://example.com/?page=2"))
    items = [scenes[0].item, scenes[1].item, again, path_of(scenes[0])]
    indexed = index_items(items, tmp_path / "index", errors=errors)
    assert (indexed.items, indexed.repeats, indexed.skipped) == (2, 2, ())
    assert read_index(tmp_path / "index").num_rows == indexed.chips


def test_of_two_items_that_an_indexer_gives_one_key_the_second_is_an_error(scenes, tmp_path):
    class Alike(NoStatsChipIndexer):
        platform = "mine"

    one, two = (scene.item.clone() for scene in scenes[:2])
    one.id = two.id = "same"
    one.collection_id, two.collection_id = "january", "february"
    with pytest.raises(DuplicateChips, match=r"two items the key 'same' \(mine\)"):
        index_items([one, two], tmp_path / "strict", indexer=Alike)

    indexed = index_items([one, two, scenes[2].item], tmp_path / "x", indexer=Alike, errors="skip")

    assert (indexed.items, [name for name, _ in indexed.skipped]) == (2, ["same"])
    index = read_index(tmp_path / "x")
    assert index.num_rows == indexed.chips
    assert set(index["item_id"].to_pylist()) == {"same", scenes[2].item.id}


def test_of_two_different_items_of_one_key_the_second_is_an_error(scenes, tmp_path):
    other = scenes[0].item.clone()
    other.assets["red"].href = "./elsewhere.tif"
    items = [scenes[0].item, other, scenes[1].item]
    with pytest.raises(DuplicateChips, match=r"differ: one is .*red\.tif.* the other .*elsewhere"):
        index_items(items, tmp_path / "index")
    indexed = index_items(items, tmp_path / "index", errors="skip")
    assert (indexed.items, indexed.repeats) == (2, 0)
    ((name, error),) = indexed.skipped
    assert (name, error.item_id) == ("a", "a")


def test_copies_of_an_item_whose_files_lie_apart_are_not_one_item(scenes, tmp_path):
    """Relative hrefs mean other files in another folder."""
    moved = make_scene(tmp_path / "elsewhere", item_id="a")
    with pytest.raises(DuplicateChips):
        index_items([scenes[0].item, moved.item], tmp_path / "index")


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


def test_many_items_that_fail_leave_only_their_errors_in_memory(scenes, tmp_path):
    made = []

    class Failing(ChipIndexer):
        def get_stats(self, x, y):
            made.append(weakref.ref(self))
            raise StorageError("the store is down", href="a.tif")

    items = [scenes[0].item.clone() for _ in range(20)]
    for number, item in enumerate(items):
        item.id = f"item-{number}"
    indexed = index_items(items, tmp_path / "index", indexer=Failing, errors="skip")
    assert [item_id for item_id, _ in indexed.skipped] == [item.id for item in items]
    assert {error.href for _, error in indexed.skipped} == {"a.tif"}
    gc.collect()
    assert [each for each in made if each() is not None] == []


def test_few_items_are_taken_before_their_turn(scenes, tmp_path):
    taken, done = [], []

    def many():
        for number in range(40):
            item = scenes[0].item.clone()
            item.id = f"item-{number}"
            taken.append(len(taken) - len(done))
            yield item

    assert index_items(many(), tmp_path / "index", progress=done.append).items == 40
    assert max(taken) <= 12, "a generator of a million items is not read to its end at first"
    assert done == [f"item-{number}" for number in range(40)]


@pytest.fixture(params=[StorageError, KeyError], ids=["ours", "foreign"])
def broken(request, scenes):
    """Items whose source fails after the first."""

    def generate():
        yield scenes[0].item
        raise request.param("page 2 of the search did not come")

    return generate


def test_items_whose_source_fails_midway_make_no_index(broken, tmp_path):
    with pytest.raises(StacchipError, match="page 2"):
        index_items(broken(), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_no_secret_of_a_source_that_fails_is_told(tmp_path):
    def search():
        yield from ()
        raise ValueError("https://h/search?sig=secret")

    with pytest.raises(UnexpectedError) as caught:
        index_items(search(), tmp_path / "index")
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_came_before_the_source_failed_is_kept_if_errors_may_be_skipped(broken, tmp_path):
    indexed = index_items(broken(), tmp_path / "index", errors="skip")
    assert (indexed.items, indexed.skipped) == (1, ())
    assert isinstance(indexed.failure, StacchipError)
    assert "page 2" in str(indexed.failure)
    assert set(read_index(tmp_path / "index")["item_id"].to_pylist()) == {"a"}


def test_an_error_of_any_kind_costs_one_item(scenes, tmp_path):
    class Fragile(ChipIndexer):
        def get_stats(self, x, y):
            if self.item.id == "b":
                raise KeyError("https://h/b.tif?sig=secret")
            return 0.0, 0.0

    items = [scene.item for scene in scenes]
    with pytest.raises(UnexpectedError, match="'b'"):
        index_items(items, tmp_path / "index", indexer=Fragile)
    indexed = index_items(items, tmp_path / "index", indexer=Fragile, errors="skip")
    ((name, error),) = indexed.skipped
    assert (indexed.items, name, error.item_id) == (2, "b", "b")
    assert isinstance(error.__cause__, KeyError)
    assert "secret" not in str(error)


def test_wrong_items_cost_neither_their_neighbours_nor_their_collection(scenes, tmp_path):
    records = [scene.item.to_dict() for scene in scenes]
    records[1]["properties"] = None
    collection = {"type": "FeatureCollection", "features": [records[0], None, *records[1:]]}
    (tmp_path / "items.json").write_text(json.dumps(collection))
    indexed = index_items(tmp_path / "items.json", tmp_path / "index", errors="skip")
    assert indexed.items == 2
    assert [name for name, _ in indexed.skipped] == ["an item without an id", "b"]


def test_a_search_goes_on_after_a_wrong_item(scenes, tmp_path):
    records = [scene.item.to_dict() for scene in scenes]
    records[1]["assets"]["red"].pop("href")
    indexed = index_items(load_items(records), tmp_path / "index", errors="skip")
    assert (indexed.items, [name for name, _ in indexed.skipped]) == (2, ["b"])
    assert indexed.failure is None


@pytest.mark.parametrize("errors", ["raise", "skip"])
def test_a_file_that_is_gone_costs_its_header_and_not_its_item(scenes, tmp_path, errors):
    (scenes[0].folder / "coastal.tif").unlink()
    indexed = index_items([scenes[0].item], tmp_path / "index", errors=errors)
    ((kept,), (error,)) = read_records(tmp_path / "index"), indexed.without_header
    assert (indexed.items, set(kept.headers)) == (1, {"red", "swir"})
    assert (error.item_id, error.asset) == ("a", "coastal")


def test_a_gone_file_costs_no_item_that_leaves_all_to_its_files(scenes, tmp_path):
    item = scenes[0].item
    del item.properties["proj:code"]
    for asset in item.assets.values():
        asset.extra_fields.clear()
    scenes[0].path("coastal").unlink()
    indexed = index_items([item], tmp_path / "index")
    assert (indexed.items, indexed.chips) == (1, 4)
    assert [error.asset for error in indexed.without_header] == ["coastal"]


@pytest.mark.parametrize("name", ["index", "index.parquet"])
@pytest.mark.parametrize(
    ("roles", "fields", "items"),
    [(["data"], {"gsd": 60}, 1), (["visual"], {}, 1), (["data"], {}, 0)],
    ids=["coarser by its gsd", "a rendering", "of which nothing is known"],
)
def test_a_gone_file_costs_its_item_only_if_it_might_be_the_reference_band(
    scenes, tmp_path, name, roles, fields, items
):
    item = scenes[0].item
    del item.properties["proj:code"]
    for asset in item.assets.values():
        asset.extra_fields["proj:code"] = "EPSG:32629"
    item.assets["gone"] = Asset(str(tmp_path / "gone.tif"), roles=roles, extra_fields=fields)
    item.assets["gone"].set_owner(item)
    indexed = index_items([item], tmp_path / name, errors="skip")
    assert indexed.items == items
    failed = indexed.without_header or [error for _, error in indexed.skipped]
    assert [error.asset for error in failed] == ["gone"]


def test_an_item_without_its_reference_band_is_left_out(scenes, tmp_path):
    (scenes[0].folder / "red.tif").unlink()
    indexed = index_items([scenes[0].item], tmp_path / "index", errors="skip")
    assert (indexed.items, indexed.without_header) == (0, ())
    assert indexed.skipped[0][1].asset == "red"


@pytest.fixture
def misplaced(scenes):
    """A scene whose item says that its pixels are ten times too small."""
    for key, pixel in (("red", 1), ("swir", 2), ("coastal", 6)):
        fields = scenes[0].item.assets[key].extra_fields
        fields["proj:transform"] = [pixel, 0, 500000, 0, -pixel, 4200000]
    return scenes[0].item


@pytest.mark.parametrize("name", ["index", "index.parquet"])
@pytest.mark.parametrize("options", [{}, {"stats": False}, {"headers": False, "open_files": True}])
def test_the_files_place_the_chips_before_rows_are_written(misplaced, tmp_path, name, options):
    indexed = index_items([misplaced], tmp_path / name, **options)
    assert [each.asset for each in indexed.differences] == ["red", "swir", "coastal"]
    assert "(1, 0, 500000" in indexed.differences[0].in_item
    assert "(10, 0, 500000" in indexed.differences[0].in_file
    true = Affine(10, 0, 500000, 0, -10, 4200000)
    chip = Chipper(tmp_path / name, assets=["red"]).cut(0, 0)
    assert (chip.geobox.affine, chip.array.shape[1:]) == (true, (256, 256))


def test_a_grid_that_no_file_confirmed_is_refused_at_the_first_chip(misplaced, tmp_path):
    indexed = index_items([misplaced], tmp_path / "index", headers=False, stats=False)
    assert indexed.differences == ()
    with pytest.raises(GridMismatch, match=r"(?s)\(1, 0, 500000.*--open-files \(open_files=True\)"):
        Chipper(tmp_path / "index").chip(0, 0)


def test_an_indexer_of_any_signature_believes_the_headers(misplaced, tmp_path):
    class Mine(ChipIndexer):
        def __init__(self, item, chip_size, chip_max_nodata, edge, storage):
            super().__init__(item, chip_size, chip_max_nodata, edge=edge, storage=storage)
            self.side = self.transform.a  # the item's, before any header is known

        def get_stats(self, x, y):
            assert self.transform.a == 10
            return 0.0, 0.0

    assert len(index_items([misplaced], tmp_path / "index", indexer=Mine).differences) == 3


def test_the_qa_bands_header_is_not_read_twice(scenes, tmp_path):
    item = scenes[0].item
    item.collection_id = "sentinel-2-l2a"
    item.assets["scl"] = item.assets.pop("swir")
    reads = {}
    with RangeServer(scenes[0].folder) as web:
        for asset in item.assets.values():
            asset.href = web.url(asset.href.rpartition("/")[2])
        for stats in (False, True):
            web.reset_counters()
            index_items([item], tmp_path / str(stats), stats=stats)
            reads[stats] = dict(web.by_path)
    assert reads[True]["/swir.tif"] == reads[False]["/swir.tif"] + 1  # its pixels
    assert reads[True]["/red.tif"] == reads[False]["/red.tif"]


def test_items_without_chips_are_said_with_the_reason(scenes, tmp_path, caplog):
    class Empty(ChipIndexer):
        def get_stats(self, x, y):
            return 0.0, {"a": 1.0, "b": 0.75, "c": 0.0}[self.item.id]

    items = [scene.item for scene in scenes]
    indexed = index_items(items, tmp_path / "index", indexer=Empty)
    reasons = dict(indexed.without_chips)
    assert (indexed.items, set(reasons)) == (3, {"a", "b"})
    assert "all its pixels are nodata" in reasons["a"]
    assert "the least 0.75" in reasons["b"]
    assert "'b' has no chip" in caplog.text
    small = index_items(items[:1], tmp_path / "small", chip_size=1024)
    assert 'edge="pad"' in dict(small.without_chips)["a"]


def test_an_index_stays_until_its_successor_is_whole(scenes, tmp_path):
    index_items([scenes[0].item], tmp_path / "index")
    before = read_index(tmp_path / "index")
    (scenes[1].folder / "red.tif").unlink()
    scenes[1].item.assets["red"].extra_fields.clear()
    options = {"headers": True, "errors": "raise"}
    with pytest.raises(StacchipError):
        index_items([scenes[2].item, scenes[1].item], tmp_path / "index", **options)
    assert read_index(tmp_path / "index") == before
    index_items([scenes[2].item], tmp_path / "index")
    assert set(read_index(tmp_path / "index")["item_id"].to_pylist()) == {"c"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_leaves_no_index(scenes, tmp_path, number):
    items, path = [path_of(scene) for scene in scenes], str(tmp_path / "index")
    code = f"""
        import sys, time
        from stacchip import ChipIndexer, index_items

        class Slow(ChipIndexer):
            def get_stats(self, x, y):
                if self.item.id == "b":
                    # the pool's threads have started by then: until that is so, an interrupt may
                    # leave one that the pool does not know, and does not wait for
                    time.sleep(0.5)
                    print("begin", flush=True)
                    time.sleep(0.5)
                return 0.0, 0.0

        index_items({items!r}, {path!r}, indexer=Slow)
    """
    left = tmp_path / "temporary"
    left.mkdir()
    with heeding_interrupts():
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(left)},
        )  # fmt: skip
    assert process.stdout.readline() == "begin\n"
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "index").exists()
    if number == signal.SIGINT:
        assert list(left.iterdir()) == [], "an interrupted run clears up"


@pytest.mark.parametrize("name", ["file/index", "file/index.parquet", "file"])
def test_a_path_that_cannot_hold_an_index_is_refused_before_any_work(scenes, tmp_path, name):
    (tmp_path / "file").write_text("no folder")
    seen = []
    with pytest.raises(UsageError, match="cannot hold an index"):
        index_items([scenes[0].item], tmp_path / name, progress=seen.append)
    assert seen == []


@pytest.mark.parametrize("share", [7, -0.1, float("nan")])
def test_a_share_of_nodata_that_cannot_be_is_refused(scenes, tmp_path, share):
    with pytest.raises(UsageError, match="chip_max_nodata"):
        index_items([scenes[0].item], tmp_path / "index", max_nodata=share)


@pytest.mark.parametrize("name", ["index", "index.parquet"])
def test_footprints_are_stored_unless_refused(scenes, tmp_path, name):
    index_items([scene.item for scene in scenes], tmp_path / "whole")
    index_items([scene.item for scene in scenes], tmp_path / name, geometry="none")
    columns = ["chipid", "geometry"]
    assert read_index(tmp_path / name)["geometry"].null_count > 0
    made, stored = (read_index(tmp_path / each, columns=columns) for each in (name, "whole"))
    assert made.equals(stored)


@pytest.mark.parametrize(
    "wrong",
    [{"chip_size": 0}, {"edge": "cut"}, {"max_nodata": 7}, {"geometry": "wkt"}],
    ids=str,
)
def test_a_wrong_argument_is_no_fault_of_the_items(scenes, tmp_path, wrong):
    with pytest.raises(UsageError):
        index_items([scenes[0].item], tmp_path / "index", errors="skip", **wrong)


def test_bytes_are_not_items(tmp_path):
    with pytest.raises(UsageError, match="bytes"):
        index_items(b"abc", tmp_path / "index")


def test_a_killed_run_leaves_no_temporary_files_and_the_next_clears_the_rest(scenes, tmp_path):
    code = f"""
        import os, signal
        from stacchip import index_items
        index_items({path_of(scenes[0])!r}, {str(tmp_path / "index")!r},
                    progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))
    """
    left = tmp_path / "temporary"
    left.mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        env={**os.environ, "TMPDIR": str(left)},
    )
    assert killed.returncode == -signal.SIGKILL
    assert not list(left.iterdir())
    index_items(path_of(scenes[0]), tmp_path / "index")
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
