"""Bands of training chips, and where they are in a file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("name", PLATFORMS)
def test_bands_have_one_name_each_and_wavelengths_in_micrometres(name):
    bands = PLATFORMS[name].bands
    assert len({band.name for band in bands}) == len(bands)
    assert len({(band.asset, band.number) for band in bands}) == len(bands)
    for band in bands:
        assert band.wavelength_um is not None
        assert 0.4 < band.wavelength_um < 5, "nanometres?"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sentinel-2-l2a", (2, 1, 0)),
        ("landsat-c2l2-sr", (0, 1, 2)),
        ("naip", (0, 1, 2)),
        ("linz", (0, 1, 2)),
        ("sentinel-1-rtc", None),
        ("modis", None),
    ],
)
def test_red_green_and_blue_are_found_by_name(name, expected):
    assert get_platform(name).rgb_indices == expected


@settings(deadline=None)
@given(st.sampled_from(sorted(PLATFORMS)), st.randoms())
def test_bands_are_found_in_any_order_of_a_chips_bands(name, random):
    platform = get_platform(name)
    found = [
        f"{band.asset}:{band.number}" if name in ("naip", "linz") else band.asset
        for band in platform.bands
    ]
    found += ["other", "another:7"]
    random.shuffle(found)
    places = platform.places_in(found, item_id="a")
    assert [found[place].partition(":")[0] for place in places] == [
        band.asset for band in platform.bands
    ]
    assert len(set(places)) == len(platform.bands)


def test_the_first_band_of_an_asset_may_stand_without_its_number():
    bands = get_platform("mine", ["a", "b:1", "b:2"])
    assert bands.places_in(["b:2", "a", "b:1"], item_id="i") == [1, 2, 0]
    with pytest.raises(AssetNotFound, match="'b' of item 'i' has 1 bands, and no band 2"):
        bands.places_in(["a", "b"], item_id="i")


@pytest.mark.parametrize(
    ("name", "band"),
    [
        ("a:1", ("a", 1)),
        ("a:12", ("a", 12)),
        ("a:0", ("a:0", 1)),
        ("a:b", ("a:b", 1)),
        ("a:b:2", ("a:b", 2)),
    ],
)
def test_a_band_is_named_by_its_asset_and_number(name, band):
    (found,) = get_platform("mine", [name]).bands
    assert (found.asset, found.number, found.name) == (*band, name)


def test_an_unknown_platform_has_the_nodata_of_its_source():
    assert get_platform("ga_ls_ard_3", ["nbart_red"]).nodata == -999
    assert get_platform("nowhere", ["red"]).nodata is None
