"""Headers: few requests, little time, and no belief in what cannot be."""

from __future__ import annotations

import pickle
import random
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import tifffile
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from raster.handmade import strip_tags, strips_of, write_handmade
from raster.pixels import distinct, same_bits
from servers.range_server import Fault, RangeServer
from stacchip.errors import (
    NotARaster,
    ObjectNotFound,
    RasterError,
    StorageError,
    UnsupportedRaster,
)
from stacchip.raster import Window, open_reader, read_header
from stacchip.raster.file_bytes import FileBytes
from stacchip.raster.gdal.describe import describe_image
from stacchip.raster.parse import parse_header
from stacchip.storage import Storage, StorageOptions
from turned import turned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHAPE = (50, 40)
GREY = distinct("uint8", (1, *SHAPE))[0]


def count_header_requests(server: RangeServer, name: str) -> int:
    storage = Storage()
    server.reset_counters()
    read_header(storage, server.url(name))
    assert storage.requests == server.requests
    return server.requests


def test_a_cog_takes_one_request(write_tiff: Callable[..., str], tmp_path: Path) -> None:
    array = np.zeros((1, 2100, 2100), np.uint16)
    write_tiff(array, "cog.tif", driver="COG", blocksize=128, compress="deflate")
    with RangeServer(tmp_path) as server:
        assert count_header_requests(server, "cog.tif") == 1


def test_real_cogs_take_one_request(shared_data: Path) -> None:
    with RangeServer(shared_data) as server:
        for name in (
            "naip/m_4709963_se_14_1_20090818.tif",
            "odd/cogeotiff/rgba8_cog_big.tiff",
            "modis/MOD10A2.A2022033.h09v05.061.2022042050729_Maximum_Snow_Extent.tif",
        ):
            assert count_header_requests(server, name) == 1


def test_directories_elsewhere_take_a_request_each(
    write_tiff: Callable[..., str], tmp_path: Path
) -> None:
    path = write_tiff(distinct("uint16", (1, 1024, 1024)), "late.tif", tiled=True)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    with RangeServer(tmp_path) as server:
        assert 2 <= count_header_requests(server, "late.tif") <= 3


def write_pyramid(path: Path, step: int, levels: int = 5, **options: Any) -> str:
    """A pyramid in SubIFDs; only each `step`-th pixel is other than 0."""
    pixels = np.zeros((1024, 1024), np.uint8)
    pixels[::step, ::step] = 7
    form = {"photometric": "minisblack", **options}
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, subifds=levels, **form)
        for level in range(1, levels + 1):
            file.write(pixels[:: 2**level, :: 2**level], subfiletype=1, **form)
    return str(path)


def test_directories_of_overviews_inside_take_one_read_at_most(
    tmp_path: Path, storage: Storage
) -> None:
    path = Path(write_pyramid(tmp_path / "far.tif", 8))
    content = path.read_bytes()
    reads: list[list[tuple[int, int]]] = []

    def fetch(parts: Sequence[tuple[int, int]]) -> list[bytes]:
        reads.append(list(parts))
        return [content[start : start + length] for start, length in parts]

    def fail(start: int, length: int) -> bytes:
        raise AssertionError((start, length))

    identity = storage.stat(str(path))
    data = FileBytes(fail, len(content), content[: 32 << 10], fetch)
    assert parse_header(data, identity, "far.tif").mask is None
    ((first, *others),) = reads
    assert len(others) == 4
    assert first[1] == 4096
    with RangeServer(tmp_path) as server:
        assert count_header_requests(server, "far.tif") <= 6
        write_pyramid(tmp_path / "near.tif", 64, compression="zlib")
        assert count_header_requests(server, "near.tif") == 1


@pytest.mark.parametrize("place", [7, 20_000, 10**7], ids=["odd", "in pixels", "outside"])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_broken_directory_inside_hides_those_behind_it(
    place: int, number: int, tmp_path: Path, storage: Storage
) -> None:
    path = write_pages(tmp_path / "a.tif", np.zeros((5, 7), np.int16), MASK, inside=2)
    with tifffile.TiffFile(path, mode="r+") as file:
        places = list(file.pages.first.subifds)
        places[number] = place
        file.pages.first.tags[330].overwrite(places)
    with Path(path).open("ab") as file:
        file.write(bytes(range(1, 256)) * 100)
    with rasterio.open(path) as dataset:
        assert dataset.read_masks(1).all()
    assert read_header(storage, path).validity == "all"


