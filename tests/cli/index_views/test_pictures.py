from __future__ import annotations

import contextlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pystac
import pytest
import rasterio
from PIL import Image

from scenes import Scene, make_scene, write_band
from stacchip.chipper import Chipper
from stacchip.cli import run
from stacchip.cli.index_views.pictures import choose_chips, draw_sheet, make_picture
from stacchip.errors import StacchipError
from stacchip.index import read_index, write_index
from stacchip.indexer import (
    ChipIndexer,
    Indexer,
    NoDataMaskChipIndexer,
    NoStatsChipIndexer,
    UnmeasuredChipIndexer,
)
from stacchip.preview import HOLE
from stacchip.storage import Storage


def captions(indexer: ChipIndexer) -> list[str]:
    """Return the caption with the shares of each chip."""
    chipper = Chipper(indexer.create_index())
    return [make_picture(chipper, row).captions[2] for row in range(len(chipper))]


def test_padding_that_was_not_counted_is_not_shown_as_no_nodata(tmp_path: Path):
    item = make_scene(tmp_path / "scene").item
    shown = captions(NoStatsChipIndexer(item, chip_size=400, edge="pad"))
    assert shown == ["cloud 0%  ·  nodata 0%", *3 * ["not measured"]]


def test_what_was_not_measured_is_shown_as_such(tmp_path: Path):
    item = make_scene(tmp_path / "scene").item
    assert captions(UnmeasuredChipIndexer(item, 400, edge="pad")) == 4 * ["not measured"]
    # the file says what nodata is, and nothing says where clouds are
    shown = captions(Indexer(item, 400, 1.0, edge="pad"))
    assert shown[:2] == [
        "cloud not measured  ·  nodata 0%",
        "cloud not measured  ·  nodata 25%",
    ]


def test_clouds_of_radar_are_not_mentioned(tmp_path: Path):
    scene = make_scene(tmp_path / "scene")
    scene.item.collection_id = "sentinel-1-rtc"
    scene.item.assets["vv"] = scene.item.assets.pop("red")
    shown = captions(Indexer(scene.item, 400, 1.0, edge="pad"))
    assert shown[:2] == ["nodata 0%", "nodata 25%"]


def test_padding_that_was_counted_is_shown(tmp_path: Path):
    item = make_scene(tmp_path / "scene").item
    nodata = np.zeros((600, 700), bool)
    indexer = NoDataMaskChipIndexer(item, nodata, 400, 1.0, edge="pad")
    assert captions(indexer)[1] == "cloud 0%  ·  nodata 25%"


def test_rows_without_a_date_and_shares_are_shown(tmp_path: Path):
    indexer = NoStatsChipIndexer(make_scene(tmp_path / "scene-1").item)
    whole = indexer.create_index()
    thin = whole.select(["chipid", "platform", "item_id"])
    for index in (thin, indexer):
        assert (
            make_picture(Chipper(index), 0).captions[1]
            == (make_picture(Chipper(whole), 0).captions[1])
        )


def make_rows(**chips: int) -> pa.Table:
    """Return rows of items, named `platform_number`, with that many chips each."""
    return pa.table(
        {
            "platform": [name.split("_")[0] for name, count in chips.items() for _ in range(count)],
            "item_id": [name for name, count in chips.items() for _ in range(count)],
            "row": list(range(sum(chips.values()))),
        }
    )


def count(rows: pa.Table, column: str = "item_id") -> dict[str, int]:
    return dict(Counter(rows[column].to_pylist()))


def test_the_choice_is_even_over_platforms_and_then_over_items():
    rows = make_rows(a_1=100, b_1=1000, b_2=1000, b_3=7, b_4=2)
    chosen = choose_chips(rows, 60)
    assert count(chosen, "platform") == {"a": 30, "b": 30}
    shares = count(chosen)
    assert (shares["b_3"], shares["b_4"]) == (7, 2), "small items give all they have"
    assert {shares["b_1"], shares["b_2"]} == {10, 11}
    assert chosen["row"].to_pylist() == sorted(chosen["row"].to_pylist())


