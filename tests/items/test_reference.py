"""Which asset carries the chip grid."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pystac
import pytest

from stacchip.errors import AssetNotFound, InvalidMetadata, MissingMetadata
from stacchip.items import reference_asset, reference_candidates
from stacchip.sources import LANDSAT, SENTINEL_1, SENTINEL_2


def grid(pixel: float, **more: Any) -> dict[str, Any]:
    size = round(109800 / pixel)
    return {
        "proj:code": "EPSG:32629",
        "proj:shape": [size, size],
        "proj:transform": [pixel, 0, 499980, 0, -pixel, 3300000],
        **more,
    }


def item(**assets: dict[str, Any]) -> pystac.Item:
    made = pystac.Item("scene", None, None, datetime(2020, 2, 19, tzinfo=UTC), {})
    for key, fields in assets.items():
        roles = fields.pop("roles", None)
        made.add_asset(key, pystac.Asset(f"{key}.tif", roles=roles, extra_fields=fields))
    return made


def test_the_finest_band_is_chosen() -> None:
    made = item(coastal=grid(60), rededge1=grid(20), red=grid(10))

    assert reference_asset(made).key == "red"


def test_among_equals_the_sources_bands_go_before_others() -> None:
    made = item(AOT=grid(10), B03=grid(10), B02=grid(10))

    assert reference_asset(made, source=SENTINEL_2).key == "B02"
    assert reference_asset(made).key == "AOT"


def test_binary_noise_does_not_order_pixels_of_the_same_size() -> None:
    made = item(red=grid(10), nir=grid(10 * (1 - 1e-12)))

    assert reference_asset(made).key == "red"


def test_a_qa_band_does_not_carry_the_grid_unless_alone() -> None:
    finer = item(qa_pixel=grid(15), red=grid(30))
    alone = item(qa_pixel=grid(15), thumbnail=grid(1, roles=["thumbnail"]))

    assert reference_asset(finer, source=LANDSAT).key == "red"
    assert reference_asset(alone, source=LANDSAT).key == "qa_pixel"


def test_a_qa_band_with_a_grid_does_not_stand_in_for_bands_without() -> None:
    with pytest.raises(MissingMetadata):
        reference_asset(item(scl=grid(20), red={"gsd": 10}), source=SENTINEL_2)


def test_a_band_that_is_its_own_qa_band_carries_the_grid() -> None:
    assert reference_asset(item(vv=grid(10), dem=grid(30)), source=SENTINEL_1).key == "vv"


def test_a_finer_rendering_does_not_carry_the_grid() -> None:
    made = item(visual=grid(5, roles=["visual"]), red=grid(10), scl=grid(20))

    assert reference_asset(made, source=SENTINEL_2).key == "red"


def test_the_caller_may_name_any_asset() -> None:
    made = item(red=grid(10), scl=grid(20), preview=grid(320, roles=["overview"]))

    assert reference_asset(made, names=["scl"], source=SENTINEL_2).key == "scl"
    assert reference_asset(made, names=["preview"]).key == "preview"


def test_a_name_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(AssetNotFound, match=r"'scene'.*'nir'.*red, scl") as caught:
        reference_asset(item(red=grid(10), scl=grid(20)), names=["nir"])

    assert (caught.value.item_id, caught.value.asset) == ("scene", "nir")


def test_where_no_grid_is_known_the_finest_by_gsd_is_the_first_to_open() -> None:
    made = item(B01={"gsd": 60}, odd={}, B05={"gsd": 20}, B03={"gsd": 10}, B02={"gsd": 10})

    opened = [asset.key for asset in reference_candidates(made, source=SENTINEL_2)]

    assert opened == ["B02", "B03", "B05", "B01", "odd"]
    with pytest.raises(MissingMetadata) as caught:
        reference_asset(made, source=SENTINEL_2)
    assert caught.value.missing == ("proj:code", "proj:shape", "proj:transform")


def test_a_known_grid_goes_before_an_unknown_one() -> None:
    assert reference_asset(item(B02={"gsd": 10}, WVP=grid(20))).key == "WVP"


def test_an_item_without_rasters_says_why_each_is_none() -> None:
    made = item()
    made.add_asset("hdf", pystac.Asset("a.hdf", media_type="application/x-hdf"))

    with pytest.raises(MissingMetadata, match=r"'scene'.*hdf: .*application/x-hdf") as caught:
        reference_asset(made)
    assert caught.value.field == "assets"


def test_a_named_asset_that_is_no_raster_is_refused() -> None:
    made = item(red=grid(10))
    made.add_asset("hdf", pystac.Asset("a.hdf", media_type="application/x-hdf"))

    with pytest.raises(MissingMetadata, match="none of hdf is a GeoTIFF"):
        reference_asset(made, names=["hdf"])


def test_bands_in_two_crs_are_refused_with_both() -> None:
    made = item(red=grid(10), nir=grid(10) | {"proj:code": "EPSG:32701"})

    with pytest.raises(InvalidMetadata, match=r"'red'.*32629.*'nir'.*32701") as caught:
        reference_asset(made)
    assert caught.value.field == "proj:code"
    assert reference_asset(made, names=["nir"]).geobox.crs.epsg == 32701


def test_one_wrong_band_is_reported_and_the_others_serve(caplog: pytest.LogCaptureFixture) -> None:
    made = item(red=grid(10), aux=grid(10) | {"proj:shape": [0, 0]})

    with caplog.at_level(logging.WARNING, "stacchip"):
        assert reference_asset(made).key == "red"

    assert "'aux'" in caplog.text
    assert "proj:shape" in caplog.text


def test_where_all_are_wrong_the_contradiction_is_raised_and_not_what_is_missing() -> None:
    made = item(B02={}, red=grid(10) | {"proj:shape": [0, 0]})

    with pytest.raises(InvalidMetadata) as caught:
        reference_asset(made)
    assert caught.value.asset == "red"
