"""Which assets are chipped when nobody chooses."""

from __future__ import annotations

from datetime import UTC, datetime

import pystac
import pytest

from stacchip.items import read_assets
from stacchip.items.media import is_raster_file, read_roles

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(**assets: pystac.Asset) -> pystac.Item:
    made = pystac.Item("scene", None, None, datetime(2020, 2, 19, tzinfo=UTC), {})
    for key, asset in assets.items():
        made.add_asset(key, asset)
    return made


@pytest.mark.parametrize(
    ("media_type", "href", "expected"),
    [
        (COG, "B04", True),
        ("image/tiff; application=geotiff", "B04.tif", True),
        ("IMAGE/TIFF", "B04.tif", True),
        ("image/vnd.stac.geotiff; cloud-optimized=true", "B4.TIF", True),
        ("image/x.geotiff", "B4", True),
        ("image/jp2", "B04.jp2", True),
        (None, "red.tif", True),
        (None, "RED.TIF", True),
        (None, "https://example.com/red.tiff?version=2#a", True),
        (None, "http://[::1/red.tif?version=2", True),  # no server; reading it is an error
        (None, "https://a\u2100b/red.hdf", False),
        ("application/octet-stream", "s3://bucket/red.tif", True),
        ("binary/octet-stream", "s3://bucket/red.hdf", False),
        (None, "20201211_223832_CS2.EPH", False),
        (None, "https://example.com/tif", False),
        (None, "https://example.com/preview.png?image=red.tif", False),
        ("image/png", "red.tif", False),
        ("image/jpeg", "a.jpg", False),
        ("application/json", "a.json", False),
        ("application/xml", "a.xml", False),
        ("application/pdf", "a.pdf", False),
        ("application/x-hdf", "a.hdf", False),
        ("application/vnd+zarr", "a.zarr", False),
        ("application/geopackage+sqlite3", "mask.gpkg", False),
        ("text/plain", "MTL.txt", False),
    ],
)
def test_the_media_type_tells_and_the_name_where_there_is_none(
    media_type: str | None, href: str, expected: bool
) -> None:
    assert is_raster_file(pystac.Asset(href, media_type=media_type)) is expected


@pytest.mark.parametrize("role", ["thumbnail", "overview"])
def test_pictures_of_the_data_are_left_out_also_as_geotiff(role: str) -> None:
    made = item(red=pystac.Asset("a.tif"), preview=pystac.Asset("b.tif", roles=[role]))

    preview = read_assets(made)["preview"]

    assert not preview.is_raster
    assert preview.why_left_out == f"it is a picture of the data (role {role!r})"


@pytest.mark.parametrize(
    "roles", [["metadata", "cloud", "snow-ice"], ["visual"], ["data"], [], None]
)
def test_other_roles_do_not_leave_a_raster_out(roles: list[str] | None) -> None:
    assert read_assets(item(a=pystac.Asset("a.tif", roles=roles)))["a"].is_raster


def test_a_jpeg_2000_is_left_out_where_it_is_a_copy() -> None:
    assets = read_assets(
        item(
            **{
                "red": pystac.Asset("B04.tif"),
                "red-jp2": pystac.Asset("B04.jp2", media_type="image/jp2"),
                "nir-jp2": pystac.Asset("B08.jp2", media_type="image/jp2"),
            }
        )
    )

    assert assets["red-jp2"].why_left_out == "it is a JPEG 2000 copy of 'red'"
    assert assets["nir-jp2"].is_raster


def test_what_is_no_raster_has_neither_grid_nor_problem() -> None:
    thumbnail = read_assets(item(thumbnail=pystac.Asset("a.png", media_type="image/png")))[
        "thumbnail"
    ]

    assert thumbnail.geobox is None
    assert thumbnail.problem is None
    assert thumbnail.missing == ()
    assert "image/png" in thumbnail.why_left_out


def test_a_role_may_be_no_list() -> None:
    asset = pystac.Asset("a.tif")
    for said, roles in (("overview", ("overview",)), (5, ()), ([None, "data"], ("data",))):
        asset.roles = said
        assert read_roles(asset) == roles
