from __future__ import annotations

import json
import logging
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pystac
import pytest
import rasterio

from scenes import Scene, make_scene, write_band
from servers.range_server import RangeServer
from stacchip.errors import (
    AssetNotFound,
    GridMismatch,
    InvalidMetadata,
    MissingMetadata,
    StorageError,
    UsageError,
)
from stacchip.index import SCHEMA, SHARE_COLUMNS
from stacchip.indexer import (
    ChipIndexer,
    Indexer,
    LandsatIndexer,
    ModisIndexer,
    NoDataMaskChipIndexer,
    NoStatsChipIndexer,
    Sentinel1Indexer,
    Sentinel2Indexer,
    UnmeasuredChipIndexer,
)
from stacchip.sources import MODIS, SENTINEL_2
from stacchip.storage import Storage
from turned import turned


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "scene-1")


@pytest.fixture
def sentinel_2(shared_data: Path) -> Path:
    name = "S2A_29RKH_20200219_0_L2A"
    return shared_data / "sentinel2" / name / f"{name}.local.json"


@pytest.fixture
def landsat(shared_data: Path) -> Path:
    folder = shared_data / "landsat" / "LC08_L2SP_008059_20191201"
    return next(folder.glob("*.local.json"))


def pixel_share(table: pa.Table, column: str) -> float:
    """Share of all pixels of all chips: chips are of one size."""
    return float(np.mean(table[column].to_numpy(), dtype=np.float64))


# --- the grid


def test_the_grid_is_the_finest_bands(scene: Scene):
    indexer = NoStatsChipIndexer(scene.item)
    assert indexer.shape == (600, 700)
    assert indexer.transform[:6] == (10, 0, 500000, 0, -10, 4200000)
    assert str(indexer.crs) == "EPSG:32629"
    assert indexer.bbox == (500000, 4194000, 507000, 4200000)
    assert (indexer.x_size, indexer.y_size, indexer.size) == (2, 2, 4)


def test_a_chips_footprint_is_that_of_its_row(scene: Scene):
    import shapely

    indexer = NoStatsChipIndexer(scene.item)
    row = indexer.create_index().slice(3, 1)
    footprint = shapely.from_wkb(row["geometry"][0].as_py())
    assert shapely.equals_exact(indexer.get_chip_bbox(1, 1), footprint, tolerance=1e-9)


def test_no_file_is_opened_where_the_item_suffices(scene: Scene):
    storage = Storage()
    for path in scene.folder.glob("*.tif"):
        path.unlink()
    table = NoStatsChipIndexer(scene.item, storage=storage).create_index()
    assert table.num_rows == 4
    assert storage.requests == 0


def test_a_grid_that_the_item_lacks_comes_from_the_file(scene: Scene):
    for asset in scene.item.assets.values():
        asset.extra_fields.clear()
    assert NoStatsChipIndexer(scene.item, reference="red").shape == (600, 700)


def test_the_file_is_believed_where_the_item_contradicts_itself(scene: Scene):
    scene.item.assets["red"].extra_fields["proj:bbox"] = [0, 0, 10, 10]
    with pytest.raises(InvalidMetadata, match=r"open_files=True"):
        NoStatsChipIndexer(scene.item, reference="red").create_index()
    assert NoStatsChipIndexer(scene.item, reference="red", open_files=True).shape == (600, 700)


def test_a_grid_that_nothing_tells_is_missing_metadata(scene: Scene):
    for key in ("red", "swir", "coastal"):
        scene.item.assets[key].extra_fields.clear()
        scene.path(key).unlink()
    with pytest.raises(
        MissingMetadata, match=r"(?s)scene-1.*proj:shape.*There is no file"
    ) as caught:
        NoStatsChipIndexer(scene.item).create_index()
    assert caught.value.item_id == "scene-1"


def test_a_shape_that_is_given_is_taken(scene: Scene):
    for asset in scene.item.assets.values():
        asset.extra_fields.pop("proj:shape", None)
    assert NoStatsChipIndexer(scene.item, shape=(512, 256)).size == 2


def test_an_item_may_be_a_dictionary_or_a_path(scene: Scene):
    path = scene.folder / "item.json"
    tables = [
        NoStatsChipIndexer(item).create_index().drop_columns("item_href")
        for item in (scene.item, str(path), json.loads(path.read_text()))
    ]
    assert tables[0] == tables[1] == tables[2]


def test_several_items_are_refused(scene: Scene):
    with pytest.raises(UsageError, match="takes one item, and was given several"):
        NoStatsChipIndexer([scene.item, scene.item])


