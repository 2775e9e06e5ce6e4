from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio

from scenes import make_scene
from stacchip.chipper import Chipper
from stacchip.errors import ObjectNotFound
from stacchip.utils import load_indexer_local, load_indexer_s3


@pytest.mark.parametrize("load", [load_indexer_local, load_indexer_s3])
def test_an_item_in_a_bucket_is_loaded_by_platform_and_id(tmp_path: Path, load):
    folder = tmp_path / "bucket" / "my-source" / "scene-1"
    make_scene(folder)
    (folder / "item.json").rename(folder / "stac_item.json")
    platform, item_id = pa.array(["my-source", "scene-1"])
    indexer = load(str(tmp_path / "bucket"), platform, item_id)
    assert indexer.size == 4
    with rasterio.open(folder / "red.tif") as dataset:
        expected = dataset.read(window=rasterio.windows.Window(256, 0, 256, 256))
    np.testing.assert_array_equal(Chipper(indexer).chip(1, 0)["red"], expected)


def test_an_item_that_is_absent_is_an_error(tmp_path: Path):
    with pytest.raises(ObjectNotFound, match=r"stac_item\.json"):
        load_indexer_local(tmp_path, "my-source", "scene-1")


def test_a_linked_items_files_stay_where_they_are(tmp_path: Path):
    scene = make_scene(
        tmp_path / "elsewhere", platform="my-source", **{"stacchip:choices": {"assets": "link"}}
    )
    for asset in scene.item.assets.values():
        asset.href = str(scene.folder / asset.href)
    folder = tmp_path / "bucket" / "my-source" / "scene-1"
    folder.mkdir(parents=True)
    scene.item.save_object(dest_href=str(folder / "stac_item.json"))
    chipper = Chipper(bucket=str(tmp_path / "bucket"), platform="my-source", item_id="scene-1")
    assert chipper.chip(0, 0)["red"].shape == (1, 256, 256)