@pytest.mark.parametrize("count", [3, 2**16, 2**20])
def test_a_list_of_directories_outside_the_file_is_none(
    count: int, tmp_path: Path, storage: Storage
) -> None:
    tags = strip_tags((9, 11), 9, t330=(4, [100, 200]))
    path = Path(write_handmade(tmp_path / "a.tif", tags, [bytes(99)]))
    entry = struct.pack("<HHI", 330, 4, 2)
    lost = struct.pack("<HHII", 330, 4, count, 10**7)
    content = path.read_bytes()
    start = content.index(entry)
    path.write_bytes(content[:start] + lost + content[start + 12 :])
    assert read_header(storage, str(path)).validity == "all"


@pytest.mark.parametrize(("entries", "is_found"), [(1000, True), (4096, True), (4097, False)])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_directory_inside_has_as_many_entries_as_libtiff_reads(
    entries: int, is_found: bool, tmp_path: Path, storage: Storage
) -> None:
    path = Path(write_pages(tmp_path / "a.tif", MASK, inside=1))
    with tifffile.TiffFile(path) as file:
        mask = file.pages.first.pages[0]
        place, count = file.pages.first.tags[330].valueoffset, len(mask.tags)
    content = path.read_bytes()
    old = content[mask.offset + 2 : mask.offset + 2 + 12 * count]
    more = b"".join(struct.pack("<HHII", 40000 + i, 3, 1, 0) for i in range(entries - count))
    start = len(content) + len(content) % 2
    moved = bytearray(content.ljust(start, b"\0"))
    moved[place : place + 4] = struct.pack("<I", start)
    path.write_bytes(moved + struct.pack("<H", entries) + old + more + bytes(4))
    with rasterio.open(path) as dataset:
        assert dataset.read_masks(1).all() != is_found
    assert (read_header(storage, str(path)).mask is not None) == is_found


def test_a_long_block_table_takes_one_request_more_and_milliseconds(
    write_tiff: Callable[..., str], tmp_path: Path, storage: Storage
) -> None:
    array = np.zeros((1, 1280, 1280), np.uint8)
    array[0, ::16, ::16] = 1
    path = write_tiff(
        array, "many.tif", compress="deflate", tiled=True, blockxsize=16, blockysize=16
    )
    with RangeServer(tmp_path) as server:
        assert count_header_requests(server, "many.tif") == 2
    times_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        header = read_header(storage, path)
        times_s.append(time.perf_counter() - start_s)
    assert len(header.block_offsets) == 6400
    assert min(times_s) < 0.05


