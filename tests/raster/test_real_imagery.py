"""The real files: the same pixels as rasterio's, or an error that names file and block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from conftest import SHARED_DATA
from raster.pixels import as_rasterio, random_windows, same_bits
from stacchip.errors import CorruptBlock, NotARaster
from stacchip.raster import Window, open_reader, read_header

if TYPE_CHECKING:
    from stacchip.storage import Storage

FOLDERS = ("odd", "sentinel2", "landsat", "naip", "modis", "sentinel1", "linz")
RASTERS = {".tif", ".tiff", ".jp2", ".jpeg", ".ovr", ".msk"}
# what the fast path leaves to GDAL, and why; every other file must be fast
SLOW = {
    "odd/derived/rgb_jpeg_ycbcr.tif": "JPEG",
    "odd/derived/rgb_webp.tif": "WebP",
    "odd/derived/u16_lerc.tif": "LERC",
    "odd/derived/u16_lerc_zstd.tif": "LERC",
    "odd/cogeotiff/be_cog.tiff": "JPEG",
    "odd/cogeotiff/cog.tiff": "JPEG",
    "odd/cogeotiff/rgba8_strip.tiff": "WebP",
    "odd/cogeotiff/rgba8_tiled.tiff": "WebP",
    "odd/cogeotiff/sparse.tiff": "WebP",
    "linz/BK39_10000_0101.tiff": "LERC",
    "linz/BQ25_10000_0305.tiff": "LERC",
    "sentinel2/L2A_T19UDP_20170729_mixed/R20m/AOT.jp2": "no TIFF",
    "sentinel2/L2A_T19UDP_20170729_mixed/R20m/SCL.jp2": "no TIFF",
    "sentinel2/L2A_T19UDP_20170729_mixed/R10m/TCI.jp2": "no TIFF",
}
# no header to speak of: opening them is the error
NO_RASTER = {
    "odd/derived/empty_0byte.tif",
    "odd/derived/notatiff_html.tif",
    "odd/derived/truncated_header16.tif",
    *(
        f"odd/zero-or-1-byte/s1a-iw{i}-slc-hh-20141031t0959{a}-20141031t0959{b}-003072-003842-00{i}.tiff"
        for i, a, b in ((1, "31", "56"), (2, "32", "57"), (3, "33", "58"))
    ),
}
# some blocks are lost
BROKEN = {
    "odd/derived/B04_cog_truncated_60pct.tif",
    "odd/derived/truncated_half.tif",
    "odd/derived/u16_corrupt_centre_tile.tif",
}
# the valid pixels are in a file beside it, which we do not look for
MASKED_BESIDE = {"naip/hro_colorado_aerial/201404_13SED190110_201404_0x1500m_CL_1_extmask.tif"}


def find_rasters() -> list[str]:
    return sorted(
        str(path.relative_to(SHARED_DATA))
        for folder in FOLDERS
        for path in (SHARED_DATA / folder).rglob("*")
        if path.suffix.lower() in RASTERS
    )


ALL = find_rasters() or ["absent"]
SOUND = [name for name in ALL if name not in NO_RASTER | BROKEN]
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def test_every_listed_file_is_there(shared_data: Path) -> None:
    assert (set(SLOW) | NO_RASTER | BROKEN | MASKED_BESIDE) <= set(ALL)
    assert len(ALL) > 90


@pytest.mark.parametrize("name", SOUND)
def test_pixels_equal_rasterio(name: str, shared_data: Path, storage: Storage) -> None:
    path = str(shared_data / name)
    reader = open_reader(path, storage)
    with rasterio.open(path) as dataset:
        assert (reader.shape, reader.count) == (dataset.shape, dataset.count)
        assert reader.dtype == dataset.dtypes[0]
        assert repr(reader.nodata) == repr(dataset.nodata) or reader.nodata == dataset.nodata
        for window in random_windows(dataset.shape, 8, seed=len(name)):
            expected = dataset.read(window=as_rasterio(window))
            assert same_bits(reader.read(window), expected), window


@pytest.mark.parametrize("name", SOUND)
def test_the_fast_path_serves_all_but_the_codecs_it_does_not_know(
    name: str, shared_data: Path, storage: Storage
) -> None:
    reader = open_reader(str(shared_data / name), storage)
    if name in SLOW or name.endswith(".jpeg"):
        assert SLOW.get(name, "no TIFF") in (reader.why_unsupported or "")
    else:
        assert reader.why_unsupported is None


@pytest.mark.parametrize("name", SOUND)
def test_georeferencing_equals_rasterio(name: str, shared_data: Path, storage: Storage) -> None:
    path = str(shared_data / name)
    reader = open_reader(path, storage)
    found = reader.header or reader
    with rasterio.open(path) as dataset:
        assert (found.transform or Affine.identity()) == dataset.transform  # type: ignore[union-attr]
        crs = CRS.from_user_input(found.crs) if found.crs else None  # type: ignore[union-attr]
        assert crs == (dataset.crs or None)
        if reader.geobox is not None:
            assert reader.geobox.affine == dataset.transform
            assert reader.geobox.shape.yx == dataset.shape
            assert reader.geobox.crs.proj.to_epsg() == dataset.crs.to_epsg()


@pytest.mark.parametrize("name", sorted(set(SOUND) - MASKED_BESIDE))
def test_valid_pixels_equal_rasterio(name: str, shared_data: Path, storage: Storage) -> None:
    path = str(shared_data / name)
    reader = open_reader(path, storage)
    with rasterio.open(path) as dataset:
        for window in random_windows(dataset.shape, 2, seed=1):
            expected = dataset.dataset_mask(window=as_rasterio(window)) != 0
            if reader.dtype.kind == "f":  # and a NaN is never valid, which GDAL leaves open
                expected &= ~np.isnan(dataset.read(window=as_rasterio(window))).all(axis=0)
            assert np.array_equal(reader.read_valid(window), expected)


@pytest.mark.parametrize("name", sorted(NO_RASTER))
@pytest.mark.parametrize("force", [None, "gdal"])
def test_what_is_no_raster_says_so(
    name: str, force: str | None, shared_data: Path, storage: Storage
) -> None:
    with pytest.raises(NotARaster, match=Path(name).name):
        open_reader(str(shared_data / name), storage, force=force)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(BROKEN))
@pytest.mark.parametrize("force", ["fast", "gdal"])
def test_each_block_of_a_broken_file_gives_its_pixels_or_names_itself(
    name: str, force: str, shared_data: Path, storage: Storage
) -> None:
    path = str(shared_data / name)
    reader = open_reader(path, storage, force=force)  # type: ignore[arg-type]
    height, width = read_header(storage, path).block_shape
    sound = broken = 0
    with rasterio.open(path) as dataset:
        for row in range(-(-reader.shape[0] // height)):
            for col in range(-(-reader.shape[1] // width)):
                window = Window(row * height, col * width, height, width).clip(reader.shape)
                assert window is not None
                try:
                    expected = dataset.read(window=as_rasterio(window))
                except rasterio.errors.RasterioIOError:
                    with pytest.raises(CorruptBlock, match=Path(name).name) as caught:
                        reader.read(window)
                    assert caught.value.block == (0, row, col)
                    assert caught.value.href == path
                    broken += 1
                else:
                    assert same_bits(reader.read(window), expected)
                    sound += 1
    assert sound
    assert broken


def test_sparse_20480_px_raster_costs_nothing_where_it_is_empty(
    shared_data: Path, storage: Storage
) -> None:
    header = read_header(storage, str(shared_data / "odd/cogeotiff/sparse.tiff"))
    assert header.shape == (20480, 20480)
    assert (header.block_lengths == 0).mean() > 0.9
