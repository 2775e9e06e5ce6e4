from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyarrow import parquet

from index.tables import make_table
from interrupts import heeding_interrupts
from items.stac_api import StacApi, Trouble
from scenes import make_scene, write_band
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.cli.output import require_folder
from stacchip.errors import UsageError
from stacchip.index import SCHEMA, read_index, read_records, write_index
from stacchip.indexer import NoStatsChipIndexer
from users import without_privileges


@pytest.fixture
def index(demo: Path) -> str:
    return str(demo / "index")


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def test_demo_leaves_a_picture_an_index_and_the_next_command(demo: Path, index: str):
    with Image.open(demo / "chips.png") as sheet:
        assert sheet.width > 1000
        assert len(np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)) > 10_000
    table = read_index(index)
    assert set(table["platform"].to_pylist()) == {"sentinel-2-l2a", "landsat-c2l2-sr", "naip"}
    assert {len(record.headers) > 0 for record in read_records(index)} == {True}


def test_index_measures_items_and_keeps_their_headers(demo: Path, tmp_path: Path, capsys):
    items = [str(path) for path in (demo / "archive").glob("*/*/*.json")]
    assert run(["index", *items, "-o", str(tmp_path / "index")]) == 0
    out, _ = lines(capsys)
    assert "of 3 items" in out[0]
    assert "stacchip info" in out[1]
    columns = ["chipid", "cloud_cover_percentage"]
    made = read_index(tmp_path / "index").select(columns).sort_by("chipid")
    assert made == read_index(demo / "index").select(columns).sort_by("chipid")


def test_index_refuses_to_replace_an_index_unasked(demo: Path, index: str, capsys):
    before = read_index(index)
    (item,) = (demo / "archive" / "naip").glob("*/*.json")
    assert run(["index", str(item), "-o", index]) == 2
    assert "--replace" in lines(capsys)[1][-1]
    assert read_index(index) == before


def test_index_can_search_an_api(stac_api: str, tmp_path: Path, capsys):
    arguments = ["--api", stac_api, "--collection", "sentinel-2-l2a", "--max-items", "1"]
    search = ["index", *arguments, "-o", str(tmp_path / "index")]
    assert run(search) == 1
    assert "--allow-local" in lines(capsys)[1][-1], "its items name files of this machine"
    assert run([*search, "--allow-local"]) == 0
    assert "of 1 item " in lines(capsys)[0][0]


def test_an_item_that_fails_ends_the_run_without_an_index(tmp_path: Path, capsys):
    good = make_scene(tmp_path / "good", "good").folder / "item.json"
    bad = make_scene(tmp_path / "bad", "bad").folder / "item.json"
    record = json.loads(bad.read_text())
    record["properties"]["proj:code"] = "EPSG:1"
    bad.write_text(json.dumps(record))
    out = tmp_path / "index"
    assert run(["index", str(good), str(bad), "-o", str(out), "--no-headers"]) == 1
    _, err = lines(capsys)
    assert "item 'bad'" in err[-1]
    assert "EPSG:1" in err[-1]
    assert not out.exists()


def test_an_index_may_be_a_single_file(tmp_path: Path, capsys):
    item = make_scene(tmp_path / "scene").folder / "item.json"
    out = str(tmp_path / "index.parquet")
    assert run(["index", str(item), "-o", out]) == 0
    assert Chipper(out, assets=["red"]).chip(0, 0)["red"].shape == (1, 256, 256)
    assert run(["index", str(item), "-o", out]) == 2
    assert "--replace" in lines(capsys)[1][-1]


def test_a_file_that_cannot_be_read_can_be_left_out(tmp_path: Path, capsys):
    good = make_scene(tmp_path / "good", "good").folder / "item.json"
    out = tmp_path / "index"
    assert run(["index", str(good), "/no-such-item.json", "-o", str(out), "--skip-errors"]) == 1
    assert any("/no-such-item.json" in line for line in lines(capsys)[1])
    assert set(read_index(out)["item_id"].to_pylist()) == {"good"}


def test_an_item_that_fails_can_be_left_out_and_is_reported(tmp_path: Path, capsys):
    good = make_scene(tmp_path / "good", "good").folder / "item.json"
    bad = make_scene(tmp_path / "bad", "bad").folder / "item.json"
    record = json.loads(bad.read_text())
    record["properties"]["proj:code"] = "EPSG:1"
    bad.write_text(json.dumps(record))
    out = tmp_path / "index"
    options = ["--no-headers", "--skip-errors"]  # a header would tell the CRS
    assert run(["index", str(good), str(bad), "-o", str(out), *options]) == 1
    _, err = lines(capsys)
    assert any(line.startswith("left out bad: ") for line in err)
    assert set(read_index(out)["item_id"].to_pylist()) == {"good"}