@pytest.mark.parametrize("kind", [NoStatsChipIndexer, Indexer, Sentinel2Indexer])
def test_chips_that_cannot_be_are_refused_at_once(scene: Scene, kind: type[ChipIndexer]):
    for size in (0, -1, 2.5, "a", True, None, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=rf"chip_size is a whole number .* not {size!r}"):
            kind(scene.item, size)
    with pytest.raises(UsageError, match="edge is 'drop' or 'pad', not 'keep'"):
        kind(scene.item, edge="keep")
    assert kind(scene.item, np.int64(128)).chip_size == 128


# --- measuring


def test_a_subclass_measures_chip_by_chip(scene: Scene):
    class Mine(ChipIndexer):
        def get_stats(self, x: int, y: int) -> tuple[float, float]:
            return 0.1 * x, 0.6 * y

    table = Mine(scene.item).create_index()
    assert table.schema.equals(SCHEMA)
    assert table["chip_index_y"].to_pylist() == [0, 0]
    np.testing.assert_allclose(table["cloud_cover_percentage"].to_numpy(), [0, 0.1], rtol=1e-6)
    assert Mine(scene.item, chip_max_nodata=0.7).create_index().num_rows == 4


def test_a_share_that_a_subclass_does_not_measure_is_null(scene: Scene):
    class Mine(ChipIndexer):
        def get_stats(self, x: int, y: int) -> tuple[float | None, float | None]:
            return (None, 0.9) if x else (0.25, float("nan"))

    table = Mine(scene.item).create_index()
    assert table["chip_index_x"].to_pylist() == [0, 0]  # null nodata leaves no chip out
    assert table["cloud_cover_percentage"].to_pylist() == [0.25, 0.25]
    assert table["nodata_percentage"].null_count == 2
    assert Mine(scene.item, chip_max_nodata=1.0).create_index()[
        "cloud_cover_percentage"
    ].to_pylist() == [0.25, None, 0.25, None]


def test_nothing_is_measured_without_pixels(scene: Scene):
    for key in scene.item.assets:
        scene.path(key).unlink(missing_ok=True)
    unmeasured = UnmeasuredChipIndexer(scene.item)
    table = unmeasured.create_index()
    assert table.num_rows == 4
    assert all(table[column].null_count == 4 for column in SHARE_COLUMNS.values())
    assert np.isnan(unmeasured.get_stats(0, 0)).all()
    # by its name, the original's class keeps the original's rule
    original = NoStatsChipIndexer(scene.item).create_index()
    assert original["cloud_cover_percentage"].to_pylist() == [0, 0, 0, 0]
    assert original["nodata_percentage"].to_pylist() == [0, 0, 0, 0]


def test_imagery_that_is_published_free_of_clouds_has_cloud_0_without_pixels(scene: Scene):
    scene.item.collection_id = "naip"
    scene.item.assets["image"] = scene.item.assets.pop("red")
    unmeasured = UnmeasuredChipIndexer(scene.item)
    table = unmeasured.create_index()
    assert table["platform"][0].as_py() == "naip"
    assert table["cloud_cover_percentage"].to_pylist() == [0] * len(table)
    assert table["nodata_percentage"].null_count == len(table)
    assert unmeasured.get_stats(0, 0)[0] == 0


def test_a_base_that_does_not_measure_says_so(scene: Scene):
    with pytest.raises(UsageError, match="override get_stats"):
        ChipIndexer(scene.item).create_index()


def test_a_mask_measures_nodata(scene: Scene):
    mask = np.zeros((600, 700), bool)
    mask[:128, :256] = True
    indexer = NoDataMaskChipIndexer(scene.item, mask)
    assert indexer.get_stats(0, 0) == (0, 0.5)
    assert indexer.create_index()["nodata_percentage"].to_pylist() == [0.5, 0, 0, 0]
    assert NoDataMaskChipIndexer(scene.item, mask, 256, 0.4).create_index().num_rows == 3


def test_a_mask_of_another_shape_is_refused(scene: Scene):
    with pytest.raises(UsageError, match=r"\(10, 10\).*\(600, 700\)"):
        NoDataMaskChipIndexer(scene.item, np.zeros((10, 10))).create_index()


def test_sentinel_2_matches_its_oracle(sentinel_2: Path):
    clouds = replace(SENTINEL_2, classes={**SENTINEL_2.classes, "cloud": (8, 9, 10)})
    indexer = Indexer(sentinel_2, 61, 1.0, source=clouds)  # 18 chips of 61 px are 1098 px
    assert pixel_share(indexer.create_index(), "cloud_cover_percentage") == pytest.approx(
        0.0406, abs=0.0001
    )