def test_internal_mask_and_alpha_are_found(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("uint8", (4, 100, 100))
    alpha = read_header(storage, write_tiff(array, "rgba.tif", photometric="RGB", alpha="YES"))
    assert (alpha.alpha, alpha.validity, alpha.mask) == (3, "alpha", None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_tiff(array[:3], "rgb.tif", photometric="RGB", compress="deflate")
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(array[0] > 99)
    masked = read_header(storage, path)
    assert (masked.alpha, masked.validity) == (None, "mask")
    assert masked.mask is not None
    assert (masked.mask.shape, masked.mask.bits) == ((100, 100), 1)
    found = open_reader(path, storage).read_valid(Window(3, 5, 90, 80))
    assert np.array_equal(found, array[0, 3:93, 5:85] > 99)


def test_scale_and_offset_of_each_band(write_tiff: Callable[..., str], storage: Storage) -> None:
    path = write_tiff(distinct("uint16", (2, 50, 50)))
    assert read_header(storage, path).scales is None
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001, 0.5), (-0.1, 0.0)
    header = read_header(storage, path)
    assert (header.scales, header.shifts) == ((0.0001, 0.5), (-0.1, 0.0))


ITEM = '<Item name="SCALE" sample="0" role="scale">0.5</Item>'


@pytest.mark.parametrize(
    "item",
    [
        ITEM,
        ITEM.replace('"', "'"),
        ITEM.replace("role=", "role = "),
        ITEM.replace("role=", "ROLE\n="),
        ITEM.replace('"scale"', '"Scale"'),
        ITEM.replace('"scale"', '"sc&#97;le"'),
        ITEM.replace('"', ""),
    ],
)
def test_a_scale_in_any_spelling_is_one(item: str, tmp_path: Path, storage: Storage) -> None:
    tags = strip_tags((9, 11), 9)
    tags[42112] = (2, f"<GDALMetadata>{item}</GDALMetadata>".encode())
    path = write_handmade(tmp_path / "a.tif", tags, [bytes(99)])
    assert read_header(storage, path).scales == (0.5,)


def test_colours_of_bands_in_the_metadata_win(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    """GDAL takes a fourth band of bytes for alpha, unless the file says that it is none."""
    array = distinct("uint8", (4, 50, 50))
    path = write_tiff(array)
    assert read_header(storage, path).validity == "alpha"
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.undefined] * 4
    header = read_header(storage, path)
    assert (header.alpha, header.validity) == (None, "all")


def test_values_of_all_bands_together_are_no_data(tmp_path: Path, storage: Storage) -> None:
    pixels = np.array([[[1, 1, 2, 3]], [[2, 9, 2, 1]]], np.uint8)
    tags = strip_tags((1, 4), 1, t258=(3, [8, 8]), t277=(3, 2))
    metadata = b"<GDALMetadata><Item name='NODATA_VALUES'>1 2</Item></GDALMetadata>"
    path = write_handmade(
        tmp_path / "a.tif", {**tags, 42112: (2, metadata)}, [pixels.transpose(1, 2, 0).tobytes()]
    )
    reader = open_reader(path, storage)
    assert same_bits(reader.read(Window(0, 0, 1, 4)), pixels)
    assert reader.read_valid(Window(0, 0, 1, 4)).tolist() == [[False, True, True, True]]


@pytest.mark.parametrize("domain", ["'RPC'", '"RPC"', "RPC"])
def test_polynomials_in_the_metadata_are_found(
    domain: str, tmp_path: Path, storage: Storage
) -> None:
    item = f"<Item name='LINE_OFF' domain = {domain}>2</Item>"
    tags = strip_tags((9, 11), 9, t33550=None, t33922=None)
    tags[42112] = (2, f"<GDALMetadata>{item}</GDALMetadata>".encode())
    path = write_handmade(tmp_path / "a.tif", tags, [bytes(99)])
    assert read_header(storage, path).why_no_grid == "rational polynomials (RPCs)"


def _with_metadata(path: Path, text: bytes, **more: tuple[int, object]) -> str:
    tags = strip_tags((9, 11), 9, **more)
    return write_handmade(path, {**tags, 42112: (2, text)}, [bytes(99)])


def test_files_that_differ_in_other_metadata_share_a_description(
    tmp_path: Path, storage: Storage
) -> None:
    """GDAL takes milliseconds for a description, and those kept are few."""
    other = '<Item name="FILE_%d" domain="A">a scale and an offset, role, &lt;%d&gt;</Item>'
    scales = []
    before = describe_image.cache_info()
    for number in range(6):
        items = "\n  ".join([other % (number, number), ITEM if number % 2 else ""])
        text = f"<GDALMetadata>\n  {items}\n</GDALMetadata>\n".encode()
        scales.append(read_header(storage, _with_metadata(tmp_path / "a.tif", text)).scales)
    assert scales == [None, (0.5,)] * 3
    assert describe_image.cache_info().misses - before.misses <= 2


@pytest.mark.parametrize(
    ("text", "scales"),
    [
        (f"<GDALMetadata><!-- {ITEM} --></GDALMetadata>", None),
        (f"<Other>{ITEM}</Other>", None),
        (f"<GDALMetadata><Item name='a'>{ITEM}</Item></GDALMetadata>", None),
        (f"<GDALMetadata>{ITEM}<Item name='b'/></GDALMetadata>", (0.5,)),
        (f'<GDALMetadata>{ITEM}<Item name="b">&quot;</Item></GDALMetadata>', (0.5,)),
        (f"<GDALMetadata>{ITEM}{ITEM.replace('0.5', '2')}</GDALMetadata>", (2.0,)),
        (f"<GDALMetadata>{ITEM}</GDALMetadata>\0</GDALMetadata>", (0.5,)),
    ],
)
def test_scales_in_metadata_are_those_of_gdal(
    text: str, scales: tuple[float] | None, tmp_path: Path, storage: Storage
) -> None:
    path = _with_metadata(tmp_path / "a.tif", text.encode())
    with rasterio.open(path) as dataset:
        assert dataset.scales == (scales or (1.0,))
    assert read_header(storage, path).scales == scales


def test_long_metadata_take_no_long_time(tmp_path: Path, storage: Storage) -> None:
    path = _with_metadata(tmp_path / "a.tif", b"role=scale domain=" + b" " * 200_000)
    begun = time.process_time()
    read_header(storage, path)
    assert time.process_time() - begun < 5  # the square of the spaces would take minutes


@pytest.mark.parametrize("photometric", [1, 8], ids=["scale", "read by GDAL"])
def test_metadata_of_too_many_items_are_refused(
    photometric: int, tmp_path: Path, storage: Storage
) -> None:
    """GDAL's time for them grows by the square of their number; only then does it count."""
    items = b"".join(b'<Item name="%d"/>' % number for number in range(30_001))
    bands = {1: {}, 8: {"t258": (3, [8, 8, 8]), "t277": (3, 3), "t262": (3, 8)}}[photometric]
    text = items if photometric == 8 else items + b"role=scale"
    path = _with_metadata(tmp_path / "a.tif", text, **bands)
    with pytest.raises(NotARaster, match="30001 items"):
        read_header(storage, path)
    path = _with_metadata(tmp_path / "b.tif", items)
    assert read_header(storage, path).why_unsupported is None


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "scale",
    [
        (5, [(20, 2), (5, 1), (0, 1)]),
        (10, [(-7, 2), (7, 2), (0, 1)]),
        (5, [(7, 0), (7, 2), (0, 1)]),
    ],
)
def test_a_pixel_size_in_fractions_is_read_as_by_gdal(
    scale: tuple[int, list[tuple[int, int]]], byteorder: Any, tmp_path: Path, storage: Storage
) -> None:
    tie, matrix = (
        (12, [0.0, 0, 0, 500_000, 4_000_000, 0]),
        (12, [3.0, 0, 0, 8, 0, 3, 0, 8] + [0] * 8),
    )
    tags = strip_tags((9, 11), 9, t33550=scale, t33922=tie, t34264=matrix)
    path = write_handmade(tmp_path / "a.tif", tags, [bytes(99)], byteorder=byteorder)
    with rasterio.open(path) as dataset:
        assert read_header(storage, path).transform == dataset.transform


