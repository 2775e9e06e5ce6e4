"""GDAL reads four formats, told by their first bytes; any other file reaches nothing."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio

from raster.pixels import distinct, same_bits
from servers.range_server import RangeServer
from stacchip.errors import (
    LimitExceeded,
    NotARaster,
    StacchipError,
    StorageError,
    UnsupportedRaster,
)
from stacchip.raster import Window, open_reader
from stacchip.raster.gdal import Conversion, convert_to_cog, find_driver
from stacchip.raster.gdal.environment import gdal_environment
from stacchip.raster.gdal.formats import OpenImage
from stacchip.storage import Limits, Storage, StorageOptions
from stacchip.storage.limits import DEFAULT_LIMITS

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SECRET = b"aws_secret_access_key=TOPSECRET " * 200


def vrt(source: str) -> bytes:
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">{source}</SourceFilename>'
        "<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>64</LineOffset>"
        "</VRTRasterBand></VRTDataset>"
    ).encode()


def wms(url: str) -> bytes:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{x}}.png</ServerUrl></Service>'
        "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>64</UpperLeftY><LowerRightX>64"
        "</LowerRightX><LowerRightY>0</LowerRightY><SizeX>64</SizeX><SizeY>64</SizeY></DataWindow>"
        "<BandsCount>1</BandsCount></GDAL_WMS>"
    ).encode()


OTHERS = {
    "vrt": lambda place, url: vrt(f"{place}/secret"),
    "vrt of a server": lambda place, url: vrt(f"/vsicurl/{url}/secret"),
    "vrt with a mark": lambda place, url: b"\xef\xbb\xbf" + vrt(f"{place}/secret"),
    "vrt after a comment": lambda place, url: b"<?xml version='1.0'?>\n<!-- > -->" + vrt("x"),
    "vrt in UTF-16": lambda place, url: vrt(f"{place}/secret").decode().encode("utf-16"),
    "wms": lambda place, url: wms(url),
    "wmts": lambda place, url: f"<GDAL_WMTS><GetCapabilitiesUrl>{url}".encode(),
    "wcs": lambda place, url: f"<WCS_GDAL><ServiceURL>{url}/?</ServiceURL></WCS_GDAL>".encode(),
    "ecrg": lambda place, url: b"<GDALTileIndexDataset><IndexDataset>/etc/passwd",
    "hdf5": lambda place, url: b"\x89HDF\r\n\x1a\n" + bytes(600),
    "netcdf": lambda place, url: b"CDF\x01" + bytes(600),
    "database": lambda place, url: b"SQLite format 3\0" + bytes(600),
    "pdf": lambda place, url: b"%PDF-1.4\n" + bytes(600),
    "grib": lambda place, url: b"GRIB" + bytes(600),
    "gif": lambda place, url: b"GIF89a" + bytes(600),
    "json": lambda place, url: b'{"type": "FeatureCollection", "stac_version": "1.0.0"}',
    "raw": lambda place, url: bytes(64 * 64),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(OTHERS))
@pytest.mark.parametrize("name", ["a.tif", "a.jp2", "a.vrt", "a.zip"])
def test_a_file_of_another_format_reaches_nothing(kind, name, tmp_path):
    """No other address is asked, no local byte reaches a pixel; a local file is refused as well."""
    served = tmp_path / "served"
    served.mkdir()
    (tmp_path / "secret").write_bytes(SECRET)
    (served / "secret").write_bytes(SECRET)
    with RangeServer(served) as server:
        (served / name).write_bytes(OTHERS[kind](tmp_path, server.url("").rstrip("/")))
        for href in (server.url(name), str(served / name)):
            for force in (None, "gdal"):
                with pytest.raises(NotARaster, match=r"a\.\w+ is ") as caught:
                    open_reader(href, Storage(), force=force)
                assert "TOPSECRET" not in str(caught.value)
        assert {request.path for request in server.log} == {f"/{name}"}


def test_an_envi_header_beside_raw_bytes_makes_no_raster(tmp_path):
    (tmp_path / "a.tif").write_bytes(SECRET)
    (tmp_path / "a.hdr").write_text(
        "ENVI\nsamples = 64\nlines = 64\nbands = 1\ndata type = 1\ninterleave = bsq\n"
    )
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.driver == "ENVI"  # GDAL itself reads it
    with pytest.raises(NotARaster):
        open_reader(str(tmp_path / "a.tif"), Storage())


def test_the_message_says_what_a_vrt_is_and_what_to_do(tmp_path):
    (tmp_path / "a.vrt").write_bytes(vrt("b.tif"))
    with pytest.raises(NotARaster, match=r"a virtual raster.*names pixels.*gdal_translate -of COG"):
        open_reader(str(tmp_path / "a.vrt"), Storage())
    with pytest.raises(NotARaster, match="virtual raster"):
        convert_to_cog(tmp_path / "a.vrt", tmp_path / "out.tif", Conversion())


def test_a_file_of_another_format_is_refused_by_its_first_bytes(tmp_path):
    (tmp_path / "a.tif").write_bytes(vrt("b").ljust(1 << 20))
    storage = Storage()
    with RangeServer(tmp_path) as server, pytest.raises(NotARaster):
        open_reader(server.url("a.tif"), storage)
    assert storage.requests == 1
    assert storage.bytes_read < 1 << 16


NAMES = [
    ("OVERVIEWS", "OVERVIEW_FILE"), ("GEOLOCATION", "X_DATASET"), ("SUBDATASETS", "SUBDATASET_1"),
]  # fmt: skip


@pytest.mark.parametrize("conversion", [Conversion(), Conversion(resolution=40.0)])
def test_what_metadata_names_is_not_opened(conversion, tmp_path):
    """GDAL opens such a file in place of overviews, when it is asked for them."""
    other = tmp_path / "other"
    os.mkfifo(other)  # opening it would never end
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8",
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), crs="EPSG:32631",
    ) as dataset:  # fmt: skip
        dataset.write(distinct("uint8", (1, 64, 64)))
        for domain, name in NAMES:
            dataset.update_tags(ns=domain, **{name: str(other)})
    assert path.read_bytes().count(bytes(other)) >= len(NAMES)
    reader = open_reader(str(path), Storage(), force="gdal")
    assert same_bits(reader.read(Window(0, 0, 64, 64)), distinct("uint8", (1, 64, 64)))
    assert reader.read_valid(Window(0, 0, 64, 64)).all()
    convert_to_cog(path, tmp_path / "out.tif", conversion)


UTM = (
    'PROJCS["x",GEOGCS["g",DATUM["d",SPHEROID["s",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER['
    '"central_meridian",-9],PARAMETER["false_easting",500000],UNIT["Meter",1]]'
)
ON_A_GRID = (
    'PROJCS["x",GEOGCS["g",DATUM["d",SPHEROID["s",6378137,298.25],EXTENSION["PROJ4_GRIDS","{}"]],'
    'PRIMEM["G",0],UNIT["Degree",0.017]],PROJECTION["Transverse_Mercator"],UNIT["Meter",1]]'
)


def write_on_a_grid(path: Path, grid: str) -> bytes:
    """Write a TIFF whose CRS, in ESRI's WKT, has a datum shift by a file."""
    profile = {"height": 4, "width": 4, "count": 1, "dtype": "uint8", "crs": UTM}
    place = rasterio.Affine(10, 0, 500000, 0, -10, 4000000)
    with rasterio.open(
        path, "w", driver="GTiff", transform=place, GEOTIFF_KEYS_FLAVOR="ESRI_PE", **profile
    ) as dataset:
        dataset.write(np.ones((1, 4, 4), "uint8"))
    content = path.read_bytes()
    plain = content[content.index(b"PROJCS[") : content.rindex(b"]|") + 1]
    changed = ON_A_GRID.format(grid).encode().ljust(len(plain))
    path.write_bytes(content.replace(plain, changed))
    return path.read_bytes()


