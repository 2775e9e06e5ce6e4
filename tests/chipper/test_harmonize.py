"""Chips and streams with Sentinel-2's offset brought onto one scale."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenes import Scene, make_scene, write_band
from stacchip.chipper import Chipper
from stacchip.errors import MissingMetadata, UsageError
from stacchip.indexer import NoStatsChipIndexer
from stacchip.stream import ChipStream

BASELINE = {"s2:processing_baseline": "05.09", "s2:product_type": "S2MSI2A"}


def make_item(folder: Path, **properties: Any) -> Scene:
    """A Sentinel-2 item with red (10 m), swir16 (20 m) and scl, whose pixels count up from 1."""
    scene = make_scene(folder, "S2B_MSIL2A_20240501T112119", **properties)
    assets = scene.item.assets
    del assets["coastal"]
    assets["swir16"] = assets.pop("swir")
    assets["scl"] = assets["red"].clone()
    assets["scl"].href = "./scl.tif"
    write_band(scene.path("red"), 10, (600, 700), dtype="uint16")
    write_band(scene.path("swir"), 20, (300, 350), dtype="uint16")
    write_band(scene.path("scl"), 10, (600, 700), dtype="uint8")
    return scene


def shifted(pixels: np.ndarray) -> np.ndarray:
    values = pixels.astype(np.int64)
    return np.where((values == 0) | (values == 65535), values, np.maximum(values - 1000, 1))


@pytest.fixture
def item(tmp_path: Path) -> Any:
    return make_item(tmp_path / "new", **BASELINE).item


def test_a_chip_has_the_offset_in_reflectance_and_nowhere_else(item: Any) -> None:
    plain = Chipper(NoStatsChipIndexer(item, edge="pad"))
    one_scale = Chipper(NoStatsChipIndexer(item, edge="pad"), harmonize="boa_offset")
    for x, y in ((0, 0), (2, 2)):
        before, after = plain.chip(x, y), one_scale.chip(x, y)
        np.testing.assert_array_equal(after["scl"], before["scl"])
        for band in ("red", "swir16"):
            np.testing.assert_array_equal(after[band], shifted(before[band]))
            assert after[band].dtype == np.uint16
        np.testing.assert_array_equal(one_scale.cut(x, y).valid, plain.cut(x, y).valid)


def test_an_older_item_stays_as_it_is(tmp_path: Path) -> None:
    old = make_item(tmp_path / "old", **{**BASELINE, "s2:processing_baseline": "03.01"}).item
    plain = Chipper(NoStatsChipIndexer(old)).cut(1, 1)
    found = Chipper(NoStatsChipIndexer(old), harmonize="boa_offset").cut(1, 1)
    np.testing.assert_array_equal(found.array, plain.array)


def test_an_item_that_does_not_say_is_refused_when_it_is_cut(tmp_path: Path) -> None:
    item = make_item(tmp_path / "mute", **{"s2:product_type": "S2MSI2A"}).item
    with pytest.raises(MissingMetadata, match="still have the offset"):
        Chipper(NoStatsChipIndexer(item), harmonize="boa_offset").cut(0, 0)
    stream = ChipStream(NoStatsChipIndexer(item), harmonize="boa_offset", errors="skip")
    assert not list(stream)
    assert stream.report.skipped
    with pytest.raises(UsageError, match="harmonize= is"):
        Chipper(NoStatsChipIndexer(item), harmonize="everything")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_a_stream_gives_the_chippers_pixels(item: Any, method: Any, dtype: Any) -> None:
    indexer = NoStatsChipIndexer(item, 128, edge="pad")
    chipper = Chipper(indexer, harmonize="boa_offset", resampling=method)
    for chip in ChipStream(pickle.loads(pickle.dumps(chipper)), dtype=dtype):
        expected = chipper.cut(chip.x, chip.y)
        np.testing.assert_array_equal(chip.array, expected.array.astype(dtype or "uint16"))
        np.testing.assert_array_equal(chip.valid, expected.valid)
