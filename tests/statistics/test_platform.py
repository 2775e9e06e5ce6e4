from __future__ import annotations

import numpy as np
import pytest
import yaml

from stacchip.errors import IndexFormatError, UsageError
from stacchip.sources.training_bands import get_platform
from stacchip.statistics import Part, PlatformStatistics, make_report, write_yaml


def radar(seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).gamma(0.5, 0.2, (5, 2, 12, 12)).astype(np.float32)
    pixels[0, 0, :4] = -32768
    pixels[1, 1, :, 3] = np.nan
    return pixels


def reflectance(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 9000, (5, 6, 32, 32)).astype(np.uint16)


def test_nodata_of_the_platform_and_nan_do_not_count():
    pixels = radar()
    statistics = PlatformStatistics(get_platform("sentinel-1-rtc"), "float32")
    statistics.add(pixels)
    for number, band in enumerate(statistics.bands):
        values = pixels[:, number].astype(np.float64)
        values = values[~np.isnan(values) & (values != -32768)]
        assert band.moments.count == len(values) < pixels[:, number].size
        assert band.moments.mean == pytest.approx(values.mean(), rel=1e-9)
        assert band.moments.std == pytest.approx(values.std(), rel=1e-9)
        assert (band.moments.minimum, band.moments.maximum) == (values.min(), values.max())


def test_nodata_that_a_writer_rounded_does_not_count():
    pixels = radar()
    pixels[0, 0, 0] = -32768.004  # the neighbour of -32768 among float32
    statistics = PlatformStatistics(get_platform("sentinel-1-rtc"), "float32")
    statistics.add(pixels)
    assert statistics.bands[0].moments.minimum > -32768


def test_given_validity_alone_decides_what_counts():
    pixels = reflectance()
    valid = np.random.default_rng(1).random(pixels.shape) < 0.5
    statistics = PlatformStatistics(get_platform("landsat-c2l2-sr"), "uint16")
    statistics.add(pixels, valid)
    assert statistics.bands[2].moments.count == valid[:, 2].sum()
    assert statistics.bands[2].moments.minimum == pixels[:, 2][valid[:, 2]].min()


@pytest.mark.parametrize(
    ("platform", "make", "dtype"),
    [("sentinel-1-rtc", radar, "float32"), ("landsat-c2l2-sr", reflectance, "uint16")],
)
def test_shards_that_went_through_the_disk_merge_to_the_whole(platform, make, dtype):
    whole, parts = (PlatformStatistics(get_platform(platform), dtype) for _ in range(2))
    for seed in range(3):
        whole.add(make(seed))
        shard = PlatformStatistics(get_platform(platform), dtype)
        shard.add(make(seed))
        parts.merge(PlatformStatistics.from_bytes(shard.to_bytes()))
    assert parts.chips == whole.chips == 15
    for ours, theirs in zip(parts.bands, whole.bands, strict=True):
        assert ours.moments.count == theirs.moments.count
        assert ours.moments.mean == pytest.approx(theirs.moments.mean, rel=1e-12)
        assert ours.moments.std == pytest.approx(theirs.moments.std, rel=1e-12)
        # a sketch keeps all of so few values
        assert ours.percentile([1, 50, 99]) == theirs.percentile([1, 50, 99])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_statistics_of_nothing_keep_what_they_are_a_part_of(dtype):
    empty = PlatformStatistics(get_platform("naip"), dtype)
    assert PlatformStatistics.from_bytes(empty.to_bytes()).part is None
    empty.part, empty.measured = Part(2, 3, ("linz", "naip")), {"index": "a", "max_cloud": None}
    again = PlatformStatistics.from_bytes(empty.to_bytes())
    assert (again.part, again.measured, again.chips) == (empty.part, empty.measured, 0)
    assert [band.moments for band in again.bands] == [band.moments for band in empty.bands]


def test_whole_numbers_in_cubes_are_counted_and_others_refused():
    pixels = reflectance()
    counted = PlatformStatistics(get_platform("landsat-c2l2-sr"), "uint16")
    counted.add(pixels.astype(np.float32))
    values = pixels[:, 1][pixels[:, 1] != 0]  # 0 is Landsat's fill
    assert counted.bands[1].percentile([50]) == [np.percentile(values, 50)]
    with pytest.raises(UsageError, match="uint16"):
        counted.add(pixels + 0.5)


def test_other_platforms_and_types_do_not_merge():
    one = PlatformStatistics(get_platform("naip"), "uint8")
    with pytest.raises(UsageError, match="linz"):
        one.merge(PlatformStatistics(get_platform("linz"), "uint8"))
    with pytest.raises(UsageError, match="uint16"):
        one.merge(PlatformStatistics(get_platform("naip"), "uint16"))
    with pytest.raises(UsageError, match="float32"):
        one.merge(PlatformStatistics(get_platform("naip"), "float32"))


def test_chips_of_another_form_are_refused():
    with pytest.raises(UsageError, match=r"\(chip, 4, y, x\)"):
        PlatformStatistics(get_platform("naip"), "uint8").add(np.zeros((2, 3, 8, 8), np.uint8))


@pytest.mark.parametrize("data", [b"", b"nothing", b"PK\x03\x04"])
def test_files_that_hold_something_else_are_refused(data):
    with pytest.raises(IndexFormatError, match=r"a\.npz"):
        PlatformStatistics.from_bytes(data, href="a.npz")


def test_the_report_is_yaml_in_the_form_of_clays_metadata():
    statistics = PlatformStatistics(get_platform("landsat-c2l2-sr"), "uint16")
    pixels = reflectance()
    statistics.add(pixels)
    report = yaml.safe_load(write_yaml(make_report([statistics], [2, 50, 99.5])))
    known = report["landsat-c2l2-sr"]
    assert known["band_order"] == ["red", "green", "blue", "nir08", "swir16", "swir22"]
    assert known["rgb_indices"] == [0, 1, 2]
    assert known["gsd"] == 30
    assert known["bands"]["wavelength"]["nir08"] == 0.86
    red = pixels[:, 0][pixels[:, 0] != 0].astype(float)
    assert known["bands"]["mean"]["red"] == pytest.approx(red.mean(), rel=1e-12)
    assert known["bands"]["std"]["red"] == pytest.approx(red.std(), rel=1e-12)
    assert known["bands"]["count"]["red"] == len(red)
    assert known["bands"]["percentiles"]["red"][99.5] == pytest.approx(np.percentile(red, 99.5))
    assert known["percentile_rank_error"] == 0


def test_a_band_without_pixels_has_no_numbers():
    empty = PlatformStatistics(get_platform("sentinel-1-rtc"), "float32")
    report = yaml.safe_load(write_yaml(make_report([empty])))["sentinel-1-rtc"]
    assert report["bands"]["mean"]["vv"] is None
    assert report["bands"]["percentiles"]["vh"][50] is None
    assert "rgb_indices" not in report


def test_percentiles_beyond_100_are_refused():
    with pytest.raises(UsageError, match="101"):
        make_report([], [101])
