"""Every item of the shared data, from every catalogue, and what becomes of it.

The outcome of an item is what `NoStats` indexing would give from its metadata alone: the number of
256 px chips of its reference band's grid, incomplete ones at the edges dropped; or the error, with
the field that it names. Where an error tells of a grid that is unknown or contradicted, opening the
file's header settles it: `Indexer` does so by default, since a header wins over an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyproj
import pytest
import rasterio

from stacchip.errors import ItemError
from stacchip.items import (
    item_datetime,
    load_items,
    platform_name,
    read_assets,
    reference_asset,
    reference_candidates,
)
from stacchip.sources import find_source

if TYPE_CHECKING:
    from pathlib import Path

CHIP_SIZE = 256


@dataclass(frozen=True)
class Outcome:
    """What all items of a file come to, each of `items` the same unless `chips` lists them."""

    platform: str
    chips: int | tuple[int, ...] | None = None
    reference: str | None = None
    error: str | None = None
    items: int = 1


def chips(platform: str, reference: str, *counts: int, items: int = 0) -> Outcome:
    each: int | tuple[int, ...] = counts[0] if len(counts) == 1 else counts
    return Outcome(platform, each, reference, items=items or len(counts))


def fails(platform: str, error: str, items: int = 1) -> Outcome:
    return Outcome(platform, error=error, items=items)


S2, LANDSAT, LANDSAT_L1, S1 = "sentinel-2-l2a", "landsat-c2l2-sr", "landsat-c2l1", "sentinel-1-rtc"
# no proj:* at all; or a CRS and nothing else: the header must be opened
NO_GRID, ONLY_CRS = "MissingMetadata proj:code", "MissingMetadata proj:shape"
# swapped shapes: the bbox only fits into (width, height); turned round silently, the chips would be
# right here, and wrong in the next catalogue
SWAPPED = "InvalidMetadata proj:shape"
# GRD lies in radar geometry; its catalogue divides the bbox by the shape and calls it a transform,
# which is kilometres off along the edges
RADAR = "InvalidMetadata proj:transform"
NOTHING_TO_CHIP = "MissingMetadata assets"

TABLE = {
    # -- awkward
    "awkward/odc-stac__lidar_dem.json": chips("lidar_collection", "dem", 49),
    "awkward/odc-stac__only_crs_proj.json": fails("fc_percentile_albers_annual", ONLY_CRS),
    "awkward/planetary-computer-tasks__s1-grd.json": fails("sentinel-1-grd", NO_GRID),
    # rotated, in degrees: the grid is known, its chips are no rectangles on the map
    "awkward/rio-tiler__stac-proj-titiler-issue1074.json": chips("unknown", "data", 3844),
    "awkward/rio-tiler__stac_no_ext.json": fails("unknown", NO_GRID),
    # 259 x 255 px: less than a chip wide
    "awkward/rio-tiler__stac_proj.json": chips("unknown", "red", 0),
    "awkward/rio-tiler__stac_proj_2_0_assets.json": chips("unknown", "red", 0),
    "awkward/rio-tiler__stac_relative.json": fails("kompsat-3", ONLY_CRS),
    # its `visual` is resampled to half the pixel size of its data
    "awkward/rustac-py__10300100DB064000.json": chips("10300100DB064000", "pan_analytic", 961),
    "awkward/rustac-py__core-item.json": fails("simple-collection", NO_GRID),
    # invalid by its schema only (no collection beside the link to one)
    "awkward/rustac-py__invalid-item.json": fails("unknown", NO_GRID),
    "awkward/stac-geoparquet__3dep-lidar-dsm-pc.json": chips(
        "3dep-lidar-dsm", "data", 108, 192, 192, 192
    ),
    "awkward/stac-geoparquet__io-lulc-annual-v02-pc.json": chips(
        "io-lulc-annual-v02", "data", 39786, 50954, 60726, 89700
    ),
    "awkward/stac-geoparquet__io-lulc-pc.json": chips("io-lulc", "data", 84436, 46098, 11480, 345),
    # -- landsat
    "landsat/landsat__LC08_L2SP_047027_20201204_02_T1.json": chips(LANDSAT, "coastal", 930),
    "landsat/landsat__LC08_L2SP_047027_20201204_20210313_02_T1_SR_stac.json": fails(
        LANDSAT, NO_GRID
    ),
    "landsat/landsat__LC08_L2SR_084024_20160111_20201016_02_T1_SR_stac.json": fails(
        LANDSAT, NO_GRID
    ),
    "landsat/landsat__LC09_L2SP_010065_20220129_02_T1.json": chips(LANDSAT, "coastal", 870),
    "landsat/landsat__LM01_L1GS_001010_19720908_02_T2.json": chips(LANDSAT_L1, "green", 256),
    "landsat/landsat__LM01_L1GS_001010_19720908_20200909_02_T2_stac.json": chips(
        LANDSAT_L1, "green", 256
    ),
    "landsat/landsat__LT04_L2SP_002026_19830110_20200918_02_T1_ST_stac.json": chips(
        "landsat-c2l2-st", "lwir", 899
    ),
    "landsat/landsat__LT05_L2SP_010067_19860424_20200918_02_T2_SR_stac.json": chips(
        LANDSAT, "blue", 780
    ),
    "landsat/landsat__LT05_L2SR_087017_20090621_20200827_02_T2_SR_stac.json": chips(
        LANDSAT, "blue", 990
    ),
    "landsat/odc-stac__LC08_L2SP_028030_20200114_20200824_02_T1_SR.json": chips(
        LANDSAT, "coastal", 930
    ),
    "landsat/odc-stac__LE07_L2SP_044033_20210329_20210424_02_T1_SR.json": chips(
        LANDSAT, "blue", 837
    ),
    # the panchromatic band has half the pixel size of the others
    "landsat/odc-stac__ga_ls8c_ard_3-1-0_088080_2020-05-25_final.stac-item.json": chips(
        "ga_ls_ard_3", "nbart_panchromatic", 3660
    ),
    "landsat/pystac__classification_landsat_example.json": chips(LANDSAT, "coastal", 930),
    # a grid, and no assets to cut chips from
    "landsat/pystac__example-landsat.json": fails(LANDSAT, NOTHING_TO_CHIP),
    # a bbox in Texas, a transform in the tundra, a geometry in Kamchatka
    "landsat/pystac__example-with-version-1.1.json": fails(
        "landsat-8-l1", "InvalidMetadata proj:bbox"
    ),
    # EPSG:32613 and 32614
    "landsat/pystac__example-with-version-1.2.json": fails(
        "landsat-8-l1", "InvalidMetadata proj:code"
    ),
    "landsat/stac-geoparquet__landsat-c2-l1-pc.json": chips(LANDSAT_L1, "green", 196, items=4),
    "landsat/stac-geoparquet__landsat-c2-l2-pc.json": chips(LANDSAT, "coastal", 961, 961, 961, 870),
    # -- linz
    "linz/argo-tasks__BD31.json": fails("linz", NO_GRID),
    "linz/argo-tasks__BD35.json": fails("linz", NO_GRID),
    # -- modis: sinusoidal, by wkt2
    # cropped to 2 x 2 px
    "modis/modis__MCD43A4.A2022073.h28v08.006.2022082044758.json": chips(
        "modis-43A4-006", "Nadir_Reflectance_Band1", 0
    ),
    "modis/modis__MOD09A1.A2022033.h19v10.061.json": chips("modis", "sur_refl_b01", 81),
    "modis/modis__MOD10A2.A2022033.h09v05.061.json": chips(
        "modis-10A2-061", "Eight_Day_Snow_Cover", 81
    ),
    # HDF only
    "modis/modis__MOD13A1.A2022001.h09v05.006.json": fails("modis-13A1-006", NOTHING_TO_CHIP),
    "modis/modis__MYD09A1.A2022025.h09v08.061.json": chips("modis", "sur_refl_b01", 81),
    "modis/modis__MYD10A2.A2022025.h10v05.061.json": chips(
        "modis-10A2-061", "Eight_Day_Snow_Cover", 81
    ),
    # -- naip
    "naip/planetary-computer-tasks__naip1.json": chips("naip", "image", 1974),
    "naip/planetary-computer-tasks__naip2.json": chips("naip", "image", 2021),
    "naip/stac-geoparquet__naip-pc.json": chips("naip", "image", 9405, items=4),
    # -- sentinel1
    "sentinel1/planetary-computer-tasks__DH__S1A_IW_GRDH_1SDH_20191215T034818_"
    "20191215T034847_030353_0378EA_rtc.json": fails(S1, SWAPPED),
    "sentinel1/planetary-computer-tasks__S1A_IW_GRDH_1SDH_20191215T105713_"
    "20191215T105738_030358_037912_rtc.json": fails(S1, SWAPPED),
    "sentinel1/planetary-computer-tasks__S1A_IW_GRDH_1SDV_20191215T004249_"
    "20191215T004314_030352_0378DC_rtc.json": fails(S1, SWAPPED),
    "sentinel1/sentinel1__S1A_EW_GRDM_1SDH_20221130T014342_20221130T014446_046117_058549.json": (
        fails("sentinel1-grd", RADAR)
    ),
    "sentinel1/sentinel1__S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13.json": (
        fails("sentinel1-grd", RADAR)
    ),
    "sentinel1/sentinel1__S1B_20161121_12SYJ_ASC.json": chips(S1, "gamma0_vv", 441),
    "sentinel1/stac-geoparquet__sentinel-1-rtc-pc.json": chips(S1, "vv", 5350, 9379, 9266, 9184),
    # -- sentinel2: 10980 px are 42 chips, and 228 px of a 43rd
    "sentinel2/odc-stac__S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json": chips(
        S2, "B02", 1764
    ),
    "sentinel2/odc-stac__site1-20200606-tall-strip-africa.geojson": chips(S2, "B02", 1764, items=9),
    # only WVP and SCL have a grid, and no asset a CRS
    "sentinel2/pystac__item.json": fails(S2, NO_GRID),
    "sentinel2/pystac__raster-sentinel2-example.json": chips(S2, "B02", 1764),
    "sentinel2/raster-vision__item_collection.json": chips(S2, "blue", 1764, items=3),
    "sentinel2/rio-tiler-pds__S2A_31NBJ_20190524_0_L2A.json": chips(S2, "B02", 1764),
    "sentinel2/stac-geoparquet__sentinel-2-l2a-pc.json": chips(S2, "B02", 1764, items=4),
    # Level-1C is no Level-2A: no scene classification, and so no source
    "sentinel2/stactools-sentinel2__S2A_MSIL1C_20200717T221941_R029_T01LAC_"
    "20200717T234135.SAFE.json": chips("sentinel-2a", "blue", 1764),
    **{
        f"sentinel2/stactools-sentinel2__{name}.json": chips(S2, "blue", 1764)
        for name in (
            "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE",
            "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157.SAFE",
            "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCS_20230626T022157.SAFE",
            "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE",
            "S2A_OPER_MSI_L2A_TL_2APS_20240108T121951_A044635_T34VEL",
            "S2A_OPER_MSI_L2A_TL_SGS__20181231T210250_A018414_T10SDG",
            "S2A_OPER_MSI_L2A_TL_VGS1_20220401T110010_A035382_T34LBQ",
            "S2A_T60CWS_20240109T203651_L2A",
            "S2B_MSIL2A_20200914T231559_N0500_R087_T01VCG_20230315T224658",
            "S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126.SAFE",
        )
    },
    # transforms and shapes, but proj:epsg was lost on the way
    "sentinel2/terrakit__items.json": fails(S2, "MissingMetadata proj:code", items=14),
}


def outcome_of(path: Path) -> Outcome:
    """What a file's items come to, as the table would have it."""
    platforms, counts, references, errors = [], [], set(), set()
    for item in load_items(path):
        source = find_source(item)
        assert item_datetime(item).utcoffset() is not None
        platforms.append(platform_name(item, source))
        try:
            reference = reference_asset(item, source=source)
        except ItemError as error:
            errors.add(f"{type(error).__name__} {error.field}")
        else:
            height, width = reference.geobox.shape
            counts.append((height // CHIP_SIZE) * (width // CHIP_SIZE))
            references.add(reference.key)
    assert len(set(platforms)) == 1
    return Outcome(
        platforms[0],
        (counts[0] if len(set(counts)) == 1 else tuple(counts)) if counts else None,
        references.pop() if references else None,
        errors.pop() if errors else None,
        len(platforms),
    )


def test_every_file_is_in_the_table(shared_data: Path) -> None:
    folder = shared_data / "items"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert files == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_items_come_to_what_the_table_says(shared_data: Path, name: str) -> None:
    assert outcome_of(shared_data / "items" / name) == TABLE[name]


@pytest.mark.parametrize("name", [n for n, outcome in TABLE.items() if outcome.error])
def test_errors_name_the_item_and_the_remedy(shared_data: Path, name: str) -> None:
    for item in load_items(shared_data / "items" / name):
        with pytest.raises(ItemError) as caught:
            reference_asset(item, source=find_source(item))
        message = str(caught.value)
        assert caught.value.item_id == item.id
        assert repr(item.id) in message
        assert caught.value.field in message or caught.value.field == "assets"
        remedies = ("open_files=True", "assets=[...]")
        assert any(remedy in message for remedy in remedies)


@pytest.mark.parametrize("name", [n for n, o in TABLE.items() if " proj:" in (o.error or "")])
def test_an_unknown_grid_leaves_files_to_open(shared_data: Path, name: str) -> None:
    for item in load_items(shared_data / "items" / name):
        first = reference_candidates(item, source=find_source(item))[0]
        assert first.geobox is None
        assert first.problem is not None


@pytest.mark.parametrize("name", TABLE)
def test_no_signature_and_no_change_comes_in(shared_data: Path, name: str) -> None:
    for item in load_items(shared_data / "items" / name):
        before = item.to_dict(transform_hrefs=False)
        assets = read_assets(item)
        assert item.to_dict(transform_hrefs=False) == before
        assert list(assets) == list(item.assets)
        for asset in assets.values():
            assert "sig=" not in asset.href


def test_the_finest_band_of_a_real_scene_is_the_reference_and_not_its_rendering(
    shared_data: Path,
) -> None:
    (item,) = load_items(shared_data / "items/awkward/rustac-py__10300100DB064000.json")
    assets = read_assets(item)

    assert assets["visual"].geobox.resolution.x < assets["pan_analytic"].geobox.resolution.x
    assert reference_asset(item, assets).key == "pan_analytic"
    assert reference_asset(item, assets, names=["visual"]).key == "visual"


def test_a_rotated_grid_covers_its_bbox(shared_data: Path) -> None:
    path = shared_data / "items/awkward/rio-tiler__stac-proj-titiler-issue1074.json"
    (item,) = load_items(path)

    geobox = reference_asset(item).geobox

    expected = item.properties["proj:bbox"]
    assert tuple(geobox.boundingbox) == pytest.approx(tuple(expected), abs=1e-9)
    assert geobox.affine.b != 0


def test_a_sinusoidal_grid_lies_where_its_file_does(shared_data: Path) -> None:
    (item,) = load_items(shared_data / "items/modis/modis__MOD09A1.A2022033.h19v10.061.json")

    geobox = reference_asset(item, source=find_source(item)).geobox
    to_wgs84 = pyproj.Transformer.from_crs(geobox.crs.to_wkt(), "EPSG:4326", always_xy=True)
    left, bottom, right, top = geobox.boundingbox

    # the tile's edges, from the item's own bbox: it is widest at 20 degrees south
    assert to_wgs84.transform(left, top) == pytest.approx((10.154266, -10), abs=1e-5)
    assert to_wgs84.transform(right, bottom) == pytest.approx((21.283555, -20), abs=1e-5)


def test_local_scenes_agree_with_their_files(shared_data: Path) -> None:
    scenes = [
        "sentinel2/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.local.json",
        "landsat/LC08_L2SP_008059_20191201/LC08_L2SP_008059_20191201_20200825_02_T1.local.json",
        "landsat/LC08_L2SR_099120_20191129/LC08_L2SR_099120_20191129_20201016_02_T2.local.json",
    ]
    for scene in scenes:
        (item,) = load_items(shared_data / scene)
        reference = reference_asset(item, source=find_source(item))
        with rasterio.open(reference.href) as file:
            assert file.shape == reference.geobox.shape.yx
            assert file.transform.almost_equals(reference.geobox.affine)
            assert file.crs.to_epsg() == reference.geobox.crs.epsg
