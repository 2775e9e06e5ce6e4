from __future__ import annotations

import pickle
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
from rasterio.warp import Resampling, reproject

from scenes import Scene, make_scene, write_band
from stacchip.chipper import Chipper
from stacchip.errors import (
    AccessDenied,
    AmbiguousChip,
    AssetNotFound,
    ChipNotFound,
    ChipOutOfRange,
    CorruptBlock,
    GridMismatch,
    ItemNotFound,
    ObjectNotFound,
    StorageError,
    UsageError,
)
from stacchip.index import KEY, read_index, write_index
from stacchip.index.headers import gather_headers
from stacchip.index.merge import merge_indexes
from stacchip.indexer import NoStatsChipIndexer
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import ChipStream


def read_band(path: Path, x: int, y: int, size: int = 256) -> np.ndarray:
    with rasterio.open(path) as dataset:
        window = rasterio.windows.Window(x * size, y * size, size, size)
        return dataset.read(window=window)


def warp_to_chip(path: Path, chip, method: Resampling = Resampling.nearest) -> np.ndarray:
    """What GDAL's warper makes of a band on the chip's grid."""
    # centres that fall between two pixels take exact positions; rasterio has them from 1.5 on
    exact = {"tolerance": 0} if method == Resampling.nearest else {}
    out = np.zeros(chip.geobox.shape, chip.array.dtype)
    with rasterio.open(path) as dataset:
        reproject(
            rasterio.band(dataset, 1), out, dst_crs=dataset.crs, dst_nodata=0,
            dst_transform=chip.geobox.affine, resampling=method, **exact,
        )  # fmt: skip
    return out


def test_a_chip_has_the_pixels_that_rasterio_reads(scene: Scene):
    chip = Chipper(NoStatsChipIndexer(scene.item).create_index()).chip(x=1, y=1)
    assert list(chip) == ["red", "swir", "coastal"]
    assert chip["red"].shape == (1, 256, 256)
    np.testing.assert_array_equal(chip["red"], read_band(scene.path("red"), 1, 1))


@pytest.mark.parametrize("x", [0, 1])
@pytest.mark.parametrize("y", [0, 1])
def test_coarse_bands_lie_where_gdal_puts_them(scene: Scene, x: int, y: int):
    chipper = Chipper(NoStatsChipIndexer(scene.item).create_index())
    chip = chipper.cut(x, y)
    for band, key in enumerate(chip.bands):
        np.testing.assert_array_equal(chip.array[band], warp_to_chip(scene.path(key), chip), key)


def test_another_resampling_is_gdals(scene: Scene):
    table = NoStatsChipIndexer(scene.item).create_index()
    chip = Chipper(table, assets=["coastal"], resampling="bilinear").cut(0, 1)
    expected = warp_to_chip(scene.path("coastal"), chip, Resampling.bilinear)
    np.testing.assert_array_equal(chip.array[0], expected)


def test_assets_that_are_no_rasters_are_left_out(scene: Scene):
    assert "thumbnail" not in Chipper(NoStatsChipIndexer(scene.item)).chip(0, 0)


def test_assets_are_chosen_in_the_order_asked(scene: Scene):
    index = NoStatsChipIndexer(scene.item).create_index()
    assert list(Chipper(index, assets=["swir", "red"]).chip(0, 0)) == ["swir", "red"]
    assert list(Chipper(index, asset_blacklist=["red"]).chip(0, 0)) == ["swir", "coastal"]


def test_an_asset_that_is_absent_is_named_with_those_there(scene: Scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item), assets=["red", "scl"])
    with pytest.raises(AssetNotFound, match=r"no asset 'scl'.*red, swir, coastal") as caught:
        chipper.chip(0, 0)
    assert (caught.value.item_id, caught.value.asset) == ("scene-1", "scl")


def test_rows_are_a_sequence(scene: Scene):
    table = NoStatsChipIndexer(scene.item).create_index().slice(1, 2)
    chipper = Chipper(table, assets=["red"])
    assert len(chipper) == 2
    positions = [(x, y) for x, y, _ in chipper]
    assert positions == [(1, 0), (0, 1)]
    assert [(x, y) for x, y, _ in chipper[:]] == positions
    assert chipper[-1][:2] == (0, 1)
    np.testing.assert_array_equal(chipper[0][2]["red"], read_band(scene.path("red"), 1, 0))
    with pytest.raises(IndexError, match="there are 2 chips"):
        chipper[2]
    with pytest.raises(ChipOutOfRange):
        chipper[-3]