def test_an_index_without_footprints_is_made_on_request(demo: Path, tmp_path: Path, capsys):
    items = [str(path) for path in (demo / "archive").glob("naip/*/*.json")]
    assert run(["index", *items, "-o", str(tmp_path / "made"), "--geometry", "none"]) == 0
    assert (
        run(["merge", str(tmp_path / "made"), "-o", str(tmp_path / "slim"), "--geometry", "none"])
        == 0
    )
    assert run(["merge", str(tmp_path / "slim"), "-o", str(tmp_path / "whole")]) == 0
    stored = {
        name: "geometry" in parquet.read_schema(tmp_path / name / "chips.parquet").names
        for name in ("made", "slim", "whole")
    }
    assert stored == {"made": False, "slim": False, "whole": True}
    chosen = {"platform": "naip", "columns": ["chipid", "geometry"]}
    slim, before = (read_index(path, **chosen) for path in (tmp_path / "slim", demo / "index"))
    assert slim.sort_by("chipid") == before.sort_by("chipid")
    assert (
        run(["merge", str(tmp_path / "slim"), "-o", str(tmp_path / "wkt"), "--geometry", "wkt"])
        == 2
    )
    assert 'must be "wkb" or "none"' in " ".join(lines(capsys)[1])


def test_merge_and_remove(demo: Path, tmp_path: Path, capsys):
    merged = str(tmp_path / "merged")
    assert run(["merge", str(demo / "indexes"), "-o", merged]) == 0
    before = read_index(merged)
    assert f"{before.num_rows} chips of 3 items" in lines(capsys)[0][0]
    assert run(["remove", merged, "--platform", "naip"]) == 0
    removed = before.num_rows - read_index(merged).num_rows
    assert lines(capsys)[0] == [f"{removed} chips removed from {merged}"]
    assert removed > 0


def test_add_remove_and_compact(demo: Path, tmp_path: Path, capsys):
    first, *more = sorted(map(str, (demo / "indexes").iterdir()))
    made = str(tmp_path / "made")
    assert run(["merge", first, "-o", made]) == 0
    before = read_index(made).num_rows
    assert run(["compact", made]) == 0
    assert "has not grown" in lines(capsys)[0][-1]
    assert run(["add", made, *more]) == 0
    rows = read_index(made).num_rows
    assert f"{rows - before} chips of 2 items" in lines(capsys)[0][0]
    assert run(["add", made, more[0]]) == 1
    assert "--drop-duplicates" in " ".join(lines(capsys)[1])
    assert run(["add", made, more[0], "--drop-duplicates"]) == 0
    assert "that are there already left out" in lines(capsys)[0][0]
    assert run(["add", made, more[0], "--replace"]) == 0
    assert "in place of" in lines(capsys)[0][0]
    assert run(["add", made, more[0], "--replace", "--drop-duplicates"]) == 2
    assert read_index(made).num_rows == rows
    assert run(["compact", made]) == 0
    assert f"{rows} chips of 3 items" in lines(capsys)[0][0]
    assert not list(Path(made).glob("*part*"))


def test_one_chip_of_one_item_is_said_as_such(tmp_path: Path, capsys):
    one, other, index = (str(tmp_path / name) for name in ("one", "other", "index"))
    write_index(make_table("a", chips=(1, 1)), one)
    write_index(make_table("b", chips=(1, 1)), other)
    assert run(["merge", one, "-o", index]) == 0
    assert lines(capsys)[0][0].startswith("1 chip of 1 item (")
    assert run(["add", index, other]) == 0
    assert lines(capsys)[0][0].startswith("1 chip of 1 item (")
    assert run(["remove", index, "--item", "a"]) == 0
    assert lines(capsys)[0] == [f"1 chip removed from {index}"]
    assert run(["compact", index]) == 0
    assert lines(capsys)[0][0].startswith("1 chip of 1 item (")


def test_info_counts_by_source(index: str, capsys):
    assert run(["info", index]) == 0
    out, _ = lines(capsys)
    table = read_index(index)
    for platform in set(table["platform"].to_pylist()):
        count = table["platform"].to_pylist().count(platform)
        place = out.index(f"source: {platform}")
        assert out[place + 1] == f"  chips: {count}"
    clouds = [line for line in out if line.startswith("  chips by cloud")]
    assert sum(int(n) for line in clouds for n in line.split(": ")[1].split()) == table.num_rows