def test_landsat_matches_its_oracle(landsat: Path):
    with rasterio.open(next(landsat.parent.glob("*_QA_PIXEL.TIF"))) as dataset:
        qa = dataset.read(1)
    height, width = qa.shape
    indexer = LandsatIndexer(landsat, 32, 1.0, edge="pad")
    only_cloud = replace(indexer.source, classes={**indexer.source.classes, "cloud": (3,)})
    table = Indexer(landsat, 32, 1.0, source=only_cloud, edge="pad").create_index()
    pixels = table.num_rows * 32 * 32
    outside = pixels - height * width
    cloudy = pixel_share(table, "cloud_cover_percentage") * pixels
    valid = pixels - pixel_share(table, "nodata_percentage") * pixels
    assert cloudy / valid == pytest.approx(0.811, abs=0.0005)
    assert 1 - valid / (pixels - outside) == pytest.approx(0.31, abs=0.005)


def test_shares_are_those_of_the_pixels(sentinel_2: Path):
    with rasterio.open(sentinel_2.parent / "SCL.tif") as dataset:
        scl = dataset.read(1)
    table = Sentinel2Indexer(sentinel_2, chip_max_nodata=1.0).create_index()
    for row in table.drop_columns(["geometry", "bbox"]).to_pylist():
        x, y = row["chip_index_x"] * 128, row["chip_index_y"] * 128
        chip = scl[y : y + 128, x : x + 128]
        for column, classes in (
            ("cloud", (1, 3, 8, 9, 10)), ("nodata", (0,)), ("shadow", (3,)), ("cirrus", (10,)),
            ("snow", (11,)), ("water", (6,)),
        ):  # fmt: skip
            name = f"{column}_cover_percentage" if column == "cloud" else f"{column}_percentage"
            assert row[name] == pytest.approx(np.isin(chip, classes).mean(), abs=1e-6), name


def test_get_stats_agrees_with_the_table(landsat: Path):
    indexer = LandsatIndexer(landsat, 128)
    row = indexer.create_index().to_pylist()[-1]
    assert indexer.get_stats(row["chip_index_x"], row["chip_index_y"]) == (
        row["cloud_cover_percentage"], row["nodata_percentage"],
    )  # fmt: skip


# --- finding the source


def make_item(item_id: str, collection: str, **assets: Path) -> pystac.Item:
    from datetime import UTC, datetime

    item = pystac.Item(item_id, None, None, datetime(2021, 6, 1, tzinfo=UTC), {})
    item.collection_id = collection
    for key, path in assets.items():
        item.add_asset(key, pystac.Asset(str(path), roles=["data"]))
    return item


def test_indexer_finds_the_source_of_the_item_and_says_which(
    sentinel_2: Path, landsat: Path, shared_data: Path
):
    modis = shared_data / "modis"
    qc = next(modis.glob("*QC_500m.tif"))
    sar = next((shared_data / "sentinel1").glob("*_VV.tif"))
    found = [
        Indexer(sentinel_2),
        Indexer(landsat),
        Indexer(make_item("MOD09A1.A2008296.h14v17.061", "modis-09A1-061", sur_refl_qc_500m=qc)),
        Indexer(make_item("S1A_IW_GRDH_rtc", "sentinel-1-rtc", vv=sar)),
    ]
    names = ["sentinel-2-l2a", "landsat-c2l2-sr", "modis", "sentinel-1-rtc"]
    assert [indexer.source.name for indexer in found] == names
    for indexer, name in zip(found, names, strict=True):
        assert f"source={name!r}" in repr(indexer)
    assert all(indexer.create_index().num_rows is not None for indexer in found)


def test_an_item_at_an_address_is_fetched_once(scene: Scene):
    with RangeServer(scene.folder) as web:
        for kind in (Indexer, Sentinel2Indexer, NoStatsChipIndexer):
            web.reset_counters()
            assert kind(web.url("item.json")).item.id == "scene-1"
            assert web.by_path == {"/item.json": 1}, kind


def test_an_indexer_of_a_source_takes_an_item_that_names_none(scene: Scene):
    """Its first source is then the item's, so that an item without a collection can be measured."""
    scene.item.assets["scl"] = scene.item.assets.pop("swir")
    indexer = Sentinel2Indexer(scene.item)
    assert isinstance(indexer, Indexer)
    assert indexer.source.name == "sentinel-2-l2a"
    assert indexer.qa_asset.key == "scl"
    assert repr(indexer) == "Sentinel2Indexer('scene-1', source='sentinel-2-l2a')"


