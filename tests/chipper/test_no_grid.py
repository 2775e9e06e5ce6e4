"""No chip is cut from a file whose pixels lie on no grid, whatever item and index say of it."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from stacchip.chipper import Chipper
from stacchip.errors import InvalidMetadata, UnsupportedRaster
from stacchip.index import gather_headers, write_index
from stacchip.indexer import ChipIndexer, NoStatsChipIndexer
from stacchip.stream import ChipStream


@pytest.fixture
def radar(tmp_path):
    """An item that claims a grid for an image of ground control points."""
    path = tmp_path / "vv.tif"
    points = [
        GroundControlPoint(row, col, 20 - col * 1e-3 - row * 4e-4, 50 + row * 5e-4)
        for row in (0, 255)
        for col in (0, 128, 255)
    ]
    with rasterio.open(
        path, "w", driver="GTiff", height=256, width=256, count=1, dtype="uint16", gcps=points,
        crs="EPSG:4326",
    ) as out:  # fmt: skip
        out.write(np.ones((1, 256, 256), np.uint16))
    claim = {
        "proj:code": "EPSG:4326",
        "proj:shape": [256, 256],
        "proj:transform": [0.001, 0, 19.6, 0, -0.001, 50.2],
    }
    item = pystac.Item("scene", None, None, datetime(2024, 5, 1, tzinfo=UTC), claim)
    item.add_asset("vv", pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))
    return item


def require_refusal(error):
    assert "6 ground control points" in str(error)
    assert (error.item_id, error.asset) == ("scene", "vv")


def test_a_chip_is_refused(radar):
    chipper = Chipper(NoStatsChipIndexer(radar).create_index())
    with pytest.raises(UnsupportedRaster, match="no grid") as caught:
        chipper.cut(0, 0)
    require_refusal(caught.value)


def test_a_stream_is_refused(radar):
    with pytest.raises(UnsupportedRaster, match="no grid") as caught:
        list(ChipStream(NoStatsChipIndexer(radar).create_index()))
    require_refusal(caught.value)


def test_a_header_in_the_index_is_refused(radar, tmp_path):
    headers = gather_headers([radar])
    path = tmp_path / "index"
    write_index(NoStatsChipIndexer(radar).create_index(), path, headers=headers)
    (tmp_path / "vv.tif").unlink()
    with pytest.raises(UnsupportedRaster, match="no grid") as caught:
        Chipper(path).cut(0, 0)
    require_refusal(caught.value)


def test_opening_the_file_for_its_grid_is_refused(radar):
    with pytest.raises(UnsupportedRaster, match="no grid") as caught:
        ChipIndexer(radar, open_files=True).grid  # noqa: B018 - it is found on first use
    require_refusal(caught.value)


def test_an_index_of_an_item_that_contradicts_itself_is_cut_where_the_file_lies(tmp_path):
    """Earlier versions kept no grid, and believed a grid that the item's bbox contradicts."""
    path = tmp_path / "red.tif"
    pixels = np.arange(256 * 256, dtype=np.uint16).reshape(1, 256, 256)
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 4200000)
    with rasterio.open(
        path, "w", driver="GTiff", height=256, width=256, count=1, dtype="uint16",
        crs="EPSG:32629", transform=transform,
    ) as out:  # fmt: skip
        out.write(pixels)
    grid = {
        "proj:code": "EPSG:32630",
        "proj:shape": [256, 256],
        "proj:transform": list(transform)[:6],
    }
    made = pystac.Item("scene", None, None, datetime(2024, 5, 1, tzinfo=UTC), {})
    made.add_asset("red", pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))
    table = NoStatsChipIndexer(made).create_index()
    item = made.clone()
    item.properties.update(grid)
    item.bbox = [-9.0, 37.9, -8.9, 38.0]
    with pytest.raises(InvalidMetadata, match="not of one place"):
        NoStatsChipIndexer(item).create_index()

    chip = Chipper(table.replace_schema_metadata(None), items=[item]).cut(0, 0)

    assert np.array_equal(chip.array, pixels)
    assert chip.geobox.affine == transform


def test_a_file_with_keys_but_without_a_crs_lies_where_its_item_says(tmp_path):
    """GDAL names the CRS of such a file LOCAL_CS["unnamed"], which contradicts nothing."""
    path = tmp_path / "red.tif"
    pixels = np.arange(256 * 256, dtype=np.uint16).reshape(1, 256, 256)
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 4200000)
    with rasterio.open(
        path, "w", driver="GTiff", height=256, width=256, count=1, dtype="uint16",
        transform=transform,
    ) as out:  # fmt: skip
        out.write(pixels)
        out.update_tags(AREA_OR_POINT="Point")
    grid = {
        "proj:code": "EPSG:32629",
        "proj:shape": [256, 256],
        "proj:transform": list(transform)[:6],
    }
    item = pystac.Item("scene", None, None, datetime(2024, 5, 1, tzinfo=UTC), grid)
    item.add_asset("red", pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))

    with rasterio.open(path) as dataset:
        assert dataset.crs is not None
    assert np.array_equal(Chipper(NoStatsChipIndexer(item)).cut(0, 0).array, pixels)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        (
            "vv.tif.aux.xml",
            "<PAMDataset><GCPList/></PAMDataset>",
            "ground control points in vv.tif",
        ),
        ("vv.tif.aux.xml", '<Metadata domain="RPC"/>', "RPCs. in vv.tif.aux.xml"),
        ("vv_RPC.TXT", "LINE_OFF: 1", "RPCs. in vv_RPC.TXT"),
        ("vv.tif.aux.xml", "<PAMDataset/>", None),
    ],
)
def test_what_locates_a_local_file_from_beside_it_is_seen(radar, name, text, why):
    path = Path(radar.assets["vv"].href)
    profile = {"driver": "GTiff", "height": 256, "width": 256, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", **profile) as out:
        out.write(np.ones((1, 256, 256), np.uint16))
    (path.parent / name).write_text(text)
    with nullcontext() if why is None else pytest.raises(UnsupportedRaster, match=why):
        assert len(Chipper(NoStatsChipIndexer(radar).create_index()).cut(0, 0).bands) == 1