@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_chip_writes_what_the_chipper_cuts(index: str, tmp_path: Path, suffix: str):
    table = read_index(index, platform="sentinel-2-l2a")
    chipid = table["chipid"][0].as_py()
    path = tmp_path / f"chip.{suffix}"
    assert run(["chip", index, chipid, "-o", str(path), "--assets", "red,nir"]) == 0
    expected = Chipper(table, assets=["red", "nir"]).cut(chipid=chipid)
    if suffix == "npy":
        np.testing.assert_array_equal(np.load(path), expected.array)
        return
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), expected.array)
        assert dataset.transform == expected.geobox.affine
        assert dataset.descriptions == ("red", "nir")


def write_padded_index(folder: Path) -> tuple[str, Chipper]:
    """Write an index of a scene whose last chips reach beyond it, with fill and masks inside."""
    scene = make_scene(folder / "scene")
    for key, dtype, nodata in (("red", "uint8", None), ("swir", "float32", -3.4e38)):
        shape, resolution = ((600, 700), 10) if key == "red" else ((300, 350), 20)
        write_band(scene.path(key), resolution, shape, dtype=dtype, nodata=nodata, predictor=1)
    with rasterio.open(scene.path("swir"), "r+") as file:
        file.write(np.full((1, 40, 50), np.finfo("float32").min), window=((250, 290), (300, 350)))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(scene.path("red"), "r+") as file:
        file.write_mask(np.tri(600, 700, 90, dtype=bool))
    table = NoStatsChipIndexer(scene.item, edge="pad").create_index()
    write_index(table, folder / "index", items=[scene.item])
    return str(folder / "index"), Chipper(table, items=[scene.item])


@pytest.mark.parametrize("assets", ["red", "swir", "coastal", "red,swir", "red,swir,coastal"])
@pytest.mark.parametrize("x", [1, 2])
def test_a_chip_in_a_geotiff_keeps_which_pixels_are_valid(assets: str, x: int, tmp_path: Path):
    index, chipper = write_padded_index(tmp_path)
    chip = chipper.with_assets(assets.split(",")).cut(x, 2)
    assert 0 < chip.valid.mean() < 1
    path = tmp_path / "chip.tif"
    assert run(["chip", index, chip.chipid, "-o", str(path), "--assets", assets]) == 0
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read_masks() != 0, chip.valid)
        np.testing.assert_array_equal(dataset.read()[chip.valid], chip.array[chip.valid])