@pytest.mark.parametrize("force", [None, "gdal"])
def test_a_grid_that_a_crs_names_is_not_opened(force, tmp_path, storage):
    """PROJ would open it as soon as GDAL opens the file, and wait for ever at a pipe."""
    path = tmp_path / "a.tif"
    write_on_a_grid(path, "/no/fifo.gsb")
    with pytest.raises(NotARaster, match="CRS names a file of this machine"):
        open_reader(str(path), storage, force=force)
    with pytest.raises(NotARaster, match="CRS names a file of this machine"):
        convert_to_cog(path, tmp_path / "b.tif", Conversion())


def write_jpeg_2000(path: Path, boxes: bytes = b"") -> None:
    """Write a JPEG 2000 file without a place, with these boxes before its pixels."""
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=64, width=64, count=1, dtype="uint8"
    ) as dataset:
        dataset.write(np.ones((1, 64, 64), "uint8"))
    plain = path.read_bytes()
    at = plain.index(b"jp2c") - 4
    path.write_bytes(plain[:at] + boxes + plain[at:])


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def test_the_error_says_what_to_do(tmp_path, storage):
    write_on_a_grid(tmp_path / "a.tif", "/no/fifo.gsb")
    with pytest.raises(NotARaster) as caught:
        open_reader(str(tmp_path / "a.tif"), storage)
    assert "-a_srs" in str(caught.value)
    assert "broken" not in str(caught.value)