def test_an_indexer_gives_its_whole_grid(scene: Scene):
    class Half(NoStatsChipIndexer):
        def get_stats(self, x: int, y: int) -> tuple[float, float]:
            return 0.0, 0.9 if x else 0.0

    indexer = Half(scene.item)
    assert len(Chipper(indexer.create_index())) == 2
    assert len(Chipper(indexer)) == 4
    assert len(Chipper(indexer, edge="pad")) == 9


def test_padding_is_nodata_and_not_valid(scene: Scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item, edge="pad").create_index(), assets=["red"])
    chip = chipper.cut(2, 2)
    inside = read_band(scene.path("red"), 2, 2)
    assert inside.shape == (1, 88, 188)
    np.testing.assert_array_equal(chip.array[:, :88, :188], inside)
    assert chip.valid[:, :88, :188].all()
    for part in (chip.array[:, 88:], chip.array[:, :, 188:]):
        assert (part == 0).all()
    assert chip.valid.sum() == 88 * 188


def test_dropping_refuses_a_chip_over_the_edge(scene: Scene):
    table = NoStatsChipIndexer(scene.item, edge="pad").create_index()
    with pytest.raises(ChipNotFound, match="edge='pad'"):
        Chipper(table, edge="drop").chip(2, 2)


@pytest.mark.parametrize("place", [-1, -(2**31), 3, 2**31 - 1])
@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("edge", [None, "pad", "drop"])
def test_a_row_of_another_grid_gives_an_error_and_no_zeros(scene: Scene, axis, place, edge):
    table = NoStatsChipIndexer(scene.item, edge="pad").create_index().slice(0, 2)
    number = table.column_names.index(f"chip_index_{axis}")
    places = pa.array([0, place], table.schema.field(number).type)
    table = table.set_column(number, table.schema.field(number), places)
    chipper = Chipper(table, assets=["red"], edge=edge)
    stream = ChipStream(chipper, errors="skip")
    for cut in (
        lambda: chipper[1],
        lambda: chipper.cut_row(1),
        lambda: list(ChipStream(chipper).batches(2)),
        lambda: ChipStream(chipper).take([1]),
    ):
        with pytest.raises(
            ChipNotFound, match=r"outside the item, which has 700 x 600 px"
        ) as caught:
            cut()
        # an IndexError would end a loop over the chipper as if it had no more rows
        assert not isinstance(caught.value, IndexError)
    assert [len(batch) for batch in stream.batches(2)] == [1]
    assert stream.report.skipped == 1


def test_a_stream_and_a_chipper_refuse_a_chip_over_the_edge_alike(scene: Scene):
    table = NoStatsChipIndexer(scene.item, edge="pad").create_index()
    chipper, messages = Chipper(table, edge="drop"), []
    for cut in (lambda: chipper.cut(2, 2), lambda: list(ChipStream(chipper))):
        with pytest.raises(ChipNotFound, match=r"beyond the edge.*edge='pad'") as caught:
            cut()
        assert caught.value.item_id == "scene-1"
        messages.append(str(caught.value).split("reaches")[1])
    assert messages[0] == messages[1]
    assert chipper.cut(1, 1).valid.all()


def test_the_four_ways_to_cut_a_chip_agree(scene: Scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item).create_index())
    row = 3
    chip = chipper.cut_row(row)
    x, y, arrays = chipper[row]
    assert (chip.x, chip.y) == (x, y) == (1, 1)
    by_place, cut = chipper.chip(x, y), chipper.cut(chipid=chip.chipid)
    np.testing.assert_array_equal(cut.array, chip.array)
    for key, pixels in arrays.items():
        np.testing.assert_array_equal(by_place[key], pixels)
        np.testing.assert_array_equal(chip.array[chip.find_band(key)], pixels[0])


def test_a_band_is_found_by_asset_and_number(scene: Scene):
    write_band(scene.path("red"), 10, (600, 700), count=3, dtype="uint16")
    chip = Chipper(NoStatsChipIndexer(scene.item), assets=["swir", "red"]).cut(0, 0)
    assert [chip.find_band("red", number) for number in (1, 2, 3)] == [1, 2, 3]
    assert chip.find_band("swir") == 0
    with pytest.raises(ValueError, match="not in tuple"):
        chip.find_band("red", 4)