def test_a_chip_in_numpys_form_and_as_a_picture_keeps_it_too(tmp_path: Path, capsys):
    index, chipper = write_padded_index(tmp_path)
    chip = chipper.with_assets(["red"]).cut(2, 2)
    for name in ("chip.npy", "chip.png"):
        options = ["-o", str(tmp_path / name), "--assets", "red"]
        assert run(["chip", index, chip.chipid, *options]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "chip.valid.npy"), chip.valid)
    assert "chip.valid.npy" in lines(capsys)[0][0]
    with Image.open(tmp_path / "chip.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture)[..., 3] != 0, chip.valid[0])


def test_chip_draws_a_picture(index: str, tmp_path: Path):
    chipid = read_index(index, platform="naip")["chipid"][0].as_py()
    assert run(["chip", index, chipid, "-o", str(tmp_path / "chip.png")]) == 0
    with Image.open(tmp_path / "chip.png") as picture:
        assert picture.size == (256, 256)
        assert np.asarray(picture)[..., :3].std() > 10


def test_preview_shows_only_what_is_within_the_limits(index: str, tmp_path: Path, capsys):
    path = tmp_path / "sheet.png"
    limits = ["--max-cloud", "0.1", "--max-nodata", "0", "-n", "5"]
    assert run(["preview", index, "-o", str(path), *limits]) == 0
    clear = read_index(index, max_cloud=0.1, max_nodata=0).num_rows
    assert lines(capsys)[0] == [f"{path}: {min(5, clear)} of {clear} chips"]
    assert path.stat().st_size > 10_000


def test_preview_draws_chips_of_an_item_alone(index: str, tmp_path: Path, capsys):
    items = sorted(set(read_index(index)["item_id"].to_pylist()))
    chosen = ["-n", "4", "--item", items[0], "--datetime", "1990/.."]
    assert run(["preview", index, "-o", str(tmp_path / "a.png"), "--list", *chosen]) == 0
    _, *ids = lines(capsys)[0]
    assert len(ids) == 4
    assert all(line.startswith(items[0]) for line in ids)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["frobnicate"], 2, "No such command 'frobnicate'"),
        (["index", "-o", "x"], 2, "Name items, or search a STAC API"),
        (["index", "a.json", "--api", "http://x", "-o", "x"], 2, "Name items, or search"),
        (["index", "--api", "http://x", "--bbox", "1,2", "-o", "x"], 2, "xmin,ymin,xmax,ymax"),
        (["index", "--api", "http://x", "--query", "[", "-o", "x"], 2, "JSON object"),
        (
            ["index", "--api", "http://127.0.0.1:9", "--datetime", "2024-13", "-o", "x"],
            2,
            "2024-13",
        ),
        (["index", "no-such-item.json", "-o", "x"], 1, "There is no file"),
        (["info", "no-such-index"], 1, "There is no index"),
        (["remove", "no-such-index"], 2, "Say what to remove"),
        (["preview", "x", "-o", "sheet.jpg"], 2, "must end in .png"),
        (["chip", "x", "id", "-o", "chip.jpg"], 2, "must end in one of"),
        (["chip", "x", "id", "-o", "s3://bucket/chip.tif"], 2, "s3://bucket is not a local folder"),
        (["demo", "s3://bucket/demo"], 2, "s3://bucket/demo is not a local folder"),
    ],
)
def test_an_error_is_one_line(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    assert message in err[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/x", "file/x/y"])
@pytest.mark.parametrize(
    "command",
    [
        ["demo"],
        ["index", "no-such-item.json", "-o"],
        ["merge", "no-such-index", "-o"],
        ["index", "no-such-item.json", "-o", "{}.parquet"],
        ["preview", "no-such-index", "-o", "{}.png"],
        ["chip", "no-such-index", "id", "-o", "{}.tif"],
    ],
)
def test_a_place_below_a_file_is_refused_before_any_work(
    command: list[str], place: str, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    *words, last = command
    arguments = [*words, last.format(place)] if "{}" in last else [*command, place]
    assert run(arguments) == 2
    out, (line,) = lines(capsys)
    assert out == []
    assert "file is a file, not a folder" in line
    assert "another place" in line


@pytest.mark.parametrize("command", [["index", "no-such-item.json", "-o"], ["demo"]])
def test_a_file_is_not_a_place_for_a_folder(command: list[str], tmp_path: Path, capsys):
    (tmp_path / "file").touch()
    assert run([*command, str(tmp_path / "file")]) == 2
    assert "is a file, not a folder" in lines(capsys)[1][0]


@pytest.mark.parametrize("command", [["preview", "no-such-index"], ["chip", "no-such-index", "id"]])
def test_a_missing_folder_is_reported_before_any_work(command: list[str], tmp_path: Path, capsys):
    folder = tmp_path / "not there"
    assert run([*command, "-o", str(folder / "out.png")]) == 2
    out, (line,) = lines(capsys)
    assert out == []
    assert f"there is no folder {folder}" in line
    assert f"mkdir -p '{folder}'" in line
    (tmp_path / "folder.png").mkdir()
    assert run([*command, "-o", str(tmp_path / "folder.png")]) == 2
    assert "is a folder" in lines(capsys)[1][0]


def test_a_place_without_write_access_is_reported(tmp_path: Path):
    tmp_path.chmod(0o555)
    refused = r"access to .* was refused\. Check its permissions"
    with without_privileges(), pytest.raises(UsageError, match=refused):
        require_folder(tmp_path)
    tmp_path.chmod(0o755)


def test_an_item_that_comes_again_is_dropped_and_counted(tmp_path: Path, capsys):
    item = str(make_scene(tmp_path / "scene", "scene").folder / "item.json")
    out = tmp_path / "index"
    assert run(["index", item, item, "-o", str(out)]) == 0
    assert lines(capsys)[1][:1] == ["Dropped 1 item that came again."]
    assert read_index(out).num_rows == 4


def test_two_different_items_of_one_id_are_reported_by_it(tmp_path: Path, capsys):
    items = [str(make_scene(tmp_path / each, "scene").folder / "item.json") for each in "ab"]
    out = tmp_path / "index"
    assert run(["index", *items, "-o", str(out)]) == 1
    said = lines(capsys)[1][-1]
    assert "Item 'scene'" in said
    assert "differ" in said
    assert not out.exists()
    assert run(["index", *items, "-o", str(out), "--skip-errors"]) == 1
    assert any(line.startswith("left out scene: ") for line in lines(capsys)[1])
    assert read_index(out).num_rows == 4


def test_a_file_that_is_gone_is_reported_and_its_item_indexed(tmp_path: Path, capsys):
    scene = make_scene(tmp_path / "scene")
    scene.path("coastal").unlink()
    out = str(tmp_path / "index")
    assert run(["index", str(scene.folder / "item.json"), "-o", out]) == 0
    said, err = lines(capsys)
    assert "4 chips of 1 item " in said[0]
    assert any("'coastal'" in line for line in err)


def test_files_that_lie_elsewhere_are_said_with_both_values(tmp_path: Path, capsys):
    scene = make_scene(tmp_path / "scene")
    for asset in scene.item.assets.values():
        asset.extra_fields["proj:transform"] = [10, 0, 500005, 0, -10, 4200005]
    scene.item.save_object(dest_href=str(scene.folder / "item.json"))
    item, index = str(scene.folder / "item.json"), str(tmp_path / "index")
    assert run(["index", item, "-o", index]) == 0
    _, said = lines(capsys)
    assert "Files of 1 item lie elsewhere than their metadata says. The files are believed:" in said
    (line,) = [each for each in said if each.startswith("  scene-1, red: ")]
    assert "the item says EPSG:32629, 600 x 700 px" in line
    assert "(10, 0, 500005, 0, -10, 4200005); the file says" in line
    assert "(10, 0, 500000, 0, -10, 4200000) (2 more files differ)" in line
    unseen = ["index", item, "-o", index, "--replace", "--no-headers", "--no-stats"]
    assert run(unseen) == 0
    capsys.readouterr()
    assert run(["chip", index, "scene-1-0-0", "-o", str(tmp_path / "a.npy")]) == 1
    assert "--open-files" in lines(capsys)[1][-1]
    assert run([*unseen, "--open-files"]) == 0
    assert run(["chip", index, "scene-1-0-0", "-o", str(tmp_path / "a.npy")]) == 0


def test_items_without_chips_fail_and_say_why(tmp_path: Path, capsys):
    item = str(make_scene(tmp_path / "scene").folder / "item.json")
    command = ["index", item, "-o", str(tmp_path / "index"), "--chip-size", "1024", "--replace"]
    assert run(command) == 1
    out, err = lines(capsys)
    assert "0 chips of 1 item " in out[0]
    assert "preview" not in out[1]
    assert any(line.startswith("  scene-1: ") and "--pad" in line for line in err)
    assert "No chip of 1 item is left" in err[-1]
    assert "chips of 1024 pixels with at most 50% nodata" in err[-1]
    assert run([*command, "--allow-empty"]) == 0
    assert "No chip of 1 item is left" in lines(capsys)[1][-1]


def test_what_a_search_found_before_it_failed_is_indexed(tmp_path: Path, capsys):
    class Failing(StacApi):
        def answer(self, handler, body):
            if "token" in body:
                self.troubles.append(Trouble(status=404))
            super().answer(handler, body)

    records = []
    for scene in (make_scene(tmp_path / name, name) for name in "abc"):
        scene.item.make_asset_hrefs_absolute()
        records.append(scene.item.to_dict() | {"links": []})
    out = tmp_path / "index"
    with Failing(records, page_size=2) as api:
        search = ["index", "--api", api.url, "-o", str(out), "--allow-local"]
        assert run(search) == 1
        assert not out.exists()
        assert run([*search, "--skip-errors"]) == 1
    assert any("ended early" in line and "404" in line for line in lines(capsys)[1])
    assert set(read_index(out)["item_id"].to_pylist()) == {"a", "b"}


@pytest.mark.parametrize("found", ["[]", '[{"type": "Feature", "id": "a"}]'])
def test_an_index_that_was_not_made_is_not_pointed_to(found: str, tmp_path: Path, capsys):
    items, out = tmp_path / "items.json", tmp_path / "index"
    items.write_text(found)
    assert run(["index", str(items), "-o", str(out), "--skip-errors"]) == 1
    said, err = lines(capsys)
    assert said == []
    assert "No index was written" in err[-1]
    assert not out.exists()


def test_merging_says_how_to_drop_duplicates(demo: Path, tmp_path: Path, capsys):
    twice = ["merge", str(demo / "indexes"), str(demo / "index"), "-o", str(tmp_path / "merged")]
    assert run(twice) == 1
    assert "--drop-duplicates" in lines(capsys)[1][-1]
    assert run([*twice, "--drop-duplicates"]) == 0


def test_what_to_run_next_can_be_run(tmp_path: Path, capsys):
    item = str(make_scene(tmp_path / "a scene").folder / "item.json")
    made, merged = str(tmp_path / "an index"), str(tmp_path / "another index")
    assert run(["index", item, "-o", made]) == 0
    hints = lines(capsys)[0][-1].removeprefix("Next: ").split(", or ")
    assert [shlex.split(hint) for hint in hints] == [
        ["stacchip", "info", made],
        ["stacchip", "preview", made, "-o", "sheet.png"],
    ]
    assert run(["merge", made, "-o", merged]) == 0
    hint = lines(capsys)[0][-1].removeprefix("Next: ")
    assert shlex.split(hint) == ["stacchip", "info", merged]


def test_the_demos_hints_can_be_run(demo: Path):
    assert " " in demo.name
    out = (demo.parent / "said.txt").read_text().splitlines()
    hints = [shlex.split(line) for line in out[out.index("Next:") + 1 :]]
    assert [hint[1:3] for hint in hints] == [
        [command, str(demo / "index")] for command in ("info", "chip", "preview")
    ]


def test_for_a_chip_of_another_size_or_source_the_error_names_those_there_are(
    index: str, tmp_path: Path, capsys
):
    chipid = read_index(index, platform="naip")["chipid"][0].as_py()
    chip = ["chip", index, chipid, "-o", str(tmp_path / "chip.tif")]
    for asked in ("--chip-size 12", "--platform landsat --chip-size 256"):
        assert run([*chip, *asked.split()]) == 1
        said = lines(capsys)[1][0]
        assert f"no chip {chipid!r} with {asked};" in said
        assert "it has one with --platform naip --chip-size 256." in said


def test_an_index_without_chips_is_reported_as_such(index: str, tmp_path: Path, capsys):
    empty = str(tmp_path / "empty")
    write_index(SCHEMA.empty_table(), empty)
    sheet = ["-o", str(tmp_path / "sheet.png")]
    assert run(["preview", empty, *sheet]) == 1
    said = lines(capsys)[1][0]
    assert "has no chips" in said
    assert "limits" not in said
    assert run(["preview", index, *sheet, "--platform", "nobody"]) == 1
    (said,) = lines(capsys)[1]
    assert "within these limits" in said
    assert "It has --platform " in said
    assert "sentinel-2-l2a (" in said, "it names the platforms that are there"


def test_a_chip_that_is_absent_is_one_line(index: str, tmp_path: Path, capsys):
    assert run(["chip", index, "nope", "-o", str(tmp_path / "chip.tif")]) == 1
    assert "has no chip 'nope'" in lines(capsys)[1][0]


def test_help_shows_examples(capsys):
    for command in (
        "demo",
        "index",
        "merge",
        "add",
        "remove",
        "compact",
        "info",
        "chip",
        "preview",
    ):
        assert run([command, "--help"]) == 0
        assert f"stacchip {command}" in " ".join(lines(capsys)[0])


def test_an_interrupt_is_one_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        host, port = silent.getsockname()
        program = "import sys; from stacchip.cli import main; main(sys.argv[1:])"
        arguments = ["index", f"http://{host}:{port}/item.json", "-o", str(tmp_path / "index")]
        with heeding_interrupts():
            running = subprocess.Popen(
                [sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True
            )
        connection, _ = silent.accept()
        with connection:
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "stacchip: interrupted"
    assert "Traceback" not in said


@pytest.mark.parametrize("module", ["typer", "numpy", "stacchip.cli.commands.collect"])
def test_an_interrupt_while_python_imports_is_one_line(module: str):
    program = f"""
import signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from stacchip.cli import main
main(["--help"])
"""
    with heeding_interrupts():
        done = subprocess.run(
            [sys.executable, "-c", program], check=False, capture_output=True, text=True
        )
    assert done.returncode == 130
    assert done.stderr == "stacchip: interrupted\n"


def test_importing_stacchip_loads_nothing_heavy():
    program = "import sys, stacchip; print(sorted(m for m in ('torch', 'dask', 'matplotlib', "
    program += "'rasterio', 'pyarrow') if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