# -- masks in other places and of other forms: pages of one TIFF, by tifffile ----------------------

MASK = (np.arange(35).reshape(5, 7) % 3 > 0).astype(np.uint8)


def write_pages(path: Path, *masks: np.ndarray[Any, Any], inside: int = 0, bands: int = 1) -> str:
    form = {"photometric": "minisblack", "planarconfig": "contig" if bands > 1 else None}
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((5, 7, bands), np.uint8), subifds=inside, **form)
        for mask in masks:
            file.write(mask, subfiletype=2, **form)
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in [*(file.pages.first.pages or ()), *file.pages[1:]]:
            page.tags[254].overwrite(4)
    return str(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("inside", [0, 1, 2])
def test_a_mask_may_lie_in_a_directory_of_the_image(
    inside: int, tmp_path: Path, storage: Storage
) -> None:
    other = np.zeros((5, 7), np.int16)
    masks = (other, MASK) if inside == 2 else (MASK,)
    path = write_pages(tmp_path / "a.tif", *masks, inside=inside)
    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read_masks(1) > 0, MASK)
    assert np.array_equal(open_reader(path, storage).read_valid(Window(0, 0, 5, 7)), MASK)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float32"])
def test_a_mask_of_other_numbers_than_bytes_is_none(
    dtype: str, tmp_path: Path, storage: Storage
) -> None:
    path = write_pages(tmp_path / "a.tif", MASK.astype(dtype))
    assert read_header(storage, path).validity == "all"
    path = write_pages(tmp_path / "a.tif", MASK.astype(dtype), MASK)
    assert np.array_equal(open_reader(path, storage).read_valid(Window(0, 0, 5, 7)), MASK)