def test_nor_one_that_a_tiff_in_a_jpeg_2000_file_names(tmp_path, storage):
    tiff = write_on_a_grid(tmp_path / "a.tif", "/no/fifo.gsb")
    path = tmp_path / "a.jp2"
    write_jpeg_2000(path)
    assert open_reader(str(path), storage).count == 1
    geojp2 = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
    write_jpeg_2000(path, box(b"uuid", geojp2 + tiff))
    with pytest.raises(NotARaster, match="CRS names a file of this machine"):
        open_reader(str(path), storage)


GRID_IN_GML = (
    '<gml:RectifiedGridCoverage xmlns:gml="http://www.opengis.net/gml"><gml:rectifiedGridDomain>'
    '<gml:RectifiedGrid dimension="2"><gml:limits><gml:GridEnvelope><gml:low>0 0</gml:low>'
    "<gml:high>64 64</gml:high></gml:GridEnvelope></gml:limits><gml:origin>"
    "<gml:Point{}<gml:pos>500000 4000000</gml:pos></gml:Point></gml:origin>"
    "<gml:offsetVector>10 0</gml:offsetVector><gml:offsetVector>0 -10</gml:offsetVector>"
    "</gml:RectifiedGrid></gml:rectifiedGridDomain></gml:RectifiedGridCoverage>"
)
URL = "http://www.opengis.net/def/crs/EPSG/0/1"
MODEL = "+proj=defmodel +model=/no/fifo"


def write_gml(path: Path, text: str) -> None:
    root = box(b"lbl ", b"gml.root-instance") + box(b"xml ", text.encode())
    write_jpeg_2000(path, box(b"asoc", box(b"lbl ", b"gml.data") + box(b"asoc", root)))


@pytest.mark.parametrize(
    "point",
    [
        f' srsName="{URL} {MODEL}">',
        f" srsName='urn:ogc:def:crs:x {MODEL}'>",
        ' srsName="&#117;rn:ogc:def:crs:x&#32;&#43;proj=defmodel +title=< +model=/no/fifo">',
        f' srsName="epsg:x {MODEL}">',
        f"><srsName>{URL} +title=> {MODEL}</srsName>",
        f"><srsName><![CDATA[{URL} +title=< {MODEL}]]></srsName>",
    ],
)
def test_nor_one_that_xml_in_a_jpeg_2000_file_names(point, tmp_path, storage):
    write_gml(tmp_path / "a.jp2", GRID_IN_GML.format(point))
    with pytest.raises(NotARaster, match="CRS names a file of this machine"):
        open_reader(str(tmp_path / "a.jp2"), storage)


