"""Every call into GDAL runs under our settings: no sidecar file is looked for, or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from stacchip.grid.window import Window
from stacchip.raster.file_bytes import BrokenTiffError
from stacchip.raster.gdal import Conversion, GdalFile, ImageTags, convert_to_cog, describe_image
from stacchip.raster.gdal.cog import write_cog
from stacchip.raster.gdal.environment import gdal_environment
from stacchip.storage import Storage

NAMES = ("GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_PAM_ENABLED")
OURS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}

# samples of a form that GDAL does not know
ODD = ImageTags(
    samples=1, bits=8, sample_format=9, photometric=1, extra_samples=(), byteorder="<", geo=(),
    nodata=b"", metadata=b"",
)  # fmt: skip


def settings() -> dict[str, object]:
    """What GDAL is set to at this moment, by name."""
    inside = rasterio.env.getenv() if rasterio.env.hasenv() else {}
    return {name: inside.get(name) for name in NAMES}


class Tags(Mapping[str, str]):
    """The tags of a file, which remember the settings they were read under."""

    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []

    def __getitem__(self, name: str) -> str:
        self.seen.append(settings())
        return "a tag"

    def __iter__(self):
        return iter(["TIFFTAG_IMAGEDESCRIPTION"])

    def __len__(self) -> int:
        return 1


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A raster whose left half is masked out by a file beside it."""
    path = tmp_path / "masked.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(
            path, "w", driver="GTiff", width=64, height=32, count=1, dtype="uint8",
            crs="EPSG:32631", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
        ) as out,
    ):  # fmt: skip
        out.write(np.full((1, 32, 64), 7, np.uint8))
        valid = np.full((32, 64), 255, np.uint8)
        valid[:, :32] = 0
        out.write_mask(valid)
    assert path.with_suffix(".tif.msk").exists()
    return path


def test_settings_last_as_long_as_the_block():
    before = settings()
    with gdal_environment(GDAL_TIFF_INTERNAL_MASK=True):
        assert settings() == OURS
        assert rasterio.env.getenv()["GDAL_TIFF_INTERNAL_MASK"] is True
    assert settings() == before


def test_ours_go_before_the_users():
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="FALSE", GDAL_PAM_ENABLED=True):
        with gdal_environment():
            assert settings() == OURS
        assert settings()["GDAL_PAM_ENABLED"] is True


def test_a_file_is_read_without_what_lies_beside_it(masked):
    valid = GdalFile(str(masked), Storage()).read_valid(Window(0, 0, 32, 64))
    assert valid.all()


@pytest.mark.parametrize("conversion", [Conversion(), Conversion(resolution=20.0)])
def test_a_file_is_converted_without_what_lies_beside_it(masked, tmp_path, conversion):
    target, alone = tmp_path / "converted.tif", tmp_path / "alone"
    convert_to_cog(masked, target, conversion)
    alone.mkdir()
    convert_to_cog(masked.rename(alone / "masked.tif"), alone / "converted.tif", conversion)
    assert target.read_bytes() == (alone / "converted.tif").read_bytes()


def test_a_cog_is_written_under_our_settings(tmp_path):
    tags = Tags()
    geobox = GeoBox.from_bbox((0, 0, 640, 320), "EPSG:32631", resolution=10)
    write_cog(tmp_path / "a.tif", np.ones(geobox.shape, np.uint8), geobox, tags=tags)  # type: ignore[arg-type]
    assert tags.seen == [OURS]


def test_what_gdal_says_is_the_same_each_time():
    with pytest.raises(BrokenTiffError) as first, gdal_environment():
        describe_image(ODD)
    with pytest.raises(BrokenTiffError) as second:
        describe_image(replace(ODD, samples=2))
    assert str(first.value) == str(second.value)
    assert "vsimem" not in str(first.value)
