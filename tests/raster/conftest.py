"""A storage, and small rasters written by GDAL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import rasterio
from rasterio.transform import from_origin

from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

CRS = "EPSG:32629"
TRANSFORM = from_origin(600000, 4000000, 10, 10)


@pytest.fixture(scope="session")
def storage() -> Storage:
    return Storage()


@pytest.fixture
def write_tiff(tmp_path: Path) -> Callable[..., str]:
    """Write an array (band, y, x) with GDAL, and give the file's path."""

    def write(array: NDArray[Any], name: str = "raster.tif", **options: Any) -> str:
        path = str(tmp_path / name)
        profile = {
            "driver": "GTiff",
            "count": array.shape[0],
            "height": array.shape[1],
            "width": array.shape[2],
            "dtype": array.dtype.name,
            "crs": CRS,
            "transform": TRANSFORM,
        }
        with rasterio.open(path, "w", **{**profile, **options}) as dataset:
            dataset.write(array)
        return path

    return write