def test_a_chipper_of_other_assets_opens_them(scene: Scene):
    """The items that are open belong to a choice of assets."""
    chipper = Chipper(NoStatsChipIndexer(scene.item), assets=["red"])
    chipper.chip(0, 0)
    assert list(chipper.with_assets(["swir"]).chip(0, 0)) == ["swir"]
    assert list(chipper.chip(0, 0)) == ["red"]


def test_an_item_is_opened_once_for_its_chips(scene: Scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item))
    opened = chipper.open(0)
    assert chipper.open(3) is opened
    assert chipper.open_anew(0) is not opened
    assert pickle.loads(pickle.dumps(chipper)).open(0) is not opened


def test_a_file_that_comes_back_is_opened(scene: Scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item), assets=["red"])
    scene.path("red").rename(scene.folder / "away.tif")
    with pytest.raises(ObjectNotFound):
        chipper.chip(0, 0)
    (scene.folder / "away.tif").rename(scene.path("red"))
    assert chipper.chip(0, 0)["red"].shape == (1, 256, 256)


def test_several_items_need_an_item_id(tmp_path: Path):
    tables = [
        NoStatsChipIndexer(make_scene(tmp_path / name, name).item).create_index()
        for name in ("a", "b")
    ]
    folder = tmp_path / "indexes"
    for number, table in enumerate(tables):
        write_index(table, folder / str(number))
    merge_indexes(folder, tmp_path / "index")
    chipper = Chipper(tmp_path / "index", assets=["red"])
    with pytest.raises(AmbiguousChip, match="item_id= one of a, b"):
        chipper.chip(0, 0)
    assert chipper.cut(0, 0, item_id="b").item_id == "b"
    assert chipper.cut(chipid="a-1-0").x == 1


def test_several_chip_sizes_need_a_chip_size(scene: Scene):
    tables = [NoStatsChipIndexer(scene.item, size).create_index() for size in (128, 256)]
    chipper = Chipper(pa.concat_tables(tables), assets=["red"])
    with pytest.raises(AmbiguousChip, match="chip_size= one of 128, 256"):
        chipper.chip(0, 0)
    with pytest.raises(AmbiguousChip, match="chip_size="):
        chipper.chip(chipid="scene-1-0-0")
    np.testing.assert_array_equal(
        chipper.chip(1, 1, chip_size=128)["red"], read_band(scene.path("red"), 1, 1, 128)
    )


def test_a_chip_without_a_row_is_not_found(scene: Scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item).create_index())
    with pytest.raises(ChipNotFound, match=r"x=7, y=0 among the 4 rows"):
        chipper.chip(7, 0)
    with pytest.raises(UsageError, match="give x and y, or chipid"):
        chipper.chip(x=1)


def test_a_chip_knows_where_and_when_it_is(scene: Scene):
    chip = Chipper(NoStatsChipIndexer(scene.item), assets=["red", "swir"]).cut(1, 0)
    assert chip.array.shape == chip.valid.shape == (2, 256, 256)
    assert chip.chipid == "scene-1-1-0"
    assert chip.geobox.affine[:6] == (10, 0, 502560, 0, -10, 4200000)
    assert chip.datetime.isoformat() == "2024-05-01T11:30:00+00:00"
    array = chip.to_xarray()
    assert array.dims == ("band", "y", "x")
    assert array.odc.geobox == chip.geobox
    assert array.band.values.tolist() == ["red", "swir"]


def test_bands_of_one_file_are_numbered(scene: Scene):
    write_band(scene.path("red"), 10, (600, 700), count=3, dtype="uint16")
    chip = Chipper(NoStatsChipIndexer(scene.item), assets=["red"]).cut(0, 0)
    assert chip.bands == ("red:1", "red:2", "red:3")
    assert chip.array.dtype == np.uint16


def test_nodata_is_not_valid(scene: Scene):
    with rasterio.open(scene.path("red"), "r+") as dataset:
        pixels = dataset.read()
        pixels[:, 10:20, 30:50] = 0
        dataset.write(pixels)
    chip = Chipper(NoStatsChipIndexer(scene.item), assets=["red", "swir"]).cut(0, 0)
    assert not chip.valid[0, 10:20, 30:50].any()
    assert chip.valid[0].sum() == 256 * 256 - 200
    assert chip.valid[1].all()


# --- where the item comes from


def test_a_table_written_and_read_by_pyarrow_still_finds_its_item(scene: Scene, tmp_path: Path):
    path = tmp_path / "index.parquet"
    pq.write_table(NoStatsChipIndexer(scene.item).create_index(), path)
    chip = Chipper(pq.read_table(path), assets=["red"]).chip(1, 1)
    np.testing.assert_array_equal(chip["red"], read_band(scene.path("red"), 1, 1))


