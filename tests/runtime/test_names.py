"""One name where several could be given: it is that name, wherever the library takes names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scenes import Scene, make_scene
from stacchip.chipper import Chipper
from stacchip.cubes.imagery import Imagery
from stacchip.errors import AssetNotFound, UsageError
from stacchip.index import gather_headers
from stacchip.indexer import NoStatsChipIndexer
from stacchip.items import reference_asset
from stacchip.runtime.names import names_of
from stacchip.sources import Source
from stacchip.sources.training_bands import get_platform
from stacchip.stream import ChipStream


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "scene")


def test_a_chipper_takes_a_string_for_one_asset(scene: Scene):
    indexer = NoStatsChipIndexer(scene.item)
    assert set(Chipper(indexer, assets="red").chip(0, 0)) == {"red"}
    assert Chipper(indexer).with_assets("swir").cut(0, 0).bands == ("swir",)
    assert set(Chipper(indexer, asset_blacklist="red").chip(0, 0)) == {"swir", "coastal"}


def test_a_stream_takes_a_string_for_one_asset(scene: Scene):
    index = NoStatsChipIndexer(scene.item).create_index()
    batch = next(iter(ChipStream(index, items=[scene.item], assets="red").batches(1)))
    assert batch.bands == ("red",)


def test_a_data_set_takes_a_string_for_one_asset(scene: Scene):
    pytest.importorskip("torch")
    from stacchip.datasets import ChipDataset

    index = NoStatsChipIndexer(scene.item).create_index()
    data = ChipDataset(index, items=[scene.item], assets="red", dtype="float32")
    assert len(data[0]["pixels"]) == 1


def test_others_that_take_names_take_one(scene: Scene):
    (headers,) = gather_headers([scene.item], "swir").values()
    assert set(headers) == {"swir"}
    assert reference_asset(scene.item, names="coastal").key == "coastal"
    assert get_platform("naip", "red").names == ("red",)
    assert Imagery("index", "naip", bands="nir").platform_bands.names == ("nir",)
    source = Source("mine", "Mine", collections="drone", qa_assets="qa", bands="red")
    assert (source.collections, source.qa_assets, source.bands) == (("drone",), ("qa",), ("red",))


@pytest.mark.parametrize("argument", ["assets", "asset_blacklist"])
def test_names_in_one_string_are_refused_with_the_list_to_write(scene: Scene, argument: str):
    with pytest.raises(UsageError, match=rf"{argument}=\['red', 'swir'\]"):
        Chipper(NoStatsChipIndexer(scene.item), **{argument: "red, swir"})


def test_an_unknown_name_is_named_whole(scene: Scene):
    with pytest.raises(AssetNotFound, match="no asset 'green'"):
        Chipper(NoStatsChipIndexer(scene.item), assets="green").chip(0, 0)


def test_any_collection_of_names_keeps_its_order():
    for names in (["b", "a"], ("b", "a"), iter(["b", "a"]), np.array(["b", "a"]), {"b": 1, "a": 2}):
        assert names_of(names, "names") == ("b", "a")
    assert names_of((), "names") == ()
    for wrong in (3, [3], [None], b"red"):
        with pytest.raises(UsageError, match="as strings"):
            names_of(wrong, "names")
