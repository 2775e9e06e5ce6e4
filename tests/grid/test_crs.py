"""One opinion on which CRSs are the same, and on what they are called."""

from __future__ import annotations

import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.crs import CRS
from pyproj.exceptions import CRSError

from stacchip.errors import UsageError
from stacchip.grid.crs import crs_of_code, crs_of_text, name_crs, same_crs
from stacchip.grid.geobox import describe_geobox, is_same_grid, make_geobox
from stacchip.grid.nearest import nearest_pixels

SINUSOIDAL = "+proj=sinu +R=6371007.181 +units=m"
MODIS = (
    'PROJCS["Sinusoidal",GEOGCS["GCS_Unknown",DATUM["D_MODIS",'
    'SPHEROID["MODIS_sphere",6371007.181,0]],PRIMEM["Greenwich",0],'
    'UNIT["Degree",0.0174532925199433]],PROJECTION["Sinusoidal"],'
    'PARAMETER["longitude_of_center",0],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["Meter",1]]'
)
BRITISH = (
    "+proj=tmerc +lat_0=49 +lon_0=-2 +k=0.9996012717 +x_0=400000 +y_0=-100000 +ellps=airy "
    "+towgs84=446.448,-125.157,542.06,0.15,0.247,0.842,-20.489"
)
# the projection of EPSG:27571, which counts longitude from Paris, counted from Greenwich
FRENCH = (
    "+proj=lcc +lat_1=49.5 +lat_0=49.5 +lon_0=0 +k_0=0.999877341 +x_0=600000 +y_0=1200000 "
    "+a=6378249.2 +b=6356515"
)
BUILDING_SITE = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
CODES = [4326, 4258, 3857, 3395, 2193, 3031, 3035, 3413, 5070, 25832, 26913, 27700, 28992, 32613]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("form", ["WKT2_2019", "WKT2_2015", "WKT1_GDAL", "WKT1_ESRI", "proj4"])
@pytest.mark.filterwarnings("ignore:You will likely lose important projection information")
def test_every_spelling_of_a_code_is_the_same_crs(code, form):
    crs = pyproj.CRS.from_epsg(code)
    text = crs.to_proj4() if form == "proj4" else crs.to_wkt(form)
    assert same_crs(text, f"EPSG:{code}")
    assert same_crs(CRS(code), pyproj.CRS.from_user_input(text))


@given(st.sampled_from(CODES), st.sampled_from(CODES))
def test_two_codes_are_two_crss(first, second):
    assert same_crs(f"EPSG:{first}", f"EPSG:{second}") == (first == second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("EPSG:4326", "OGC:CRS84"),
        ("EPSG:4326", "EPSG:4979"),
        ("EPSG:4326", "OGC:CRS84h"),
        ("EPSG:32631+5773", "EPSG:32631"),
        ("EPSG:28992", "EPSG:7415"),
        ("EPSG:25832+7837", "EPSG:25832+5783"),
        (SINUSOIDAL, MODIS),
        ("EPSG:4326", "+proj=longlat +ellps=WGS84"),
        ("EPSG:32629", "+proj=utm +zone=29 +ellps=WGS84"),
        ("EPSG:27700", BRITISH),
    ],
)  # fmt: skip
def test_height_spelling_and_order_of_axes_make_no_difference(first, second):
    assert same_crs(first, second)
    assert same_crs(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("EPSG:4326", "EPSG:4258"),
        ("EPSG:32613", "EPSG:26913"),
        ("EPSG:32631+5773", "EPSG:32632+5773"),
        (SINUSOIDAL, "EPSG:32613"),
        (SINUSOIDAL, "+proj=sinu +R=6371007.181 +lon_0=10"),
        (SINUSOIDAL, "+proj=sinu +ellps=WGS84"),
        ("+proj=utm +zone=29 +ellps=WGS84", "EPSG:32630"),
        ("EPSG:27571", FRENCH),
        ("+proj=longlat +ellps=WGS84", "+proj=longlat +ellps=clrk66"),
        ("EPSG:4326", "EPSG:32613"),
        (BUILDING_SITE, "EPSG:32613"),
        ("EPSG:4326", None),
    ],
)  # fmt: skip
def test_another_datum_or_projection_is_another_crs(first, second):
    assert not same_crs(first, second)
    assert not same_crs(second, first)


def test_what_is_equal_in_itself_needs_no_comparison():
    assert same_crs(None, None)
    assert same_crs(BUILDING_SITE, BUILDING_SITE)


def test_a_projection_that_proj_does_not_know_is_given_the_benefit_of_the_doubt():
    odd = pyproj.CRS("EPSG:32615").to_wkt("WKT1_GDAL").replace("Transverse_Mercator", "UTM15N")
    odd = odd.replace(',AUTHORITY["EPSG","32615"]', "")
    assert pyproj.CRS(odd).to_epsg() is None
    assert same_crs(odd, "EPSG:32615")
    assert not same_crs(odd, "EPSG:26715")  # another ellipsoid
    assert not same_crs(odd, "EPSG:4326")


def test_what_is_no_crs_is_an_error():
    with pytest.raises(CRSError):
        same_crs("EPSG:4326", "EPSG:999999")


def test_a_code_of_two_parts_is_parsed():
    crs = crs_of_code("EPSG:2193+7839")
    assert crs is not None
    assert same_crs(crs, "EPSG:2193")
    assert crs_of_code("EPSG:2193+9999") is None


def test_projjson_is_parsed():
    assert crs_of_text(pyproj.CRS.from_epsg(3031).to_json_dict()) == CRS("EPSG:3031")


@pytest.mark.parametrize("code", ["EPSG:32613", "OGC:CRS84", "ESRI:54008"])
def test_a_crs_is_named_by_its_authority(code):
    assert name_crs(pyproj.CRS(code).to_wkt()) == code


def test_a_name_that_is_not_all_of_it_is_not_given():
    name = name_crs(pyproj.CRS("EPSG:2193+7839").to_wkt())
    assert name.startswith("COMPOUNDCRS[")
    assert same_crs(name, "EPSG:2193")


def test_grids_in_two_spellings_of_a_crs_are_the_same_pixels():
    transform = Affine(0.01, 0, 10, 0, -0.01, 50)
    one, other = (make_geobox(crs, transform, (4, 6)) for crs in ("EPSG:4326", "OGC:CRS84"))
    assert is_same_grid(one, other)
    rows, cols = nearest_pixels(one, other)
    assert rows.tolist() == [0, 1, 2, 3]
    assert cols.tolist() == [0, 1, 2, 3, 4, 5]


def test_an_error_names_both_crss_in_few_words():
    transform = Affine(10, 0, 0, 0, -10, 0)
    one, other = (make_geobox(crs, transform, (4, 6)) for crs in (SINUSOIDAL, "EPSG:32613"))
    assert not is_same_grid(one, other)
    with pytest.raises(UsageError, match=r'differ in CRS: PROJCRS\["unknown".{,60} and EPSG:32613'):
        nearest_pixels(one, other)
    assert describe_geobox(make_geobox(None, transform, (4, 6))).startswith("no CRS, 4 x 6 px")