def test_two_large_items_do_not_fill_the_sheet():
    rows = make_rows(**{f"a_{number}": 5 for number in range(30)}, a_x=5000, a_y=5000)
    chosen = choose_chips(rows, 24)
    assert set(count(chosen).values()) == {1}, "there are more items than chips"
    assert len(count(chosen)) == 24
    assert choose_chips(rows, 24).equals(chosen)
    others = {frozenset(count(choose_chips(rows, 24, seed))) for seed in range(5)}
    assert len(others) == 5


def test_all_chips_are_chosen_if_there_are_few():
    rows = make_rows(a_1=2, b_1=1)
    assert choose_chips(rows, 24).equals(rows)
    assert choose_chips(rows.slice(0, 0), 24).num_rows == 0


def write_scenes(folder: Path, *names: str) -> tuple[str, list[Scene]]:
    """Write an index of scenes, without the headers of their files."""
    scenes = [make_scene(folder / name, name) for name in names]
    tables = [NoStatsChipIndexer(scene.item).create_index() for scene in scenes]
    write_index(pa.concat_tables(tables), folder / "index", items=[each.item for each in scenes])
    return str(folder / "index"), scenes


def test_a_file_that_is_gone_leaves_a_hole_with_its_reason(tmp_path: Path, capsys):
    index, (gone, *_) = write_scenes(tmp_path, "gone", "there")
    gone.path("red").unlink()
    sheet = tmp_path / "sheet.png"
    assert run(["preview", index, "-o", str(sheet), "-n", "6"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{sheet}: 6 of 8 chips\n"
    (line,) = (line for line in said.err.splitlines() if "could not be cut" in line)
    assert line.startswith("3 of 6 chips could not be cut: There is no file")
    assert "red.tif" in line
    with Image.open(sheet) as picture:
        assert (np.asarray(picture) == HOLE).all(axis=-1).sum() > 3 * 256 * 128


def test_a_sheet_without_any_chip_is_a_failure_and_writes_nothing(tmp_path: Path, capsys):
    index, scenes = write_scenes(tmp_path, "gone", "gone-too")
    for scene in scenes:
        scene.path("red").unlink()
    assert run(["preview", index, "-o", str(tmp_path / "sheet.png")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "Each of 8 chips could not be cut" in said
    assert "red.tif" in said
    assert not (tmp_path / "sheet.png").exists()


def test_an_item_that_fails_is_tried_once(tmp_path: Path):
    index, (gone, *_) = write_scenes(tmp_path, "gone")
    gone.path("red").unlink()

    class Counting(Storage):
        tries = 0

        def __getattribute__(self, name: str) -> object:
            if name in ("stat", "read", "size", "open"):
                type(self).tries += 1
            return super().__getattribute__(name)

    rows = read_index(index)
    tries = []
    for number in (1, rows.num_rows):
        before = Counting.tries
        with pytest.raises(StacchipError, match="could not be cut"):
            draw_sheet(rows.slice(0, number), tmp_path / "a.png", Counting(), title="")
        tries.append(Counting.tries - before)
    assert tries[0] == tries[1] > 0


class _WaitsForAnother(BaseHTTPRequestHandler):
    """Answers 404, but the first requests only once there are two of them."""

    together = threading.Barrier(2, timeout=30)

    def do_GET(self) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            self.together.wait()
        self.send_error(404)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_items_are_read_at_the_same_time_so_that_waits_do_not_add_up(tmp_path: Path, capsys):
    _, scenes = write_scenes(tmp_path, "one", "two")
    with ThreadingHTTPServer(("127.0.0.1", 0), _WaitsForAnother) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for scene in scenes:
            scene.item.assets["red"].href = f"http://127.0.0.1:{server.server_port}/a.tif"
        tables = [NoStatsChipIndexer(scene.item).create_index() for scene in scenes]
        items = [scene.item for scene in scenes]
        write_index(pa.concat_tables(tables), tmp_path / "far", items=items)
        sheet = str(tmp_path / "sheet.png")
        assert run(["preview", str(tmp_path / "far"), "-o", sheet, "-n", "2"]) == 1
        server.shutdown()
    assert "could not be cut" in capsys.readouterr().err
    assert not _WaitsForAnother.together.broken


def write_picture(scene: Scene, key: str, count: int, **options: object) -> None:
    write_band(scene.path(key), 10, (600, 700), count=count, dtype="uint8", predictor=1, **options)


def make_coloured(folder: Path, count: int) -> pystac.Item:
    """Return an item with a picture in colour: red 10, green 20, blue 30, and an opaque half."""
    scene = make_scene(folder, "coloured")
    keep = scene.item.assets["red"].extra_fields
    scene.item.assets.clear()
    scene.item.add_asset(
        "visual", pystac.Asset("./visual.tif", roles=["visual"], extra_fields=keep)
    )
    colours = {"photometric": "RGB", "nodata": None, **({"alpha": "YES"} if count == 4 else {})}
    write_picture(scene, "visual", count, **colours)
    with rasterio.open(scene.path("visual"), "r+") as file:
        for band, value in zip(range(1, 4), (10, 20, 30), strict=True):
            file.write(np.full((600, 700), value, np.uint8), band)
        if count == 4:
            opacity = np.full((600, 700), 255, np.uint8)
            opacity[:, 128:] = 0
            file.write(opacity, 4)
    return scene.item


@pytest.mark.parametrize("count", [3, 4])
def test_a_picture_in_colour_is_shown_in_its_colours(count: int, tmp_path: Path):
    item = make_coloured(tmp_path, count)
    drawn = make_picture(Chipper(NoStatsChipIndexer(item)), 0)
    assert drawn.rgb[:, 0, 0].tolist() == [10, 20, 30]
    assert drawn.shown == ""
    # a fourth band is opacity, not colour
    assert drawn.valid[:, :128].all()
    assert drawn.valid[:, 128:].all() == (count == 3)


def test_the_caption_names_the_chip_and_what_is_shown_in_grey(tmp_path: Path):
    scene = make_scene(tmp_path / "scene")
    del scene.item.assets["red"]
    index = NoStatsChipIndexer(scene.item).create_index()
    drawn = make_picture(Chipper(index), 0)
    assert drawn.captions[-1] == index["chipid"][0].as_py()
    assert "band swir" in drawn.captions[0]
    assert (drawn.rgb[0] == drawn.rgb[2]).all()


def test_the_ids_of_a_sheet_can_be_printed(tmp_path: Path, capsys):
    index, _ = write_scenes(tmp_path, "one", "two")
    sheet = ["-o", str(tmp_path / "sheet.png")]
    assert run(["preview", index, *sheet, "-n", "4", "--list"]) == 0
    _, *listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 4
    for line in listed:
        chipid = line.split("\t")[0]
        assert run(["chip", index, chipid, "-o", str(tmp_path / "chip.npy")]) == 0


def test_what_each_limit_leaves_is_said_and_an_empty_sheet_may_be_allowed(tmp_path: Path, capsys):
    index, _ = write_scenes(tmp_path, "one", "two")
    sheet = tmp_path / "sheet.png"
    limits = ["--platform", "none", "--max-nodata", "0.5", "-o", str(sheet)]
    assert run(["preview", index, *limits]) == 1
    said = capsys.readouterr().err
    assert "Of its 8 chips, --platform none leaves 0, --max-nodata 0.5 leaves 8" in said
    assert run(["preview", index, *limits, "--allow-empty"]) == 0
    assert "(--allow-empty)" in capsys.readouterr().err
    assert not sheet.exists()