def test_a_subclass_of_a_sources_indexer_measures_chip_by_chip(sentinel_2: Path):
    class Mine(Sentinel2Indexer):
        def get_stats(self, x: int, y: int) -> tuple[float, float]:
            cloud, nodata = super().get_stats(x, y)
            return cloud / 2, nodata

    whole = Sentinel2Indexer(sentinel_2).create_index()["cloud_cover_percentage"].to_numpy()
    half = Mine(sentinel_2).create_index()["cloud_cover_percentage"].to_numpy()
    np.testing.assert_allclose(half, whole / 2, rtol=1e-6)


def test_modis_fill_is_nodata(shared_data: Path):
    qc = next((shared_data / "modis").glob("*QC_500m.tif"))
    item = make_item("MOD09GA.A2008296.h14v17.006", "modis-09GA-006", sur_refl_qc_500m=qc)
    with rasterio.open(qc) as dataset:
        low = dataset.read(1)[:2304, :2304] & 3
    indexer = ModisIndexer(item, 256, 1.0, reference="sur_refl_qc_500m")
    table = indexer.create_index()
    assert pixel_share(table, "nodata_percentage") == pytest.approx((low == 3).mean(), abs=1e-6)
    assert pixel_share(table, "cloud_cover_percentage") == pytest.approx(
        (low == 2).mean(), abs=1e-6
    )