def test_a_filtered_table_finds_the_items_of_its_index(scene: Scene, tmp_path: Path):
    write_index(NoStatsChipIndexer(scene.item).create_index(), tmp_path / "index")
    (scene.folder / "item.json").unlink()
    table = read_index(tmp_path / "index", max_cloud=0.1).replace_schema_metadata(
        {k: v for k, v in read_index(tmp_path / "index").schema.metadata.items()
         if k != b"stacchip:items"}
    )  # fmt: skip
    assert list(Chipper(table).chip(0, 0)) == ["red", "swir", "coastal"]


def test_pyarrows_own_merge_finds_items_by_their_hrefs(tmp_path: Path):
    names = ("a", "b", "c")
    scenes = {name: make_scene(tmp_path / "scenes" / name, name) for name in names}
    for name, made in scenes.items():
        folder = tmp_path / "indexes" / name
        folder.mkdir(parents=True)
        pq.write_table(NoStatsChipIndexer(made.item).create_index(), folder / "index.parquet")
    merged = ds.dataset(
        tmp_path / "indexes", format="parquet",
        partitioning=ds.partitioning(field_names=["item_id"]),
    )  # fmt: skip
    ds.write_dataset(merged, tmp_path / "merged", format="parquet")
    table = ds.dataset(tmp_path / "merged", format="parquet").to_table()
    chip = Chipper(table, assets=["red"]).chip(1, 0, item_id="c")
    np.testing.assert_array_equal(chip["red"], read_band(scenes["c"].path("red"), 1, 0))


def test_an_item_that_nothing_resolves_is_named_with_the_remedy(scene: Scene):
    scene.item.set_self_href(None)
    table = NoStatsChipIndexer(scene.item).create_index().replace_schema_metadata(None)
    with pytest.raises(ItemNotFound, match=r"Item 'scene-1'.*items=\[item\]"):
        Chipper(table).chip(0, 0)


def test_an_item_that_cannot_be_asked_for_is_not_called_absent(scene: Scene):
    scene.item.set_self_href("http://127.0.0.1:9/item.json")  # nobody listens
    table = NoStatsChipIndexer(scene.item).create_index().replace_schema_metadata(None)
    storage = Storage(options=StorageOptions(deadline_s=1, max_attempts=2))
    with pytest.raises(StorageError, match=r"Item 'scene-1': .*refused") as caught:
        Chipper(table, storage=storage).chip(0, 0)
    assert caught.value.facts["item_id"] == "scene-1"


def test_an_item_that_is_given_goes_first(scene: Scene, tmp_path: Path):
    table = NoStatsChipIndexer(scene.item).create_index()
    moved = shutil.copytree(scene.folder, tmp_path / "moved")
    shutil.rmtree(scene.folder)
    np.testing.assert_array_equal(
        Chipper(table, items=[moved / "item.json"], assets=["red"]).chip(0, 0)["red"],
        read_band(moved / "red.tif", 0, 0),
    )


def test_files_under_a_mountpath_are_read_instead(scene: Scene, tmp_path: Path):
    table = NoStatsChipIndexer(scene.item).create_index()
    platform = table["platform"][0].as_py()
    mounted = tmp_path / "mount" / platform / "scene-1"
    mounted.parent.mkdir(parents=True)
    scene.folder.rename(mounted)
    chip = Chipper(table, mountpath=tmp_path / "mount", assets=["red"]).chip(0, 0)
    np.testing.assert_array_equal(chip["red"], read_band(mounted / "red.tif", 0, 0))


def test_a_mounted_bucket_is_read_by_the_paths_of_its_hrefs(scene: Scene, tmp_path: Path):
    for key in ("red", "swir", "coastal"):
        scene.item.assets[key].href = f"s3://bucket/2024/05/{key}.tif"
    table = NoStatsChipIndexer(scene.item).create_index()
    (tmp_path / "mount/2024").mkdir(parents=True)
    mounted = scene.folder.rename(tmp_path / "mount/2024/05")
    chip = Chipper(table, mountpath=tmp_path / "mount").chip(0, 0)
    np.testing.assert_array_equal(chip["red"], read_band(mounted / "red.tif", 0, 0))
    (mounted / "swir.tif").unlink()
    chipper = Chipper(table, mountpath=tmp_path / "mount")
    platform = table["platform"][0].as_py()
    for place in ("2024/05/swir.tif", f"{platform}/scene-1/swir.tif"):
        with pytest.raises(ObjectNotFound, match=f"'swir'.*{tmp_path}/mount/{place}"):
            chipper.chip(0, 0)
    assert Chipper(table, tmp_path / "mount", assets=["red"]).chip(1, 1)["red"].shape[0] == 1