def test_a_mask_of_another_size_is_passed_over(tmp_path: Path, storage: Storage) -> None:
    path = write_pages(tmp_path / "a.tif", MASK[:4], MASK)
    assert np.array_equal(open_reader(path, storage).read_valid(Window(0, 0, 5, 7)), MASK)


def test_a_mask_of_each_band_is_refused(tmp_path: Path, storage: Storage) -> None:
    path = write_pages(tmp_path / "a.tif", np.zeros((5, 7, 2), np.uint8), bands=2)
    with pytest.raises(NotARaster, match="its mask has 2 bands"):
        open_reader(path, storage)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(10, 0, 600000, 0, -10, 4000000),
        Affine(10, 0, 600000, 0, 10, 4000000),  # south-up
        Affine(444.8, 0, 6e5, 0, -453.6, 4e6),
        turned((6e5, 4e6), 20, 10, -10),
        Affine(0.25, 0, -180, 0, -0.25, 90),
    ],
)
@pytest.mark.parametrize("crs", ["EPSG:32629", "EPSG:4326", "+proj=sinu +R=6371007.181", None])
def test_georeferencing_equals_rasterio(
    transform: Affine, crs: str | None, write_tiff: Callable[..., str], storage: Storage
) -> None:
    for i, options in enumerate([{}, {"endianness": "BIG", "bigtiff": "YES"}]):
        path = write_tiff(
            distinct("uint8", (1, 20, 30)), f"{i}.tif", crs=crs, transform=transform, **options
        )
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(AREA_OR_POINT="Point" if i else "Area")
        header = read_header(storage, path)
        with rasterio.open(path) as dataset:
            assert header.transform == dataset.transform
            assert (header.crs is None) == (dataset.crs is None)
            if header.crs:
                assert rasterio.crs.CRS.from_user_input(header.crs) == dataset.crs
            if crs:
                assert header.geobox is not None
                assert header.geobox.affine == dataset.transform
            else:
                assert header.geobox is None


def test_no_georeferencing_is_none(storage: Storage, tmp_path: Path) -> None:
    tags = strip_tags(SHAPE, 50, t33550=None, t33922=None)
    header = read_header(storage, write_handmade(tmp_path / "a.tif", tags, [GREY.tobytes()]))
    assert (header.crs, header.transform, header.geobox) == (None, None, None)


def hostile(**more: Any) -> Any:
    """A handmade file with something wrong in its tags."""
    after = more.pop("after", 0)
    is_big = more.pop("is_big", False)
    rows = more.pop("rows", 7)
    return (strip_tags(SHAPE, rows, **more), {"after": after, "is_big": is_big})