@pytest.mark.parametrize(("key", "scale"), [("sur_refl_state_500m", 1), ("state_1km_1", 2)])
def test_modis_clouds_are_those_of_the_state_band_and_it_says_so(
    tmp_path: Path, key: str, scale: int, caplog
):
    """The QC band calls all pixels good; of the state, a quarter is cloud and a half is fill."""
    write_band(tmp_path / "b01.tif", 10, (64, 64), dtype="int16", nodata=-28672)
    write_band(tmp_path / "qc.tif", 10, (64, 64), dtype="uint32", nodata=4294967295)
    write_band(tmp_path / "state.tif", 10 * scale, (64 // scale, 64 // scale), dtype="uint16")
    state = np.full((64 // scale, 64 // scale), 0b001_0_00, np.uint16)
    state[: 32 // scale] = 65535
    state[32 // scale :, : 32 // scale] |= 2
    for name, pixels in (("qc.tif", np.zeros((64, 64), np.uint32)), ("state.tif", state)):
        with rasterio.open(tmp_path / name, "r+") as dataset:
            dataset.write(pixels, 1)
    item = make_item(
        "MOD09A1.A2022033.h19v10.061", "modis-09A1-061", sur_refl_b01=tmp_path / "b01.tif",
        sur_refl_qc_500m=tmp_path / "qc.tif",
    )  # fmt: skip
    by_qc = Indexer(item, 64).create_index().to_pylist()[0]
    assert (by_qc["cloud_cover_percentage"], by_qc["nodata_percentage"]) == (0, 0)
    assert by_qc["water_percentage"] is None

    item.add_asset(key, pystac.Asset(str(tmp_path / "state.tif"), roles=["data"]))
    for indexer in (Indexer(item, 64), ModisIndexer(item, 64), Indexer(item, 64, source=MODIS)):
        assert indexer.reference.key == "sur_refl_b01"
        assert indexer.qa_asset.key == key
        assert f"qa_asset={key!r}" in repr(indexer)
        with caplog.at_level(logging.INFO, "stacchip"):
            row = indexer.create_index().to_pylist()[0]
        assert f"measured by asset {key!r}" in caplog.text
        assert (row["cloud_cover_percentage"], row["nodata_percentage"]) == (0.25, 0.5)
        assert (row["water_percentage"], row["shadow_percentage"]) == (0, 0)


def test_sentinel_1_nodata_is_that_of_its_pixels(shared_data: Path):
    sar = next((shared_data / "sentinel1").glob("*_VV.tif"))
    with rasterio.open(sar) as dataset:
        empty = np.isnan(dataset.read(1))
    table = Sentinel1Indexer(make_item("S1", "sentinel-1-rtc", vv=sar), 50, 1.0).create_index()
    assert pixel_share(table, "nodata_percentage") == pytest.approx(empty.mean(), abs=1e-6)


def test_an_indexer_can_be_pickled(sentinel_2: Path):
    indexer = Indexer(str(sentinel_2))
    again = pickle.loads(pickle.dumps(indexer))
    assert repr(again) == repr(indexer)
    assert again.create_index() == indexer.create_index()


def test_clouds_of_an_item_of_no_known_source_are_not_measured(scene: Scene):
    indexer = Indexer(scene.item)
    assert "no known source" in repr(indexer)
    assert indexer.create_index()["cloud_cover_percentage"].null_count == 4
    cloud, nodata = indexer.get_stats(0, 0)
    assert np.isnan(cloud)
    assert nodata == 0  # the file has a nodata value, and no pixel has it


def test_a_qa_asset_that_is_absent_is_named_with_the_remedy(sentinel_2: Path):
    item = pystac.Item.from_file(str(sentinel_2))
    del item.assets["scl"]
    with pytest.raises(AssetNotFound, match=r"(?s)no QA asset.*NoStatsChipIndexer"):
        Indexer(item).create_index()


# --- files that contradict their item


def test_the_file_wins_and_the_difference_is_reported(sentinel_2: Path, caplog):
    """The original item says 10,980 px; its files here are decimated ten times."""
    item = json.loads(sentinel_2.with_name("S2A_29RKH_20200219_0_L2A.json").read_text())
    for key, asset in json.loads(sentinel_2.read_text())["assets"].items():
        item["assets"][key]["href"] = str(sentinel_2.parent / Path(asset["href"]).name)
    with caplog.at_level(logging.WARNING):
        indexer = Indexer(item)
        table = indexer.create_index()
    assert indexer.shape == (1098, 1098)
    assert table.num_rows == 16
    (difference,) = indexer.differences
    assert "5490 x 5490" in difference.in_item
    assert "549 x 549" in difference.in_file
    assert str(difference) in caplog.text
    assert table.drop_columns("item_href") == Sentinel2Indexer(
        str(sentinel_2)
    ).create_index().drop_columns("item_href")


def test_chips_of_a_corrected_grid_are_cut_right(sentinel_2: Path, tmp_path: Path):
    from stacchip.chipper import Chipper

    item = json.loads(sentinel_2.with_name("S2A_29RKH_20200219_0_L2A.json").read_text())
    for key, asset in json.loads(sentinel_2.read_text())["assets"].items():
        item["assets"][key]["href"] = str(sentinel_2.parent / Path(asset["href"]).name)
    table = Indexer(item).create_index()
    with rasterio.open(sentinel_2.parent / "B04.tif") as dataset:
        expected = dataset.read(window=rasterio.windows.Window(256, 512, 256, 256))
    np.testing.assert_array_equal(Chipper(table, assets=["red"]).chip(1, 2)["red"], expected)
    # without what the index kept, the row's footprint tells that the item is wrong
    bare = table.replace_schema_metadata(None)
    np.testing.assert_array_equal(
        Chipper(bare, assets=["red"], items=item).chip(1, 2)["red"], expected
    )


def test_a_qa_band_in_another_crs_is_refused_with_both(shared_data: Path):
    folder = shared_data / "sentinel2" / "L2A_T19UDP_20170729_mixed"
    item = make_item("S2_T19UDP", "sentinel-2-l2a", red=folder / "R10m" / "TCI.jp2")
    item.add_asset("scl", pystac.Asset(str(folder / "R20m" / "SCL.jp2")))
    with pytest.raises(GridMismatch, match=r"(?s)EPSG:32701.*EPSG:32619"):
        Sentinel2Indexer(item, reference="red").create_index()


def test_a_broken_qa_band_is_an_error_that_names_it(sentinel_2: Path, tmp_path: Path):
    folder = shutil.copytree(sentinel_2.parent, tmp_path / "scene")
    data = (folder / "SCL.tif").read_bytes()
    (folder / "SCL.tif").chmod(0o644)
    (folder / "SCL.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises((StorageError, OSError), match=r"SCL\.tif"):
        Indexer(str(folder / sentinel_2.name)).create_index()


def test_the_same_inputs_give_the_same_bytes(sentinel_2: Path, tmp_path: Path):
    import pyarrow.parquet as pq

    for name in ("a", "b"):
        pq.write_table(Indexer(sentinel_2).create_index(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_rotated_item_has_rotated_footprints(scene: Scene):
    import shapely

    askew = turned((500000, 4200000), 20, 10, -10)
    write_band(scene.path("red"), 10, (600, 700), transform=askew)
    scene.item.assets["red"].extra_fields["proj:transform"] = list(askew)[:6]
    indexer = NoStatsChipIndexer(scene.item, reference="red")
    footprint = indexer.get_chip_bbox(0, 0)
    assert footprint.area < 0.7 * shapely.box(*footprint.bounds).area
    from stacchip.chipper import Chipper

    with rasterio.open(scene.path("red")) as dataset:
        expected = dataset.read(window=rasterio.windows.Window(256, 256, 256, 256))
    chip = Chipper(indexer, assets=["red"]).chip(1, 1)
    np.testing.assert_array_equal(chip["red"], expected)
