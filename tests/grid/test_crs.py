"""One opinion on which CRSs are the same, and on what they are called."""

from __future__ import annotations

import json
import os

import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.crs import CRS

from stacchip.errors import UsageError
from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.crs import (
    crs_of_code,
    crs_of_text,
    horizontal_crs,
    name_crs,
    same_crs,
    why_not_on_earth,
)
from stacchip.grid.geobox import crs_name, describe_geobox, is_same_grid, make_geobox
from stacchip.grid.named_files import find_named_file, may_name_file, xml_may_name_file
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
# EPSG:2229 counts US survey feet; these are international ones, 4 m off in the false easting
CALIFORNIA = (
    "+proj=lcc +lat_0=33.5 +lon_0=-118 +lat_1=35.4666666666667 +lat_2=34.0333333333333 "
    "+x_0=2000000 +y_0=500000 +datum=NAD83 +units=ft"
)
BUILDING_SITE = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'


def on_datum(code):
    """Return the PROJJSON of a projection that has no code, on the datum of a geographic CRS."""
    projected = pyproj.CRS("+proj=tmerc +lon_0=7 +x_0=1000000 +ellps=intl").to_json_dict()
    return json.dumps({**projected, "base_crs": pyproj.CRS(code).to_json_dict()})


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
        ("EPSG:4326", "+proj=longlat +ellps=WGS84 +towgs84=0,0,0"),
        ("EPSG:32629", "+proj=utm +zone=29 +ellps=WGS84 +towgs84=0.1,0,0,0,0,0,0"),
        ("EPSG:28355", "+proj=utm +zone=55 +south +ellps=GRS80"),
        ("EPSG:3857", "ESRI:102100"),
        ("EPSG:3857", "EPSG:900913"),
        ("EPSG:5070", "ESRI:102039"),
        ("EPSG:2154", "IGNF:LAMB93"),
        ("EPSG:4326", "EPSG:9057"),  # an ensemble, and one of its realizations
        ("EPSG:32661", "EPSG:5041"),  # northing first, and easting first
        ("+proj=longlat +a=6378137 +b=6356752.3142", "EPSG:4326"),
        ("+proj=sinu +R=6371007.1809", MODIS),
        ("EPSG:32629.0", "EPSG:32629"),
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
        ("EPSG:4326", "+proj=longlat +ellps=GRS80"),  # it may be NAD83, metres away
        ("EPSG:32613", "+proj=utm +zone=13 +ellps=GRS80"),
        ("EPSG:32629", "EPSG:32729"),
        ("EPSG:32629", "+proj=utm +zone=29 +ellps=WGS84 +units=us-ft"),
        ("EPSG:2229", CALIFORNIA),
        ("EPSG:32629", "+proj=utm +zone=29 +ellps=WGS84 +axis=wsu"),
        ("EPSG:4326", "+proj=longlat +ellps=WGS84 +towgs84=100,50,20"),
        ("EPSG:32629", "+proj=utm +zone=29 +ellps=WGS84 +towgs84=0,0,0,0,0,0.5,0"),
        ("EPSG:3035", "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210001 +ellps=GRS80"),
        ("EPSG:3857", "+proj=merc +ellps=WGS84"),
        # one projection on two datums that share an ellipsoid: ED50 and ED79
        (on_datum("EPSG:4230"), on_datum("EPSG:4668")),
        ("EPSG:4326", "EPSG:8888"),  # WGS 84 (Transit) lies a metre off the others
        ("EPSG:4326", "EPSG:4978"),
        ("EPSG:4326", "+proj=longlat +R=1737400"),
        ("EPSG:4326", "EPSG:5773"),
    ],
)  # fmt: skip
def test_another_datum_or_projection_is_another_crs(first, second):
    assert not same_crs(first, second)
    assert not same_crs(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("EPSG:28355", "EPSG:7855"),  # GDA94 and GDA2020, 1.8 m apart
        ("EPSG:4283", "EPSG:7844"),
        ("EPSG:4612", "EPSG:6668"),  # JGD2000 and JGD2011
        ("EPSG:4269", "EPSG:4617"),  # NAD83 and NAD83(CSRS)
    ],
)
def test_esris_names_tell_datums_of_one_ellipsoid_apart(first, second):
    one, other = (pyproj.CRS(code).to_wkt("WKT1_ESRI") for code in (first, second))
    for pair in ((one, other), (one, second), (first, other)):
        assert not same_crs(*pair)
        assert not same_crs(*reversed(pair))
    assert same_crs(one, first)
    assert same_crs(other, second)