HOSTILE = {
    "directory loop": hostile(after=8),
    "no width": hostile(t256=None),
    "zero width": hostile(t256=(4, 0)),
    "zero height": hostile(t257=(4, 0)),
    "zero rows in a strip": hostile(t278=(4, 0)),
    "zero tile": hostile(t322=(3, 0), t323=(3, 0)),
    "tile of 2^60": hostile(is_big=True, t322=(16, 2**60), t323=(16, 2**60)),
    "image of 2^60": hostile(is_big=True, t256=(16, 2**60), t257=(16, 2**60)),
    "10^14 blocks": hostile(t256=(4, 2**31 - 1), t257=(4, 2**31 - 1), t322=(3, 16), t323=(3, 16)),
    "tile of 4 GB": hostile(t322=(4, 2**16), t323=(4, 2**16)),
    "no bands": hostile(t277=(3, 0)),
    "10^9 bands": hostile(t277=(4, 10**9)),
    "65535 planes": hostile(t277=(3, 65535), t284=(3, 2), t256=(4, 10**6), t257=(4, 10**6)),
    "bits of 0": hostile(t258=(3, 0)),
    "bits of 60000": hostile(t258=(3, 60000)),
    "bits that differ": hostile(t277=(3, 3), t258=(3, [8, 8, 16])),
    "width as a double": hostile(t256=(12, 40.0)),
    "no offsets": hostile(t273=None, t279=None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_refused_at_once(name: str, tmp_path: Path, storage: Storage) -> None:
    tags, options = HOSTILE[name]
    path = write_handmade(tmp_path / "a.tif", tags, strips_of(GREY, 7), **options)
    assert_refused(path, storage)


def assert_refused(path: str, storage: Storage) -> None:
    read_something = Window(0, 0, 1, 1)
    tracemalloc.start()
    start_s = time.perf_counter()
    try:
        with pytest.raises(NotARaster, match=r"a\.tif"):
            open_reader(path, storage).read(read_something)
        assert time.perf_counter() - start_s < 10
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"II*\0", "short"),
        (b"II*\0\0\0\0\0", "a directory at byte 0"),
        (b"II*\0\4\0\0\0" + bytes(100), "a directory at byte 4"),
        (b"II*\0\xff\xff\xff\xff" + bytes(100), "a directory outside"),
        (b"MM\0*\0\0\0\x08\xff\xff" + bytes(100), "65535 entries"),
        (b"II*\0\x08\0\0\0\0\0" + bytes(100), "no entries"),
        (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 10**9) + bytes(99), "10^9 entries"),
        (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 2**63, 1) + bytes(99), "a directory at 2^63"),
        (b"II+\0\x04\0\0\0" + bytes(99), "offsets of 4 bytes in a BigTIFF"),
    ],
)
def test_headers_that_are_no_headers(
    content: bytes, why: str, tmp_path: Path, storage: Storage
) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert_refused(str(tmp_path / "a.tif"), storage)


def test_values_outside_the_file_are_refused(tmp_path: Path, storage: Storage) -> None:
    path = tmp_path / "a.tif"
    for is_big, count in ((False, 2**32 - 1), (True, 2**60), (True, 2**64 - 1)):
        write_handmade(path, strip_tags(SHAPE, 7), strips_of(GREY, 7), is_big=is_big)
        content = bytearray(path.read_bytes())
        head, entry, pointer = (16 + 8, 20, "Q") if is_big else (8 + 2, 12, "I")
        at = head + sorted(strip_tags(SHAPE, 7)).index(273) * entry
        content[at + 4 : at + 4 + struct.calcsize(pointer)] = struct.pack("<" + pointer, count)
        path.write_bytes(content)
        assert_refused(str(path), storage)


def write_sparse(path: Path, tags: list[tuple[int, int, int, int]], size: int) -> str:
    """A TIFF of one directory and then zeros: `tags` are (tag, type, count, value or place)."""
    grey = [(256, 4, 1, 40), (257, 4, 1, 50), (258, 3, 1, 8), (259, 3, 1, 1), (278, 4, 1, 50)]
    entries = sorted([*grey, (279, 4, 1, 2000), *tags])
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    with path.open("wb") as file:
        file.write(b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4))
        file.truncate(size)
    return str(path)


@pytest.mark.parametrize(
    "tags",
    [
        [(273, 4, 4 << 20, 65536)] * 4000,
        [(273, 4, 60 << 20, 65536)],
        [(273, 4, 1, 8), (33628, 4, 8 << 20, 65536)],  # tifffile follows those one by one
    ],
)
def test_long_values_in_a_large_file_take_neither_time_nor_memory(
    tags: list[tuple[int, int, int, int]], tmp_path: Path, storage: Storage
) -> None:
    assert_refused(write_sparse(tmp_path / "a.tif", tags, 1 << 30), storage)


