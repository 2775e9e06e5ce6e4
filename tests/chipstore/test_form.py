"""Packs can be read with `zarr` and `xarray` alone."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from chipstore.conftest import GB, make_mixed, packs_of, shards_of
from scenes import ORIGIN, write_band
from stacchip import Chipper, ChipStore
from stacchip.indexer import NoStatsChipIndexer

EDGE = {"edge": "pad"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> tuple[Path, dict[str, Path], Chipper]:
    """A store with all chips of a scene of many kinds of files, those files, and the chipper."""
    root = tmp_path_factory.mktemp("form")
    scene = make_mixed(root / "scene")
    red = {"count": 2, "interleave": "band", "dtype": "uint16", "nodata": 7}
    write_band(scene.path("red"), 10, (600, 700), **red)
    write_band(scene.path("swir"), 20, (300, 350), dtype="uint8", nodata=None)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(scene.path("swir"), "r+") as file,
    ):
        file.write_mask(np.tri(300, 350, dtype=bool))
    # it begins within the scene, so that some chips do not meet it
    place = Affine(20, 0, ORIGIN[0] + 3000, 0, -20, ORIGIN[1] - 2000)
    fields = {"proj:shape": [150, 150], "proj:transform": list(place)[:6]}
    write_band(
        scene.path("scl"), 20, (150, 150), dtype="float32", nodata=-1, predictor=3, transform=place
    )
    scene.item.assets["scl"].extra_fields |= fields
    store = ChipStore(root / "chips", GB)
    chipper = Chipper(NoStatsChipIndexer(scene.item, 100, **EDGE), store=store, **EDGE)
    for row in range(len(chipper)):
        chipper.cut_row(row)
    store.flush()
    return (
        root / "chips",
        {key: scene.path(key) for key in ("red", "swir", "coastal", "scl")},
        chipper,
    )


def opened_by_zarr(pack: Path) -> tuple[dict[str, Any], Any]:
    zarr = pytest.importorskip("zarr", reason="zarr is absent")
    group = zarr.open_group(pack / "chips.zarr", mode="r")
    return dict(group.attrs), lambda name: np.asarray(group[name][:])


def opened_by_xarray(pack: Path) -> tuple[dict[str, Any], Any]:
    pytest.importorskip("zarr", reason="zarr is absent")
    xarray = pytest.importorskip(
        "xarray", minversion="2024.11", reason="xarray is absent, or too old for Zarr 3"
    )
    data = xarray.open_zarr(pack / "chips.zarr", consolidated=False, mask_and_scale=False)
    return data.attrs, lambda name: data[name].to_numpy()


@pytest.mark.parametrize("opened", [opened_by_zarr, opened_by_xarray])
def test_other_programs_find_the_pixels_of_the_files(kept, opened):
    folder, files, chipper = kept
    seen, absent = set(), 0
    for pack in packs_of(folder):
        said, array = opened(pack)
        said = said["stacchip"]
        rows = pq.read_table(pack / "chips.parquet").to_pylist()
        assert [row["number"] for row in rows] == list(range(said["chips"]))
        assert (said["form"], said["chip_size"]) == (1, 100)
        arrays = {name: array(name) for name in ("place", "window", "stamp")}
        for asset in said["assets"]:
            for name in ("array", "valid_array"):
                if name in asset:
                    arrays[asset[name]] = array(asset[name])
        for row in rows:
            number = row["number"]
            item, x, y = arrays["place"][number].tolist()
            assert said["items"][item] == [row["platform"], row["item_id"]]
            assert (x, y) == (row["chip_index_x"], row["chip_index_y"])
            assert row["chipid"] == f"{row['item_id']}-{x}-{y}"
            assert row["chip_size"] == 100
            seen.add((x, y))
            for place, asset in enumerate(said["assets"]):
                top, left, height, width = arrays["window"][number, place].tolist()
                stack = arrays[asset["array"]][number]
                assert stack.dtype == asset["dtype"]
                assert stack.shape[1:] == (asset["height"], asset["width"])
                planes = stack[asset["first_plane"] :][: asset["bands"]]
                assert not planes[:, height:].any()
                assert not planes[:, :, width:].any()
                absent += not height
                with rasterio.open(files[asset["asset"]]) as file:
                    window = Window(left, top, width, height)
                    if height:
                        np.testing.assert_array_equal(
                            planes[:, :height, :width], file.read(window=window)
                        )
                    if asset["asset"] == "swir":
                        usable = arrays[asset["valid_array"]][number, asset["valid_plane"]]
                        mask = file.read_masks(1, window=window) > 0
                        np.testing.assert_array_equal(usable[:height, :width], mask)
                        assert set(np.unique(usable).tolist()) <= {0, 1}
                    else:
                        assert "valid_array" not in asset, "its values say it"
    assert seen == {
        (chipper.rows.key(row).x, chipper.rows.key(row).y) for row in range(len(chipper))
    }
    assert len(seen) == 42
    assert absent > 0


def test_a_window_is_that_of_the_chip(kept):
    """A chip of 100 px of 10 m needs 50 px of 20 m, and 17 or 18 of 60 m."""
    pytest.importorskip("zarr", reason="zarr is absent")
    folder, *_ = kept
    for pack in packs_of(folder):
        said, array = opened_by_zarr(pack)
        assets = [asset["asset"] for asset in said["stacchip"]["assets"]]
        windows, places = array("window"), array("place")
        for (_, x, y), own in zip(places.tolist(), windows.tolist(), strict=True):
            top, left, height, width = own[assets.index("red")]
            assert (top, left) == (100 * y, 100 * x)
            assert (height, width) == (100, 100)
            top, left, height, width = own[assets.index("swir")]
            assert (top, left, height, width) == (50 * y, 50 * x, 50, 50)


def test_chips_with_one_version_of_their_files_have_one_stamp(kept):
    pytest.importorskip("zarr", reason="zarr is absent")
    folder, *_ = kept
    stamps: dict[str, set[int]] = {}
    for pack in packs_of(folder):
        said, array = opened_by_zarr(pack)
        for asset, column in zip(said["stacchip"]["assets"], array("stamp").T, strict=True):
            stamps.setdefault(asset["asset"], set()).update(column.tolist())
    assert {asset: len(each) for asset, each in stamps.items()} == dict.fromkeys(stamps, 1)
    assert len(set.union(*stamps.values())) == 4


def test_metadata_are_plain_json_of_zarr_3(kept):
    folder, *_ = kept
    for pack in packs_of(folder):
        for path in [pack / "chips.zarr" / "zarr.json", *pack.glob("chips.zarr/*/zarr.json")]:
            told = json.loads(path.read_text(encoding="utf-8"))
            assert told["zarr_format"] == 3
            assert told["node_type"] == ("group" if path.parent.name == "chips.zarr" else "array")
    assert json.loads((folder / "store.json").read_text()) == {"stacchip_chip_store": 1}
    names = {path.name for path in folder.iterdir()}
    assert names <= {"store.json", "packs", "unfinished", "catalogue.sqlite", "claims.lock"}
    assert not any((folder / "unfinished").iterdir())


def test_checksums_are_those_of_zarr_and_not_of_zlib(kept):
    """CRC32C, computed here bit by bit: its polynomial is not zlib's."""
    folder, *_ = kept
    shard = shards_of(folder)[0].read_bytes()
    group = json.loads((packs_of(folder)[0] / "chips.zarr" / "zarr.json").read_text())
    chips = group["attributes"]["stacchip"]["chips"]
    index = shard[-16 * chips - 4 : -4]
    value = 0xFFFFFFFF
    for byte in index:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    assert int.from_bytes(shard[-4:], "little") == value != zlib.crc32(index)