def test_what_is_equal_in_itself_needs_no_comparison():
    assert same_crs(None, None)
    assert same_crs(BUILDING_SITE, BUILDING_SITE)


def test_a_projection_that_proj_does_not_know_is_given_the_benefit_of_the_doubt():
    odd = pyproj.CRS("EPSG:32615").to_wkt("WKT1_GDAL").replace("Transverse_Mercator", "UTM15N")
    odd = odd.replace(',AUTHORITY["EPSG","32615"]', "")
    assert pyproj.CRS(odd).to_epsg() is None
    assert same_crs(odd, "EPSG:32615")
    assert not same_crs(odd, "EPSG:26715")  # another ellipsoid
    assert not same_crs(odd, "EPSG:32616")  # another meridian
    assert not same_crs(odd, "EPSG:4326")


def test_what_is_no_crs_is_an_error():
    with pytest.raises(UsageError, match="PROJ reads no CRS in 'EPSG:999999'"):
        same_crs("EPSG:4326", "EPSG:999999")


def test_a_code_of_two_parts_is_parsed():
    crs = crs_of_code("EPSG:2193+7839")
    assert crs is not None
    assert same_crs(crs, "EPSG:2193")
    assert crs_of_code("EPSG:2193+9999") is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("EPSG:32629+5773", "EPSG:32629"),
        ("EPSG:7415", "EPSG:28992"),
        (pyproj.CRS("EPSG:26913+5703"), "EPSG:26913"),
        (pyproj.CRS("EPSG:2193+7839").to_wkt(), "EPSG:2193"),
        (CRS(pyproj.CRS("EPSG:9518").to_wkt()), "EPSG:4326"),
        ("OGC:CRS84", "OGC:CRS84"),
    ],
)
def test_a_grid_has_the_horizontal_part_of_a_crs(given, expected):
    geobox = make_geobox(given, Affine(0.01, 0, 10, 0, -0.01, 50), (4, 6))
    assert crs_name(geobox) == str(horizontal_crs(given)) == expected


@pytest.mark.parametrize(
    ("crs", "why"),
    [
        ("IAU_2015:30100", "another body"),
        ("IAU_2015:49910", "another body"),
        ("ESRI:104903", "another body"),
        ("+proj=sinu +a=6051800", "another body"),
        ("EPSG:5773", "no horizontal coordinates"),
        ("EPSG:4978", "no horizontal coordinates"),
        (BUILDING_SITE, "no horizontal coordinates"),
    ],
)
def test_a_crs_that_is_not_on_earth_is_told(crs, why):
    assert why in why_not_on_earth(crs)
    grid = ChipGrid(make_geobox(crs, Affine(0.01, 0, 10, 0, -0.01, 50), (4, 4)), 2)
    with pytest.raises(UsageError, match=why):
        grid.footprint(0, 0)


@pytest.mark.parametrize("crs", [*CODES, "EPSG:32629+5773", SINUSOIDAL, MODIS, "EPSG:4979"])
def test_a_crs_of_the_earth_is_told(crs):
    assert why_not_on_earth(crs) is None


@pytest.mark.parametrize("text", ["", "Earth", "EPSG:", "EPSG:-5", "\ud800", "a\0b", "[]", "{}"])
def test_no_text_raises_an_error_of_proj(text):
    assert crs_of_code(text) is None
    for ask in (horizontal_crs, name_crs, why_not_on_earth):
        with pytest.raises(UsageError, match="PROJ reads no CRS"):
            ask(text)


@pytest.mark.parametrize("start", ["", '{"a":[', "+proj=longlat "])
def test_a_text_that_proj_would_read_for_minutes_is_no_crs(start):
    text = start + "[]," * 100_000
    assert crs_of_text(text) is crs_of_code(text) is None
    assert crs_of_text({"name": text}) is None
    for ask in (horizontal_crs, name_crs, why_not_on_earth):
        with pytest.raises(UsageError, match=r"has 300,0\d\d characters, and may have 65,536"):
            ask(text)


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