class _Counting(Storage):
    """Counts how often something is looked for."""

    looked = 0

    def exists(self, href):
        type(self).looked += 1
        return super().exists(href)


def test_files_below_a_mount_are_looked_for_once_an_item(scene: Scene, tmp_path: Path):
    table = NoStatsChipIndexer(scene.item).create_index()
    platform = table["platform"][0].as_py()
    (tmp_path / "mount" / platform).mkdir(parents=True)
    scene.folder.rename(tmp_path / "mount" / platform / "scene-1")
    chipper = Chipper(table, tmp_path / "mount", assets=["red"], storage=_Counting())
    chipper.cut_row(0)
    once = _Counting.looked
    assert once > 0
    for row in range(len(table)):
        chipper.cut_row(row)
    assert _Counting.looked == once


class _Refusing(Storage):
    """A server that does not say whether a file is there."""

    def exists(self, href):
        raise AccessDenied("The server refused.", href=href, status=403)


def test_a_mount_that_refuses_is_not_called_empty(scene: Scene, tmp_path: Path):
    table = NoStatsChipIndexer(scene.item).create_index()
    chipper = Chipper(table, tmp_path / "mount", assets=["red"], storage=_Refusing())
    with pytest.raises(AccessDenied, match="Item 'scene-1', asset 'red': The server refused") as it:
        chipper.chip(0, 0)
    assert it.value.facts["asset"] == "red"


def test_below_a_mount_only_chosen_assets_are_looked_for(scene: Scene, tmp_path: Path):
    table = NoStatsChipIndexer(scene.item).create_index()
    platform = table["platform"][0].as_py()
    (tmp_path / "mount" / platform).mkdir(parents=True)
    scene.folder.rename(tmp_path / "mount" / platform / "scene-1")
    looked = []
    for assets in (["red"], None):
        before = _Counting.looked
        Chipper(table, tmp_path / "mount", assets=assets, storage=_Counting()).chip(0, 0)
        looked.append(_Counting.looked - before)
    assert looked[0] * len(scene.item.assets) == looked[1]


