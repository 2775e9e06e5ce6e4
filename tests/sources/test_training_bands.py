from __future__ import annotations

import pytest

from stacchip.errors import AssetNotFound, UsageError
from stacchip.sources import get_source
from stacchip.sources.training_bands import PLATFORMS, get_platform


def test_every_platform_is_a_source_whose_bands_it_has():
    for name, platform in PLATFORMS.items():
        source = get_source(name)
        assert set(platform.assets) <= set(source.bands), name
        if source.nodata is not None:
            assert platform.nodata == source.nodata


def test_bands_can_be_named_for_any_platform():
    chosen = get_platform("sentinel-2-l2a", ["nir", "scl"])
    assert (chosen.assets, chosen.gsd_m, chosen.nodata) == (("nir", "scl"), 10, 0)
    assert chosen.bands[0].wavelength_um == 0.842
    assert get_platform("somewhere", ["a:2", "a:1"]).assets == ("a",)


def test_an_unknown_platform_wants_its_bands_named():
    with pytest.raises(UsageError, match="--bands"):
        get_platform("somewhere")


@pytest.mark.parametrize("bands", [[], ["red", "red"]])
def test_no_band_and_one_band_twice_are_refused(bands):
    with pytest.raises(UsageError, match="once"):
        get_platform("naip", bands)


def test_bands_are_found_in_a_file_that_has_more():
    assert get_platform("linz").places_in([f"visual:{n}" for n in (1, 2, 3, 4)], item_id="a") == [
        0,
        1,
        2,
    ]


def test_a_file_with_too_few_bands_is_named():
    with pytest.raises(
        AssetNotFound, match="'image' of item 'm_1' has 3 bands, and no band 4"
    ) as caught:
        get_platform("naip").places_in([f"image:{n}" for n in (1, 2, 3)], item_id="m_1")
    assert (caught.value.item_id, caught.value.asset) == ("m_1", "image")
    with pytest.raises(AssetNotFound, match="has 1 bands"):
        get_platform("naip").places_in(["image"], item_id="m_1")
