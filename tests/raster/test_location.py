"""What locates the pixels of a file, whichever reader opens it; the items' claims do not count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from raster.handmade import strip_tags, strips_of, write_handmade
from stacchip.errors import UnsupportedRaster
from stacchip.grid.geobox import make_geobox
from stacchip.grid.transform import compose
from stacchip.raster.gdal.convert import Conversion, convert_to_cog
from stacchip.raster.header import Header
from stacchip.raster.parse import read_header
from stacchip.raster.placement import locate
from stacchip.raster.reader import open_reader

# rasterio warns of files that are meant to lie nowhere
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

PIXELS = np.arange(32 * 32, dtype=np.uint16).reshape(1, 32, 32)
UTM = Affine(10, 0, 600000, 0, -10, 4000000)
CLAIM = make_geobox("EPSG:32629", UTM, (32, 32))
POINTS = [
    GroundControlPoint(row, col, -8 + col * 1e-4 + row * 3e-5, 38 - row * 1e-4 + col * 2e-5)
    for row in (0, 16, 31)
    for col in (0, 31)
]
ONES = [1.0] * 20
POLYNOMIALS = RPC(
    err_bias=0, err_rand=0, height_off=0, height_scale=1, lat_off=38, lat_scale=1, long_off=-8,
    long_scale=1, line_off=0, line_scale=1, samp_off=0, samp_scale=1, line_den_coeff=ONES,
    line_num_coeff=ONES, samp_den_coeff=ONES, samp_num_coeff=ONES,
)  # fmt: skip
NOWHERE: dict[str, Any] = {"crs": None, "transform": None}
NO_GRID = {
    "6 ground control points": {"gcps": POINTS, "crs": "EPSG:4326", "transform": None},
    "1 ground control point": {"gcps": POINTS[:1], "crs": "EPSG:4326", "transform": None},
    "rational polynomials (RPCs)": {**NOWHERE, "rpcs": POLYNOMIALS},
}

# column, row, 0, x, y, z of three points
TIES = [0, 0, 0, 12, 50, 0, 31, 0, 0, 12.4, 50.1, 0, 0, 31, 0, 11.9, 49.6, 0]
IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]


@pytest.fixture
def write_arrays(write_tiff):
    """Write a file that names arrays of coordinates, as GDAL keeps them."""

    def write(**options: Any) -> str:
        path = write_tiff(PIXELS, **{**NOWHERE, **options})
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(ns="GEOLOCATION", X_DATASET="lon.tif", Y_DATASET="lat.tif")
        return path

    return write


@pytest.mark.parametrize("force", ["fast", "gdal"])
@pytest.mark.parametrize("why", NO_GRID)
def test_no_claim_places_pixels_without_a_grid(write_tiff, storage, force, why) -> None:
    path = write_tiff(PIXELS, **NO_GRID[why])
    reader = open_reader(path, storage, force=force)
    assert (reader.geobox, reader.why_no_grid) == (None, why)
    with pytest.raises(UnsupportedRaster, match="has no grid") as caught:
        locate(reader, CLAIM)
    assert why in str(caught.value)
    assert caught.value.href == path


@pytest.mark.parametrize("force", ["fast", "gdal"])
def test_arrays_of_coordinates_are_no_grid(write_arrays, storage, force) -> None:
    reader = open_reader(write_arrays(), storage, force=force)
    assert reader.why_no_grid == "geolocation arrays"


@pytest.mark.parametrize("force", ["fast", "gdal"])
@pytest.mark.parametrize(
    "numbers", [Affine.identity(), Affine(1, 0, 0, 0, -1, 0), Affine(1, 0, -0.5, 0, -1, 32.5)]
)
def test_pixel_numbers_beside_polynomials_are_no_transform(
    write_tiff, storage, force, numbers
) -> None:
    path = write_tiff(PIXELS, crs="EPSG:4326", transform=numbers, rpcs=POLYNOMIALS)
    reader = open_reader(path, storage, force=force)
    assert reader.geobox is None
    assert reader.why_no_grid == "rational polynomials (RPCs)"


@pytest.mark.parametrize("force", ["fast", "gdal"])
def test_an_orthorectified_file_may_keep_its_polynomials(write_tiff, storage, force) -> None:
    reader = open_reader(write_tiff(PIXELS, rpcs=POLYNOMIALS), storage, force=force)
    assert reader.why_no_grid is None
    assert locate(reader) == CLAIM


@pytest.mark.parametrize("force", ["fast", "gdal"])
@pytest.mark.parametrize("identity", [None, Affine.identity()])
def test_a_file_that_says_nothing_of_its_place_lies_where_it_is_claimed_to(
    write_tiff, storage, force, identity
) -> None:
    reader = open_reader(write_tiff(PIXELS, crs=None, transform=identity), storage, force=force)
    assert (reader.geobox, reader.why_no_grid) == (None, None)
    assert locate(reader, None, CLAIM) == CLAIM
    assert locate(reader, make_geobox("EPSG:32629", UTM, (32, 33))) is None


@pytest.mark.parametrize("force", ["fast", "gdal"])
@pytest.mark.parametrize(
    ("part", "other"),
    [
        ({"transform": None}, make_geobox("EPSG:32630", UTM, (32, 32))),
        (
            {"crs": None},
            make_geobox("EPSG:32629", compose(UTM, Affine.translation(3, 0)), (32, 32)),
        ),
    ],
)
def test_a_claim_agrees_with_the_half_that_a_file_has(
    write_tiff, storage, force, part, other
) -> None:
    reader = open_reader(write_tiff(PIXELS, **part), storage, force=force)
    assert reader.geobox is None
    assert locate(reader, other) is None
    assert locate(reader, other, CLAIM) == CLAIM


@pytest.mark.parametrize("force", ["fast", "gdal"])
@pytest.mark.parametrize("crs", ["+proj=longlat +R=1737400", "IAU_2015:49910"])
def test_a_file_of_another_body_is_refused(write_tiff, storage, force, crs) -> None:
    reader = open_reader(write_tiff(PIXELS, crs=crs), storage, force=force)
    with pytest.raises(UnsupportedRaster, match="another body than the Earth"):
        locate(reader, CLAIM)


def test_a_kept_header_says_what_locates_its_file(write_tiff, storage) -> None:
    path = write_tiff(PIXELS, **NO_GRID["6 ground control points"])
    kept = Header.from_record(read_header(storage, path).to_record())
    assert kept.why_no_grid == "6 ground control points"


def test_a_header_of_an_earlier_version_is_completed_from_its_file(write_tiff, storage) -> None:
    path = write_tiff(PIXELS, **NO_GRID["6 ground control points"])
    record = read_header(storage, path).to_record()
    del record["located_by"]
    reader = open_reader(path, storage, header=Header.from_record(record))
    assert reader.why_no_grid == "6 ground control points"


def test_a_header_of_an_earlier_version_that_has_a_transform_needs_no_read(
    write_tiff, storage
) -> None:
    header = replace(read_header(storage, write_tiff(PIXELS)), located_by=None)
    assert open_reader("/nowhere.tif", storage, header=header).geobox == CLAIM


def test_a_file_without_a_grid_is_not_converted(write_tiff, tmp_path) -> None:
    path = tmp_path / "raster.tif"
    write_tiff(PIXELS, path.name, **NO_GRID["6 ground control points"])
    with pytest.raises(UnsupportedRaster, match="only 6 ground control points"):
        convert_to_cog(path, tmp_path / "cog.tif", Conversion())


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    ("why", "tags"),
    [
        ("3 ground control points", {"t33550": None, "t33922": (12, TIES)}),
        ("3 ground control points", {"t33550": (12, [0, 0, 0]), "t33922": (12, TIES)}),
        (
            "3 ground control points",
            {"t33550": None, "t33922": (12, TIES), "t34264": (12, IDENTITY)},
        ),
        (None, {"t33922": (12, [*TIES[:3], 600000, 4000000, 0, *TIES[6:]])}),  # the first counts
        (None, {"t33550": None, "t33922": (12, [0, 0, 0, 0, 0, 0])}),
        (None, {"t33550": None, "t33922": None}),
    ],
)
def test_tie_points_are_control_points_unless_they_have_a_scale(
    tmp_path, storage, byteorder, why, tags
) -> None:
    values = {
        name: None if pair is None else (pair[0], [float(each) for each in pair[1]])
        for name, pair in tags.items()
    }
    path = tmp_path / "ties.tif"
    pixels = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    write_handmade(
        path, strip_tags((32, 32), 32, **values), strips_of(pixels, 32), byteorder=byteorder
    )
    assert read_header(storage, str(path)).why_no_grid == why