def test_the_name_of_a_crs_in_xml_is_read(tmp_path, storage):
    """GDAL would read the texts of the test above at this place, too."""
    write_gml(tmp_path / "a.jp2", GRID_IN_GML.format(' srsName="epsg:32633">'))
    assert open_reader(str(tmp_path / "a.jp2"), storage).crs == "EPSG:32633"


@pytest.mark.parametrize(
    "text",
    [
        '<product><source file="GRANULE/IMG_DATA/B04.jp2"/></product>',
        '<c catalog="Sentinel-2"><l>a/b</l></c>',
        "<p><proj4>+proj=utm +zone=33 +datum=WGS84</proj4><file>a/b</file></p>",
        '<p crs="urn:ogc:def:crs:EPSG::32633" model="/a"><f proj="utm" file="a/b"/></p>',
    ],
)
def test_paths_in_other_metadata_are_none_of_a_crs(text, tmp_path, storage):
    write_jpeg_2000(tmp_path / "a.jp2", box(b"xml ", text.encode()))
    assert open_reader(str(tmp_path / "a.jp2"), storage).count == 1


def test_boxes_without_end_are_refused(tmp_path, storage):
    path = tmp_path / "a.jp2"
    write_jpeg_2000(path)
    path.write_bytes(path.read_bytes() + (struct.pack(">I", 8) + b"free") * 1000)
    with pytest.raises(LimitExceeded, match="boxes"):
        open_reader(str(path), storage)


