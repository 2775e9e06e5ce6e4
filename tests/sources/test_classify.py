"""Shares from QA pixels: the same as by a table of all values, and as the producers counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from stacchip.sources import (
    DEA_LANDSAT,
    LANDSAT,
    MODIS,
    MODIS_STATE,
    SENTINEL_1,
    SENTINEL_2,
    Source,
    classify_bits,
    classify_nothing,
    classify_values,
)

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = st.dictionaries(
    st.sampled_from(["cloud", "nodata", "snow"]),
    st.lists(st.integers(0, 15), max_size=8).map(tuple),
)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


@settings(deadline=None)
@given(CLASSES, st.sampled_from(["uint8", "uint16", "int16", "float32"]))
def test_values_count_exactly_where_a_table_of_values_says_so(
    classes: dict[str, tuple[int, ...]], dtype: str
) -> None:
    pixels = np.arange(256).astype(dtype).reshape(16, 16)

    shares = classify_values(pixels, classes, None)

    assert shares.keys() == classes.keys()
    for share, values in classes.items():
        assert shares[share].dtype == bool
        np.testing.assert_array_equal(shares[share], np.isin(pixels, values))


@settings(deadline=None)
@given(CLASSES, st.sampled_from(["uint16", "int32", "uint32"]))
def test_bits_count_where_one_is_set_and_the_pixel_is_no_fill(
    classes: dict[str, tuple[int, ...]], dtype: str
) -> None:
    pixels = np.arange(1 << 15, dtype=dtype).reshape(128, 256)
    table = (pixels[..., None].astype("int64") >> np.arange(16) & 1).astype(bool)

    shares = classify_bits(pixels, classes, None)

    filled = table[..., list(classes.get("nodata", ()))].any(-1)
    np.testing.assert_array_equal(shares["nodata"], filled)
    for share in classes.keys() - {"nodata"}:
        any_set = table[..., list(classes[share])].any(-1)
        np.testing.assert_array_equal(shares[share], any_set & ~filled)


def test_a_value_that_the_type_cannot_hold_counts_for_no_pixel() -> None:
    pixels = np.array([[0, 44, 255]], "uint8")  # 300 would wrap to 44

    shares = classify_values(pixels, {"cloud": (300,), "snow": (254, 255, 256)}, None)

    assert shares["cloud"].tolist() == [[False, False, False]]
    assert shares["snow"].tolist() == [[False, False, True]]


def test_declared_nodata_counts_beside_the_classes() -> None:
    pixels = np.array([[0, 4, 255]], "uint8")

    shares = classify_values(pixels, {"nodata": (0,), "cloud": (9,)}, 255)

    assert shares["nodata"].tolist() == [[True, False, True]]


def test_declared_nodata_empties_the_other_bits_too() -> None:
    pixels = np.array([[1 << 3, 0xFFFE]], "uint16")  # 0xFFFE: all bits but that of fill

    shares = classify_bits(pixels, LANDSAT.classes, 0xFFFE)

    assert shares["nodata"].tolist() == [[False, True]]
    assert shares["cloud"].tolist() == [[True, False]]


def test_a_landsat_pixel_without_findings_is_no_nodata() -> None:
    qa = np.zeros((1, 1), "uint16")

    shares = LANDSAT.classify(qa, LANDSAT.classes, LANDSAT.nodata)

    assert not any(flags.any() for flags in shares.values())


def test_scene_classification_counts_as_the_product_guide_says() -> None:
    scl = np.arange(12, dtype="uint8").reshape(1, 12)

    shares = SENTINEL_2.classify(scl, SENTINEL_2.classes, 0)

    counted = {share: np.flatnonzero(flags).tolist() for share, flags in shares.items()}
    assert counted == {
        "nodata": [0],
        "cloud": [1, 3, 8, 9, 10],
        "shadow": [3],
        "cirrus": [10],
        "snow": [11],
        "water": [6],
    }


def test_modis_takes_2_for_cloud_and_3_for_fill() -> None:
    # 0 is ideal, 1 less than ideal (the original took it for cloud), then fills of C6.1 and C6
    qc = np.array([[0, 1, 2, 3, 0xFFFFFFFF, 787410671, 0b1110]], "uint32")

    shares = MODIS.classify(qc, MODIS.classes, 0xFFFFFFFF)

    assert shares["cloud"].tolist() == [[False, False, True, False, False, False, True]]
    assert shares["nodata"].tolist() == [[False, False, False, True, True, True, False]]


@pytest.mark.parametrize("declared", [None, -32768, float("nan"), 0])
def test_radar_nodata_is_nan_minus_32768_and_what_is_declared(declared: float | None) -> None:
    vv = np.array([[0.25, np.nan, -32768, 0]], "float32")

    shares = SENTINEL_1.classify(vv, SENTINEL_1.classes, declared)

    assert shares.keys() == {"nodata"}
    assert shares["nodata"].tolist() == [[False, True, True, declared == 0]]


def test_declared_nodata_counts_though_its_text_was_rounded() -> None:
    vv = np.array([[0.25, np.finfo("float32").min, -9999.001, 0]], "float32")

    def count(declared: float) -> list[list[bool]]:
        return SENTINEL_1.classify(vv, SENTINEL_1.classes, declared)["nodata"].tolist()

    assert count(-3.40282e38) == [[False, True, False, False]]
    assert count(-9999) == [[False, False, True, False]]


def test_fmask_counts_shadow_as_cloud_as_the_other_sources_do() -> None:
    fmask = np.arange(6, dtype="uint8").reshape(2, 3)

    shares = DEA_LANDSAT.classify(fmask, DEA_LANDSAT.classes, 0)

    assert np.flatnonzero(shares["cloud"]).tolist() == [2, 3]
    assert np.flatnonzero(shares["nodata"]).tolist() == [0]


@pytest.mark.parametrize("source", [SENTINEL_2, LANDSAT, MODIS, SENTINEL_1], ids=lambda s: s.name)
def test_classify_leaves_its_pixels_and_classes_alone(source: Source) -> None:
    dtype = "float32" if source is SENTINEL_1 else "uint16"
    pixels = np.arange(64, dtype=dtype).reshape(8, 8)
    pixels.flags.writeable = False
    before = {**source.classes}

    first = source.classify(pixels, source.classes, None)
    second = source.classify(pixels, source.classes, None)

    assert source.classes == before
    for share, flags in first.items():
        assert flags.shape == pixels.shape
        np.testing.assert_array_equal(flags, second[share])


def test_no_qa_band_tells_no_share() -> None:
    assert classify_nothing(np.zeros((4, 4), "uint8"), {}, 0) == {}


def test_real_scl_has_the_cloud_cover_that_its_producer_counted(shared_data: Path) -> None:
    scl = read(shared_data / "sentinel2/S2A_29RKH_20200219_0_L2A/SCL.tif")

    shares = SENTINEL_2.classify(scl, {"cloud": (8, 9, 10), "nodata": (0,)}, 0)

    # 4.051854 % in the full-size scene; this one is decimated by 10
    assert 100 * shares["cloud"].mean() == pytest.approx(4.06, abs=0.005)


def test_real_qa_pixel_has_the_cloud_cover_that_its_producer_counted(shared_data: Path) -> None:
    scene = shared_data / "landsat/LC08_L2SP_008059_20191201"
    qa = read(scene / "LC08_L2SP_008059_20191201_20200825_02_T1_QA_PIXEL.TIF")

    shares = LANDSAT.classify(qa, {"nodata": (0,), "cloud": (3,)}, 1)

    valid = ~shares["nodata"]
    assert 100 * shares["cloud"].sum() / valid.sum() == pytest.approx(81.1, abs=0.05)  # USGS: 81.02
    assert 100 * (1 - valid.mean()) == pytest.approx(31, abs=0.5)


def test_real_modis_qc_is_fill_where_its_bands_are(shared_data: Path) -> None:
    granule = "MOD09GA.A2008296.h14v17.006.2015181011753"
    qc = read(shared_data / f"modis/{granule}_QC_500m.tif")
    red = read(shared_data / f"modis/{granule}_sur_refl_b01.tif")

    nodata = MODIS.classify(qc, MODIS.classes, None)["nodata"]

    assert nodata[red == MODIS.nodata].all()
    # 31 of 14,643 pixels have a value, and QA says that it was not produced
    assert nodata[red != MODIS.nodata].sum() == 31


def test_real_radar_has_nodata_where_it_is_nan(shared_data: Path) -> None:
    for path in sorted((shared_data / "sentinel1").glob("*_VV.tif")):
        vv = read(path)
        nodata = SENTINEL_1.classify(vv, SENTINEL_1.classes, float("nan"))["nodata"]
        np.testing.assert_array_equal(nodata, np.isnan(vv))


# -- whatever the pixels ---------------------------------------------------------------------------

MEASURED = [SENTINEL_2, LANDSAT, MODIS, DEA_LANDSAT, SENTINEL_1]
TYPES = {
    SENTINEL_2.name: ["uint8", "uint16", "int16"],
    LANDSAT.name: ["uint16", "int32", "uint32"],
    MODIS.name: ["uint32", "uint16", "int64"],
    DEA_LANDSAT.name: ["uint8", "int16"],
    SENTINEL_1.name: ["float32", "float64", "int16"],
}


@st.composite
def measured_pixels(draw: st.DrawFn) -> tuple[Source, np.ndarray, float | None]:
    """A source, pixels of a type that its QA band has, and what a file declares as nodata."""
    source = draw(st.sampled_from(MEASURED))
    dtype = np.dtype(draw(st.sampled_from(TYPES[source.name])))
    shape = draw(st.tuples(st.integers(0, 7), st.integers(1, 9)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    top = 12 if source in (SENTINEL_2, DEA_LANDSAT) else 1 << 15
    pixels = generator.integers(0, top, shape).astype(dtype)
    if dtype.kind == "f":
        pixels[generator.random(shape) < 0.3] = np.nan
        pixels[generator.random(shape) < 0.3] = -32768
    return source, pixels, draw(st.sampled_from([None, 0.0, 3.0, float("nan")]))


@settings(deadline=None)
@given(measured_pixels(), st.integers(0, 7))
def test_shares_do_not_depend_on_where_a_band_is_cut_into_strips(measured, at) -> None:
    source, pixels, nodata = measured
    whole = source.classify(pixels, source.classes, nodata)
    parts = [source.classify(part, source.classes, nodata) for part in (pixels[:at], pixels[at:])]
    assert whole.keys() == parts[0].keys() == parts[1].keys()
    for share, flags in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[share] for part in parts]), flags)


@settings(deadline=None)
@given(measured_pixels())
def test_shares_of_a_view_are_those_of_a_copy(measured) -> None:
    source, pixels, nodata = measured
    wide = np.repeat(np.repeat(pixels, 2, axis=0), 3, axis=1)
    for share, flags in source.classify(wide[::2, ::3], source.classes, nodata).items():
        expected = source.classify(pixels.copy(), source.classes, nodata)[share]
        np.testing.assert_array_equal(flags, expected)


@settings(deadline=None)
@given(measured_pixels())
def test_a_landsat_fill_pixel_counts_for_nothing_else(measured) -> None:
    source, pixels, nodata = measured
    shares = source.classify(pixels, source.classes, nodata)
    if source is LANDSAT:
        for share in shares.keys() - {"nodata"}:
            assert not (shares[share] & shares["nodata"]).any()
    if nodata is not None and source is not MODIS:
        assert shares["nodata"][pixels == nodata].all()


@settings(deadline=None)
@given(measured_pixels())
def test_leaving_a_class_out_never_adds_a_pixel(measured) -> None:
    source, pixels, nodata = measured
    shares = source.classify(pixels, source.classes, nodata)
    for share, values in source.classes.items():
        fewer = source.classify(pixels, {**source.classes, share: values[:-1]}, nodata)
        assert not (fewer[share] & ~shares[share]).any()


def make_state(*, cloud=0, shadow=0, surface=1, cirrus=0, snow=0) -> int:
    """A value of the state band of MODIS; bits that tell no share are set."""
    others = 0b11 << 6 | 0b11 << 10 | 0b111 << 13
    return cloud | shadow << 2 | surface << 3 | cirrus << 8 | snow << 12 | others


@pytest.mark.parametrize(
    ("field", "shares"),
    [
        ("cloud", [None, "cloud", "cloud", None]),
        ("shadow", [None, "shadow"]),
        ("surface", ["water", None, None, *5 * ["water"]]),
        ("cirrus", [None, *3 * ["cirrus"]]),
        ("snow", [None, "snow"]),
    ],
)
def test_each_field_of_the_modis_state_counts_for_its_share_alone(field, shares):
    values = [make_state(**{field: number}) for number in range(len(shares))]
    pixels = np.array([values], np.uint16)
    found = MODIS_STATE.classify(pixels, MODIS_STATE.classes, 65535)
    for place, share in enumerate(shares):
        counted = {name for name, flags in found.items() if flags[0, place]}
        assert counted == ({share} if share else set())


def test_the_fill_of_the_modis_state_counts_for_nothing_but_nodata():
    pixels = np.array([[65535, 65534, 7 << 3]], np.uint16)
    for declared, nodata in ((None, [True, False, False]), (7 << 3, [True, False, True])):
        found = MODIS_STATE.classify(pixels, MODIS_STATE.classes, declared)
        assert found["nodata"].tolist() == [nodata]
        for name in ("cloud", "shadow", "cirrus", "snow", "water"):
            assert not found[name][found["nodata"]].any()
        assert found["cloud"][0, 1]  # 65534: mixed


@pytest.mark.parametrize("declared", [None, -1, 65535, -28672])
@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_bits_in_a_signed_type_count_as_in_an_unsigned_one(dtype, declared):
    words = np.arange(1 << 16, dtype=np.uint16)[None]
    pixels = words.view(np.int16).astype(dtype)
    unsigned = None if declared is None else declared % (1 << 16)
    found = MODIS_STATE.classify(pixels, MODIS_STATE.classes, declared)
    expected = MODIS_STATE.classify(words, MODIS_STATE.classes, unsigned)
    for share, flags in expected.items():
        assert np.array_equal(found[share], flags)


def test_the_highest_bit_of_a_signed_type_counts():
    pixels = np.array([[-32768, 1 << 3, 0]], np.int16)
    found = classify_bits(pixels, {"nodata": (0,), "cloud": (15,)}, None)
    assert found["cloud"].tolist() == [[True, False, False]]