@pytest.mark.parametrize(("tag", "kind"), [(42113, 2), (33550, 12), (279, 4)])
def test_what_a_file_was_to_say_behind_its_end_is_not_taken_for_absent(
    tag: int, kind: int, tmp_path: Path, storage: Storage
) -> None:
    """tifffile drops such tags: nodata would be data."""
    tags = [(273, 4, 1, 8), (tag, kind, 30, 90000)]
    path = tmp_path / "a.tif"
    write_sparse(path, [*tags, (270, 2, 9, 90000)], 3000)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<HHII", 279, 4, 1, 2000), b"\xff" * 12))
    with pytest.raises(NotARaster, match=f"tag {tag}"):
        read_header(storage, str(path))


def test_a_store_that_fails_in_the_chain_of_directories_is_no_broken_file(
    write_tiff: Callable[..., str], tmp_path: Path
) -> None:
    """tifffile would end the chain there, and the mask be lost."""
    array = distinct("uint8", (1, 400, 400))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_tiff(array)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(array[0] > 99)
    storage = Storage(options=StorageOptions(max_attempts=1))
    assert read_header(storage, path).mask is not None
    with RangeServer(tmp_path) as server:
        server.script("/raster.tif", [Fault(), Fault(status=503)])
        with pytest.raises(StorageError, match="503"):
            read_header(storage, server.url("raster.tif"))


def test_what_tifffile_logs_of_our_files_is_not_shown(
    tmp_path: Path, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 7, t279=None), strips_of(GREY, 7))
    with caplog.at_level(0):
        with pytest.raises(NotARaster):
            read_header(storage, path)
        assert not caplog.records
        with tifffile.TiffFile(path):
            assert "ByteCounts" in caplog.text


def test_a_worker_with_a_header_at_hand_never_imports_tifffile(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    path = write_tiff(distinct("uint8", (1, 50, 40)))
    reader = open_reader(path, storage)
    program = (
        "import pickle, sys; from stacchip.raster import Window; "
        f"pickle.loads({pickle.dumps(reader)!r}).read(Window(0, 0, 9, 9)); "
        "print({'tifffile', 'rasterio'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "set()\n"


def test_a_header_changed_at_random_gives_pixels_or_an_error_of_ours(
    write_tiff: Callable[..., str], tmp_path: Path, storage: Storage
) -> None:
    path = write_tiff(
        distinct("uint16", (2, 90, 70)),
        tiled=True,
        blockxsize=32,
        blockysize=32,
        compress="deflate",
    )
    content = (tmp_path / "raster.tif").read_bytes()
    rng = random.Random(0)
    end = min(read_header(storage, path).block_offsets.tolist())
    for number in range(300):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(end)] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        broken = tmp_path / f"{number}.tif"
        broken.write_bytes(changed)
        start_s = time.perf_counter()
        try:
            reader = open_reader(str(broken), storage, force="fast")
            height, width = reader.shape
            reader.read(Window(0, 0, min(height, 90), min(width, 70)))
        except RasterError:
            pass
        assert time.perf_counter() - start_s < 15
        broken.unlink()


def test_every_truncation_gives_pixels_or_an_error_of_ours(
    tmp_path: Path, storage: Storage
) -> None:
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 7), strips_of(GREY, 7))
    content = (tmp_path / "a.tif").read_bytes()
    short = tmp_path / "short.tif"
    first = int(read_header(storage, path).block_offsets[0])
    for size in [*range(first), *range(first, len(content), 60)]:
        short.write_bytes(content[:size])
        with pytest.raises(RasterError):
            open_reader(str(short), storage, force="fast").read(Window(0, 0, *SHAPE))
    assert open_reader(path, storage).read(Window(0, 0, *SHAPE)).any()


def test_what_is_no_tiff_is_told_apart_from_what_is_broken(
    tmp_path: Path, storage: Storage
) -> None:
    (tmp_path / "a.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50))
    with pytest.raises(UnsupportedRaster, match="no TIFF"):
        read_header(storage, str(tmp_path / "a.jp2"))
    with pytest.raises(ObjectNotFound):
        read_header(storage, str(tmp_path / "b.tif"))
    with pytest.raises(ObjectNotFound):
        open_reader(str(tmp_path / "b.tif"), storage, force="gdal")