def test_a_grid_of_projs_own_is_no_file_of_this_machine(tmp_path, storage):
    path = tmp_path / "a.tif"
    write_on_a_grid(path, "@null")
    assert "@null" in open_reader(str(path), storage).crs


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    "make", [make_fifo, make_socket, lambda p: p.symlink_to("/dev/zero"), Path.mkdir]
)
def test_what_is_no_regular_file_is_refused_at_once(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(Path("a.jp2"))
    with gdal_environment(), pytest.raises(StorageError, match=r"a\.jp2"):
        OpenImage(Path("a.jp2"), "a.jp2", DEFAULT_LIMITS)


@pytest.mark.parametrize(
    "name", ["GTIFF_DIR:1:a.tif", "GTIFF_RAW:a.tif", "vsizip:a.tif", "a?b#c.tif"]
)
def test_a_name_that_means_more_to_gdal_is_a_name(name, tmp_path, monkeypatch, write_tiff):
    monkeypatch.chdir(tmp_path)
    pixels = distinct("uint16", (1, 64, 64))
    write_tiff(pixels + 1, "a.tif")
    write_tiff(pixels, "b.tif")
    Path("b.tif").rename(name)
    with gdal_environment():
        image = OpenImage(Path(name), name, DEFAULT_LIMITS)
        assert same_bits(image.dataset.read(), pixels)
        image.close()


def png(height: int, width: int, rows: int = 1) -> bytes:
    """A PNG of zeros, of which only some rows are there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(rows * (3 * width + 1))))
    return b"\x89PNG\r\n\x1a\n" + start + pixels + chunk(b"IEND", b"")


def jpeg(height: int, width: int) -> bytes:
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\0"
    return (
        b"\xff\xd8\xff\xc0" + frame + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + bytes(64) + b"\xff\xd9"
    )


def jpeg2000(size: int, tile: int, components: int = 1) -> bytes:
    grid = struct.pack(">H8IH", 0, size, size, 0, 0, tile, tile, 0, 0, components)
    siz = grid + b"\x07\x01\x01" * components
    cod = b"\xff\x52" + struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 5, 0, 0, 0, 1)
    qcd = b"\xff\x5c" + struct.pack(">HBB", 4, 0x40, 0x40)
    end = b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 14, 0, 1) + b"\xff\x93\xff\xd9"
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(siz) + 2) + siz + cod + qcd + end


BOMBS = {
    "png": (png(30_000, 30_000, rows=0), "file_bytes"),
    "png of many rows": (png(1_000_000, 200), "file_bytes"),
    "jpeg": (jpeg(65_000, 65_000), "file_bytes"),
    "jpeg 2000 of one tile": (jpeg2000(1 << 30, 1 << 30), "file_bytes"),
    "jpeg 2000 of large tiles": (jpeg2000(1 << 20, 1 << 16), "block_bytes"),
    "jpeg 2000 of many bands": (jpeg2000(2048, 1024, 4000), "block_bytes"),
    "jpeg 2000 of many tiles": (jpeg2000(1 << 16, 1 << 8, 200), "file_bytes"),
    "jpeg 2000 of 37,000 tiles": (jpeg2000(192 * 64, 64, 3), "file_bytes"),
    "jpeg 2000 of tiny tiles": (jpeg2000(96, 1), "block_bytes"),
}


@pytest.mark.parametrize("kind", list(BOMBS))
def test_an_image_that_takes_too_much_is_refused_before_it_is_decoded(kind, tmp_path):
    content, limit = BOMBS[kind]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(LimitExceeded, match=r"/a .*limit") as caught:
        open_reader(str(tmp_path / "a"), Storage())
    assert caught.value.limit == limit


@pytest.mark.parametrize("bands", [1024, 1025])
def test_more_bands_than_gdal_reads_in_a_second_are_refused(bands, write_tiff):
    path = write_tiff(np.ones((bands, 2, 2), np.uint8), interleave="pixel")
    if bands == 1024:
        assert open_reader(path, Storage(), force="gdal").read(Window(0, 0, 2, 2)).all()
    else:
        with pytest.raises(UnsupportedRaster, match="1025 bands"):
            open_reader(path, Storage(), force="gdal")


def test_a_limit_can_be_raised(tmp_path):
    (tmp_path / "a.png").write_bytes(png(64, 64, rows=64))
    small = StorageOptions(limits=Limits(file_bytes=10_000))
    with pytest.raises(LimitExceeded, match="12288 bytes"):
        open_reader(str(tmp_path / "a.png"), Storage(options=small))
    large = StorageOptions(limits=Limits(file_bytes=12_288))
    reader = open_reader(str(tmp_path / "a.png"), Storage(options=large))
    assert not reader.read(Window(0, 0, 64, 64)).any()


def test_a_window_that_takes_too_much_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(64, 64, rows=64))
    storage = Storage(options=StorageOptions(limits=Limits(chip_bytes=12_000)))
    reader = open_reader(str(tmp_path / "a.png"), storage)
    assert reader.read(Window(0, 0, 62, 64)).shape == (3, 62, 64)
    with pytest.raises(LimitExceeded, match="chip_bytes"):
        reader.read(Window(0, 0, 64, 64))


def test_a_remote_file_that_is_too_large_to_be_read_whole_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(64, 64, rows=64).ljust(100_000))
    storage = Storage(options=StorageOptions(limits=Limits(file_bytes=50_000)))
    with RangeServer(tmp_path) as server, pytest.raises(StacchipError, match="50000"):
        open_reader(server.url("a.png"), storage)
    assert storage.bytes_read < 60_000


@pytest.mark.parametrize("kind", ["png", "jpeg", "jp2", "tif"])
def test_damaged_files_raise_errors_of_ours_alone(kind, tmp_path):
    """Every byte of the start is changed, in turn."""
    driver = {"png": "PNG", "jpeg": "JPEG", "jp2": "JP2OpenJPEG", "tif": "GTiff"}[kind]
    with rasterio.open(
        tmp_path / "sound", "w", driver=driver, width=20, height=20, count=1, dtype="uint8",
    ) as dataset:  # fmt: skip
        dataset.write(distinct("uint8", (1, 20, 20)))
    sound = (tmp_path / "sound").read_bytes()
    assert find_driver(sound) == driver
    random = np.random.default_rng(1)
    refused = 0
    for at in range(min(len(sound), 150)):
        content = bytearray(sound)
        content[at] ^= random.integers(1, 256)
        (tmp_path / "a").write_bytes(content)
        try:
            reader = open_reader(str(tmp_path / "a"), Storage(), force="gdal")
            reader.read(Window(0, 0, *reader.shape).clip((64, 64)) or Window(0, 0, 1, 1))
        except StacchipError:
            refused += 1
    assert refused > 10