ON_GRIDS = "+proj=longlat +ellps=clrk66 +nadgrids="
PATHS = {
    "proj": "{0}{1}",
    "init": "+init={1}:key",
    "model": "+proj=defmodel +model={1}",
    "step": "+proj=pipeline +step +proj=utm +zone=33 +step +proj=defmodel +model={1}",
    "file": "+proj=tinshift +file={1}",
    "quoted": '{0}"@null, {1}"',
    "list": "{0}@null, {1}",
    "after a title": "+title=a +proj=defmodel +model={1}",
    "within a title": '+proj=defmodel +title=a "model"={1}',
    "a parameter of later versions": "+proj=longlat +unheard_of={1}",
    "json of a model": '{{"proj": "defmodel", "model": "{1}"}}',
    "spaced init": "+init = {1}:key",
    "json of parameters": '{{"init": "{1}:key"}}',
    "wkt": 'GEOGCS["x",DATUM["y",SPHEROID["WGS 84",6378137,298.257223563],'
    'EXTENSION["PROJ4_GRIDS","{1}"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]',
    "wkt with a model": 'PROJCS["x",GEOGCS["y",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,'
    '298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION['
    '"Transverse_Mercator"],UNIT["metre",1],EXTENSION["PROJ4","+proj=defmodel +model={1}"]]',
    "wkt with a text of PROJ": 'PROJCS["x",GEOGCS["y",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,'
    '298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION['
    '"Transverse_Mercator"],UNIT["metre",1],EXTENSION["PROJ4","+proj=utm +zone=19 +nadgrids={1}"]]',
}


@pytest.mark.parametrize("form", list(PATHS))
@pytest.mark.parametrize("far", [False, True])
def test_a_crs_opens_no_file_that_it_names(form, far, tmp_path):
    """PROJ would wait at a FIFO for ever, or read a device."""
    path = "https://127.0.0.1:9/grid.tif" if far else str(tmp_path / "fifo")
    if not far:
        os.mkfifo(path)
    said = PATHS[form].format(ON_GRIDS, path)
    assert crs_of_text(said) is None
    for use in (horizontal_crs, name_crs, why_not_on_earth):
        with pytest.raises(UsageError, match=r"names the file .* not opened"):
            use(said)


@pytest.mark.parametrize(
    "said", ['PARAMETERFILE["x (a)","@null,],/a"]', 'EXTENSION["PROJ4_GRIDS","@null,) /a"]']
)
def test_a_bracket_ends_no_list_of_files(said):
    assert may_name_file(said.encode())
    assert find_named_file(f'BOUNDCRS[SOURCECRS[GEOGCRS["x"]],{said}]') is not None


def test_nor_in_other_spellings(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    named = pyproj.CRS(f"{ON_GRIDS}{tmp_path}/fifo")
    spellings = [named.to_json(), named.to_wkt(), named.to_wkt("WKT1_GDAL")]
    spellings.append(named.to_json().replace(f"{tmp_path}/", f"{tmp_path}\\u002f"))
    assert [crs_of_text(said) for said in (*spellings, named.to_json_dict())] == [None] * 5


@pytest.mark.parametrize(
    "said",
    [
        "+title=WGS 84 (long/lat) +proj=longlat +datum=WGS84 +no_defs",
        pyproj.CRS(32633).to_wkt(),
        pyproj.CRS("ESRI:102100").to_wkt("WKT1_GDAL"),
        pyproj.CRS("EPSG:3857+5773").to_json(),
    ],
)
def test_a_slash_is_not_always_one_of_a_path(said):
    assert crs_of_text(said) is not None


def test_a_long_text_is_searched_in_time_in_proportion_to_it():
    """Were it to the square of it, each of these would take minutes."""
    parts = ("a", "PARAMETERFILE[", 'PARAMETERFILE["', "title=a ", "init ", '"', "<![CDATA[", ">")
    for text in (b"proj=" + part.encode() * (300_000 // len(part)) for part in parts):
        assert not may_name_file(text)
        assert not xml_may_name_file(text)


def test_grids_of_projs_own_are_no_files():
    mercator = "+proj=merc +a=6378137 +b=6378137 +nadgrids=@null +wktext +no_defs"
    for said in (mercator, f"{ON_GRIDS}conus", pyproj.CRS(f"{ON_GRIDS}conus").to_json()):
        assert crs_of_text(said) is not None
