from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.cli.pictures import make_picture
from stacchip.indexer import (
    ChipIndexer,
    Indexer,
    NoDataMaskChipIndexer,
    NoStatsChipIndexer,
    UnmeasuredChipIndexer,
)


def captions(indexer: ChipIndexer) -> list[str]:
    """Return the caption with the shares of each chip."""
    chipper = Chipper(indexer.create_index())
    return [make_picture(chipper, row).captions[2] for row in range(len(chipper))]


def test_padding_that_was_not_counted_is_not_shown_as_no_nodata(tmp_path: Path):
    item = make_scene(tmp_path / "scene").item
    shown = captions(NoStatsChipIndexer(item, chip_size=400, edge="pad"))
    assert shown == ["cloud 0 %  ·  nodata 0 %", *3 * ["not measured"]]


def test_what_was_not_measured_is_shown_as_such(tmp_path: Path):
    item = make_scene(tmp_path / "scene").item
    assert captions(UnmeasuredChipIndexer(item, 400, edge="pad")) == 4 * ["not measured"]
    # the file says what nodata is, and nothing says where clouds are
    shown = captions(Indexer(item, 400, 1.0, edge="pad"))
    assert shown[:2] == [
        "cloud not measured  ·  nodata 0 %",
        "cloud not measured  ·  nodata 25 %",
    ]


def test_clouds_of_radar_are_not_mentioned(tmp_path: Path):
    scene = make_scene(tmp_path / "scene")
    scene.item.collection_id = "sentinel-1-rtc"
    scene.item.assets["vv"] = scene.item.assets.pop("red")
    shown = captions(Indexer(scene.item, 400, 1.0, edge="pad"))
    assert shown[:2] == ["nodata 0 %", "nodata 25 %"]


def test_padding_that_was_counted_is_shown(tmp_path: Path):
    item = make_scene(tmp_path / "scene").item
    nodata = np.zeros((600, 700), bool)
    indexer = NoDataMaskChipIndexer(item, nodata, 400, 1.0, edge="pad")
    assert captions(indexer)[1] == "cloud 0 %  ·  nodata 25 %"


def test_rows_without_a_date_and_shares_are_shown(tmp_path: Path):
    indexer = NoStatsChipIndexer(make_scene(tmp_path / "scene-1").item)
    whole = indexer.create_index()
    thin = whole.select(["chipid", "platform", "item_id"])
    for index in (thin, indexer):
        assert (
            make_picture(Chipper(index), 0).captions[1]
            == (make_picture(Chipper(whole), 0).captions[1])
        )