@pytest.mark.parametrize("stored_size", [128, None])
def test_a_bucket_gives_an_item_by_platform_and_id(tmp_path: Path, stored_size: int | None):
    scene = make_scene(tmp_path / "scene-1", platform="my-source")
    bucket = tmp_path / "bucket"
    folder = bucket / "my-source" / "scene-1"
    folder.parent.mkdir(parents=True)
    shutil.copytree(scene.folder, folder)
    (folder / "item.json").rename(folder / "stac_item.json")
    if stored_size:
        index = bucket / "index" / "my-source" / "scene-1" / "index_scene-1.parquet"
        index.parent.mkdir(parents=True)
        pq.write_table(NoStatsChipIndexer(scene.item, stored_size).create_index(), index)
    names = pa.array(["my-source", "scene-1"])
    shutil.rmtree(scene.folder)
    chipper = Chipper(bucket=str(bucket), platform=names[0], item_id=names[1], assets=["red"])
    size = stored_size or 256
    assert len(chipper) == (600 // size) * (700 // size)
    np.testing.assert_array_equal(
        chipper.chip(1, 1)["red"], read_band(folder / "red.tif", 1, 1, size)
    )


# --- what is broken


def test_bands_in_two_crs_are_refused_with_both(shared_data: Path):
    folder = shared_data / "sentinel2" / "L2A_T19UDP_20170729_mixed"
    item = pystac.Item("T19UDP", None, None, datetime(2017, 7, 29), {})
    item.add_asset("visual", pystac.Asset(str(folder / "R10m" / "TCI.jp2"), roles=["data"]))
    item.add_asset("scl", pystac.Asset(str(folder / "R20m" / "SCL.jp2"), roles=["data"]))
    chipper = Chipper(NoStatsChipIndexer(item, reference="visual"))
    with pytest.raises(GridMismatch, match=r"(?s)EPSG:32701.*EPSG:32619"):
        chipper.chip(0, 0)


def test_a_file_that_contradicts_the_index_is_refused_with_both_grids(scene: Scene):
    table = NoStatsChipIndexer(scene.item).create_index()
    write_band(scene.path("red"), 100, (60, 70))
    with pytest.raises(GridMismatch, match=r"60 x 70 px.*600 x 700 px") as caught:
        Chipper(table).chip(0, 0)
    assert (caught.value.item_id, caught.value.asset) == ("scene-1", "red")


def test_an_item_that_contradicts_the_index_is_refused(scene: Scene):
    table = NoStatsChipIndexer(scene.item).create_index().replace_schema_metadata(None)
    other = scene.item.clone()
    other.assets["red"].extra_fields["proj:transform"] = [10, 0, 600000, 0, -10, 4200000]
    write_band(scene.path("red"), 100, (60, 70))
    with pytest.raises(GridMismatch, match="Index the item again"):
        Chipper(table, items=other, assets=["red"]).chip(0, 0)


def test_a_broken_block_is_named_and_the_others_are_read(shared_data: Path):
    path = shared_data / "odd" / "derived" / "u16_corrupt_centre_tile.tif"
    item = pystac.Item("broken", None, None, datetime(2020, 1, 1), {})
    item.add_asset("b04", pystac.Asset(str(path), roles=["data"]))
    chipper = Chipper(NoStatsChipIndexer(item, chip_size=64))
    outcomes = []
    for row in range(len(chipper)):
        try:
            x, y, chip = chipper[row]
        except CorruptBlock as error:
            assert error.href == str(path)
            outcomes.append(error.block)
        else:
            np.testing.assert_array_equal(chip["b04"], read_band(path, x, y, 64))
            outcomes.append(None)
    assert len(set(outcomes)) == 2
    assert None in outcomes


def test_a_chipper_can_be_pickled_after_use(scene: Scene):
    chipper = Chipper(NoStatsChipIndexer(scene.item), assets=["red"])
    before = chipper.chip(0, 0)["red"]
    after = pickle.loads(pickle.dumps(chipper)).chip(0, 0)["red"]
    np.testing.assert_array_equal(before, after)


def test_keys_of_an_index_are_those_of_the_chips(scene: Scene):
    table = NoStatsChipIndexer(scene.item).create_index()
    chip = Chipper(table, assets=["red"]).cut(1, 1)
    row = table.slice(3, 1).select(list(KEY)).to_pylist()[0]
    assert row == {
        "platform": chip.platform, "item_id": chip.item_id, "chip_size": chip.chip_size,
        "chip_index_x": chip.x, "chip_index_y": chip.y,
    }  # fmt: skip


def test_two_items_of_one_id_are_not_taken_for_each_other(tmp_path: Path):
    one, two = (make_scene(tmp_path / name, "same") for name in ("one", "two"))
    table = NoStatsChipIndexer(one.item).create_index()
    with pytest.raises(UsageError, match="'same'"):
        Chipper(table, items=[one.item, two.item])
    with pytest.raises(UsageError, match="'same'"):
        write_index(table, tmp_path / "index", items=[one.item, two.item])
    with pytest.raises(UsageError, match="'same'"):
        gather_headers([one.item, two.item])
    assert len(Chipper(table, items=[one.item, one.item.clone()])) == len(table)


@pytest.mark.parametrize("said", [-9999, 0.5, "nan"])
def test_a_nodata_that_a_band_cannot_hold_is_no_nodata(tmp_path: Path, said: object):
    write_band(tmp_path / "red.tif", 10, (300, 300), dtype="uint8", nodata=None)
    item = pystac.Item("a", None, None, datetime(2024, 5, 1), {"proj:code": "EPSG:32629"})
    item.add_asset("red", pystac.Asset(str(tmp_path / "red.tif"), roles=["data"]))
    item.assets["red"].extra_fields = {
        "proj:shape": [300, 300],
        "proj:transform": [10, 0, 500_000, 0, -10, 4_200_000],
        "raster:bands": [{"nodata": said}],
    }
    chipper = Chipper(NoStatsChipIndexer(item, edge="pad", open_files=True))
    chip = chipper.cut_row(len(chipper) - 1)
    assert not chip.array[0, -1, -1]
    assert not chip.valid[0, -1, -1]
    assert chip.valid[0, 0, 0]


@pytest.mark.parametrize("method", ["lanczos", None, {"red": "best"}])
def test_an_unknown_way_to_resample_is_refused_at_once(method: object, scene: Scene):
    with pytest.raises(UsageError, match="resampling must be one of nearest, bilinear"):
        Chipper(NoStatsChipIndexer(scene.item), resampling=method)
