"""TIFFs that ask for more than they hold, and tables that hold less than their image needs."""

from __future__ import annotations

import struct
import time
import zlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import rasterio

from raster.handmade import strip_tags, strips_of, write_handmade
from raster.pixels import assert_reads_like_rasterio, distinct, same_bits
from stacchip.errors import (
    CorruptBlock,
    LimitExceeded,
    NotARaster,
    RasterError,
    StacchipError,
    UnsupportedRaster,
)
from stacchip.raster import (
    Header,
    Window,
    WindowRequest,
    open_reader,
    read_header,
    read_windows,
)
from stacchip.raster.header import MISSING
from stacchip.storage import Limits, Storage, StorageOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE = (50, 40)
WHOLE = Window(0, 0, *SHAPE)
GREY = distinct("uint8", (1, *SHAPE))[0]
STRIPS = strips_of(GREY, 7)
SHORT, LONG, DOUBLE, LONG8 = 3, 4, 12, 16


def limited(**limits: int) -> Storage:
    return Storage(options=StorageOptions(limits=Limits(**limits)))


def set_count(path: Path, tag: int, count: int) -> None:
    """Change the count of a tag of a little-endian TIFF."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, start)
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", content, at)[0] == tag:
            struct.pack_into("<I", content, at + 4, count)
    path.write_bytes(content)


# -- tables of blocks that are too short -----------------------------------------------------------


@pytest.mark.parametrize("codec", [1, 8])
@pytest.mark.parametrize("short", [{273}, {279}, {273, 279}])
@pytest.mark.parametrize("count", [1, 3, 5, 7])
def test_a_block_that_the_table_lacks_is_an_error_and_never_zeros(
    codec: int, short: set[int], count: int, tmp_path: Path, storage: Storage
) -> None:
    path = tmp_path / "a.tif"
    encode: Callable[[bytes], bytes] = zlib.compress if codec == 8 else bytes
    tags = strip_tags(SHAPE, 7, compression=codec)
    write_handmade(path, tags, [encode(strip) for strip in STRIPS])
    if count > 1:
        for tag in short:
            set_count(path, tag, count)
    else:  # a count of 1 would make a place of the value
        table = {f"t{tag}": (LONG, [200]) for tag in short}
        tags = strip_tags(SHAPE, 7, compression=codec, **table)
        write_handmade(path, tags, [encode(strip) for strip in STRIPS])
    reader = open_reader(str(path), storage, force="fast")
    if count > 1:
        known = Window(0, 0, 7 * count, 40)
        assert same_bits(reader.read(known)[0], GREY[: 7 * count])
    for block in range(count, 8):
        window = Window(7 * block, 0, 1, 40)
        for read in (reader.read, reader.read_valid):
            with pytest.raises(CorruptBlock, match="absent from the file's table") as caught:
                read(window)
            assert caught.value.block == (0, block, 0)
            assert str(path) in str(caught.value)
    again = Header.from_record(reader.header.to_record())  # type: ignore[union-attr]
    assert (again.block_offsets == MISSING).sum() == 8 - count


def test_a_short_table_of_large_uncompressed_strips(tmp_path: Path, storage: Storage) -> None:
    array = distinct("uint16", (1, 900, 1000))[0]
    path = tmp_path / "a.tif"
    write_handmade(path, strip_tags(array.shape, 300, bits=16), strips_of(array, 300))
    set_count(path, 273, 2)
    reader = open_reader(str(path), storage)
    assert same_bits(reader.read(Window(500, 0, 100, 1000))[0], array[500:600])
    with pytest.raises(CorruptBlock):
        reader.read(Window(600, 0, 1, 1))


def test_a_short_table_of_a_mask(write_tiff: Any, tmp_path: Path, storage: Storage) -> None:
    path = tmp_path / "raster.tif"
    pixels = distinct("uint8", (1, 64, 64))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_tiff(pixels, tiled=True, blockxsize=16, blockysize=16)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.eye(64, dtype=bool))
    content = bytearray(path.read_bytes())
    mask = next(
        at
        for at in range(len(content) - 2, 0, -1)
        if content[at : at + 8] == struct.pack("<HHI", 324, LONG, 16)
    )
    struct.pack_into("<I", content, mask + 4, 9)
    path.write_bytes(content)
    reader = open_reader(str(path), storage)
    assert same_bits(reader.read(Window(48, 48, 16, 16))[0], pixels[0, 48:, 48:])
    assert reader.read_valid(Window(0, 0, 16, 16)).sum() == 16
    with pytest.raises(CorruptBlock):
        reader.read_valid(Window(48, 48, 16, 16))


# -- what may be held in memory --------------------------------------------------------------------


def test_a_block_larger_than_the_limit_is_refused_until_it_is_raised(tmp_path: Path) -> None:
    tags = strip_tags((64, 64), 64, compression=50000)
    data = imagecodecs.zstd_encode(bytes(4096))
    path = write_handmade(tmp_path / "a.tif", tags, [data])
    reader = open_reader(path, limited(block_bytes=4095))
    with pytest.raises(LimitExceeded, match="takes 4096 bytes, and the limit 'block_bytes'"):
        reader.read(Window(0, 0, 1, 1))
    assert not open_reader(path, limited(block_bytes=4096)).read(Window(0, 0, 1, 1)).any()


def test_a_block_counts_as_large_as_its_pixels(tmp_path: Path) -> None:
    tags = strip_tags((64, 64), 64, bits=1, compression=8)
    path = write_handmade(tmp_path / "a.tif", tags, [zlib.compress(bytes(512))])
    with pytest.raises(LimitExceeded):
        open_reader(path, limited(block_bytes=4095)).read(Window(0, 0, 1, 1))


def test_a_window_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 7), STRIPS)
    assert same_bits(open_reader(path, limited(chip_bytes=20_000)).read(WHOLE)[0], GREY)
    for force in (None, "gdal"):
        reader = open_reader(path, limited(chip_bytes=1999), force=force)  # type: ignore[arg-type]
        with pytest.raises(LimitExceeded, match=r"takes 2000 bytes \(1 bands of 50 x 40 px\)"):
            read_windows([WindowRequest(reader, WHOLE)])


def test_blocks_of_a_window_count_with_what_it_takes_to_find_them(tmp_path: Path) -> None:
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 7), STRIPS)
    with pytest.raises(LimitExceeded, match="lies in 8 blocks of 7 x 40 px"):
        open_reader(path, limited(chip_bytes=15_000)).read(WHOLE)


@pytest.mark.parametrize("codec", [5, 8, 32773, 50000, 34925])
def test_a_length_that_no_block_can_have_is_not_fetched(
    codec: int, tmp_path: Path, storage: Storage
) -> None:
    tags = strip_tags((16, 16), 16, compression=codec, t279=(LONG, [2**31]))
    path = tmp_path / "a.tif"
    write_handmade(path, tags, [bytes(16)])
    with path.open("r+b") as file:
        file.truncate(2**32)  # sparse
    reader = open_reader(str(path), storage)
    before = storage.bytes_read
    with pytest.raises(CorruptBlock, match="is said to take 2147483648 bytes"):
        reader.read(Window(0, 0, 1, 1))
    assert storage.bytes_read == before


def test_strips_that_would_be_cut_into_millions_of_parts_stay_whole(
    tmp_path: Path, storage: Storage
) -> None:
    shape = (2**30, 2**20)
    tags = strip_tags(shape, 1024, t273=(LONG, 8), t279=(LONG, 2**30))
    path = write_handmade(tmp_path / "a.tif", tags, [])
    start_s = time.perf_counter()
    with pytest.raises(StacchipError):
        open_reader(path, storage, force="fast").read(Window(0, 0, 1, 1))
    tags = strip_tags((2**29 - 3, 1), 2**28 + 3, t273=(LONG, [8, 8]))  # of prime heights
    path = write_handmade(tmp_path / "b.tif", tags, [])
    with pytest.raises(StacchipError):
        open_reader(path, storage, force="fast").read(Window(0, 0, 1, 1))
    assert time.perf_counter() - start_s < 5


def test_planar_bands_take_time_in_proportion(tmp_path: Path, storage: Storage) -> None:
    count, shape = 4000, (1, 8)
    tags = strip_tags(shape, 1, t277=(SHORT, count), t284=(SHORT, 2), t33550=None, t33922=None)
    blocks = [struct.pack("<Q", number) for number in range(count)]
    reader = open_reader(write_handmade(tmp_path / "a.tif", tags, blocks), storage)
    start_s = time.perf_counter()
    found = reader.read(Window(0, 0, *shape))
    assert time.perf_counter() - start_s < 3  # with a loop over all bands for each: 6
    assert found.tobytes() == b"".join(blocks)
    wanted = [7, 3999, 7, 0]
    assert same_bits(reader.read(Window(0, 0, *shape), wanted), found[wanted])


# -- tags of odd types and values ------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"t339": (LONG8, [2**40])},
        {"t277": (LONG8, [2**40])},
        {"t277": (SHORT, [0])},
        {"t262": (LONG8, [2**40])},
        {"t338": (LONG8, [2**40])},
        {"t258": (LONG8, [2**63])},
        {"t258": (SHORT, [0])},
        {"t259": (LONG8, [2**40])},
        {"t317": (LONG8, [2**40])},
        {"t284": (LONG8, [2**40])},
        {"t266": (LONG8, [2**40])},
        {"t256": (DOUBLE, [40.0])},
        {"t256": (LONG8, [2**63])},
        {"t278": (SHORT, [0])},
        {"t278": (LONG8, [2**63])},
        {"t273": (DOUBLE, [8.0])},
        {"t33550": (DOUBLE, [float("nan")] * 3)},
        {"t33550": (DOUBLE, [float("inf")] * 3)},
        {"t33922": (DOUBLE, [1.0])},
        {"t33922": (SHORT, [1] * 6)},
        {"t34264": (DOUBLE, [0.0] * 16)},
        {"t34264": (SHORT, [1] * 16)},
        {"t34735": (LONG8, [2**40] * 8)},
        {"t34735": (SHORT, [1])},
        {"t34737": (2, b"\xff\xfe\x00|")},
        {"t42112": (2, b'<GDALMetadata role="scale"')},
        {"t42113": (2, b"\xff\xff")},
    ],
)
def test_tags_of_odd_values_give_pixels_or_an_error_of_ours(
    more: dict[str, Any], tmp_path: Path, storage: Storage
) -> None:
    path = write_handmade(
        tmp_path / "a.tif", strip_tags(SHAPE, 50, **more), [GREY.tobytes()], is_big=True
    )
    try:
        reader = open_reader(path, storage, force="fast")
        found = reader.read(WHOLE)
        assert reader.geobox is None or reader.geobox.shape.yx == SHAPE
    except RasterError:
        return
    assert same_bits(found[0], GREY)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", [SHORT, LONG, LONG8])
def test_a_scale_of_integers_places_pixels_as_in_gdal(
    kind: int, tmp_path: Path, storage: Storage
) -> None:
    tags = strip_tags(SHAPE, 50, t33550=(kind, [10, 20, 0]), t33922=(kind, [0, 0, 0, 600, 400, 0]))
    path = write_handmade(tmp_path / "a.tif", tags, [GREY.tobytes()], is_big=True)
    with rasterio.open(path) as dataset:
        assert open_reader(path, storage).transform == dataset.transform
        assert dataset.transform.a == 10


def test_a_mask_in_an_unknown_codec_has_no_valid_pixels_to_tell(
    tmp_path: Path, storage: Storage
) -> None:
    path = tmp_path / "a.tif"
    write_handmade(path, strip_tags(SHAPE, 50), [GREY.tobytes()])
    place = path.stat().st_size
    write_handmade(path, strip_tags(SHAPE, 50), [GREY.tobytes()], after=place)
    mask = strip_tags(SHAPE, 50, compression=7777, t254=(LONG, 4), t262=(SHORT, 4))
    second = tmp_path / "mask.tif"
    write_handmade(second, mask, [bytes(9)])
    # the directory alone: its values are short, so that they stand in it
    directory = bytearray(second.read_bytes()[8 : 8 + 2 + 12 * len(mask) + 4])
    keep = [tag for tag in sorted(mask) if tag not in (33550, 33922)]
    entries = [
        directory[2 + 12 * i : 14 + 12 * i] for i, tag in enumerate(sorted(mask)) if tag in keep
    ]
    with path.open("ab") as file:
        file.write(struct.pack("<H", len(keep)) + b"".join(entries) + bytes(4))
    reader = open_reader(str(path), storage)
    assert same_bits(reader.read(WHOLE)[0], GREY)
    with pytest.raises(UnsupportedRaster, match="compression 7777"):
        reader.read_valid(WHOLE)


def test_any_other_error_of_a_header_is_one_of_ours(tmp_path: Path, storage: Storage) -> None:
    tags = strip_tags(SHAPE, 50, t33550=(DOUBLE, [1e308] * 3), t42113=(2, b"9" * 5000))
    path = write_handmade(tmp_path / "a.tif", tags, [GREY.tobytes()])
    try:
        header = read_header(storage, path)
    except NotARaster:
        return
    assert header.shape == SHAPE


@pytest.mark.parametrize(
    "more",
    [
        {"t284": (SHORT, [7])},
        {"t284": (SHORT, [1, 1])},
        {"t256": (SHORT, [40, 40])},
        {"t278": (DOUBLE, [50.0])},
        {"t277": (SHORT, [1, 1])},
        {"t277": (SHORT, [3]), "t258": (SHORT, [8, 8])},  # bits of two bands of three
        {"t262": (SHORT, [3]), "t258": (SHORT, [4])},  # a palette without colours
        {"t339": (LONG, [1, 65536])},  # of a band that is not there
        {"t258": (LONG, [8, 65536])},
        {"t280": (LONG, [65536])},
        {"t281": (DOUBLE, [1.0])},
        {"t277": (SHORT, [2]), "t280": (SHORT, [0, 1])},
        {"t340": (SHORT, [0, 0])},
        {"t341": (2, b"")},
        {"t32996": (SHORT, [7])},
        {"t32998": (SHORT, [0])},
    ],
)
def test_what_gdal_refuses_is_refused(
    more: dict[str, Any], tmp_path: Path, storage: Storage
) -> None:
    tags = strip_tags(SHAPE, 50, **more)
    path = write_handmade(tmp_path / "a.tif", tags, [GREY.tobytes()])
    with pytest.raises(rasterio.errors.RasterioIOError), rasterio.open(path) as dataset:
        dataset.read()
    with pytest.raises(NotARaster):
        open_reader(path, storage, force="fast").read(WHOLE)


@pytest.mark.parametrize(
    "more",
    [
        {"t280": (SHORT, [0]), "t281": (LONG, [255])},
        {"t340": (DOUBLE, [0.0]), "t341": (SHORT, [255])},
        {"t32996": (SHORT, [2])},  # unsigned, like a sample format of 1
        {"t32995": (SHORT, [0])},
        {"t32997": (SHORT, [1]), "t32998": (SHORT, [1])},
    ],
)
def test_old_tags_of_samples_that_agree_with_the_others_are_read_over(
    more: dict[str, Any], tmp_path: Path, storage: Storage
) -> None:
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 50, **more), [GREY.tobytes()])
    assert_reads_like_rasterio(path, storage)


@pytest.mark.parametrize(
    "more",
    [
        {"t32996": (SHORT, [1])},  # signed, which GDAL takes over the sample format
        {"t32995": (SHORT, [1])},  # the last band is alpha
        {"t32997": (SHORT, [2])},
        {"t32998": (SHORT, [2])},
    ],
)
def test_old_tags_of_samples_that_contradict_the_others_are_refused(
    more: dict[str, Any], tmp_path: Path, storage: Storage
) -> None:
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 50, **more), [GREY.tobytes()])
    with pytest.raises(NotARaster):
        open_reader(path, storage)


@pytest.mark.parametrize(("sample_format", "bits"), [(5, 8), (6, 16), (6, 32)])
def test_complex_numbers_of_odd_bits_are_not_read_as_integers(
    sample_format: int, bits: int, tmp_path: Path, storage: Storage
) -> None:
    tags = strip_tags(SHAPE, 50, bits=bits, t339=(SHORT, [sample_format]))
    path = write_handmade(tmp_path / "a.tif", tags, [bytes(2000 * bits // 8)])
    with pytest.raises(NotARaster, match=f"complex numbers of {bits} bits"):
        open_reader(path, storage)


@pytest.mark.parametrize("more", [{"t324": (LONG, None)}, {"t323": (SHORT, [50])}])
def test_an_image_both_in_strips_and_in_tiles_is_refused(
    more: dict[str, Any], tmp_path: Path, storage: Storage
) -> None:
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 50, **more), [GREY.tobytes()])
    with pytest.raises(NotARaster):
        open_reader(path, storage, force="fast")


@pytest.mark.parametrize("kind", [SHORT, DOUBLE])
def test_nodata_that_is_no_text_is_ignored_as_by_gdal(
    kind: int, tmp_path: Path, storage: Storage
) -> None:
    path = write_handmade(
        tmp_path / "a.tif", strip_tags(SHAPE, 50, t42113=(kind, [300])), [GREY.tobytes()]
    )
    with rasterio.open(path) as dataset:
        assert dataset.nodata is None
    assert open_reader(path, storage).nodata is None


def test_a_deflate_stream_that_goes_on_behind_its_block_is_an_error(
    tmp_path: Path, storage: Storage
) -> None:
    """GDAL reads other pixels from it, if they are noise."""
    noise = np.random.default_rng(0).integers(0, 256, 2001, np.uint8).tobytes()
    path = write_handmade(
        tmp_path / "a.tif", strip_tags(SHAPE, 50, compression=8), [zlib.compress(noise)]
    )
    with pytest.raises(CorruptBlock):
        open_reader(path, storage).read(WHOLE)


@pytest.mark.parametrize(
    ("rows", "height", "least"),
    [
        (40, 32, 256),
        (20, 32, 640),
        (16, 48, 0),  # GDAL asks for the whole tile, of which libtiff knows the length
        (3, 64, 2016),  # GDAL asks for 63 rows
        (32, 32, 0),
    ],
)
def test_uncompressed_tiles_of_the_last_row_have_the_bytes_that_the_table_says(
    rows: int, height: int, least: int, tmp_path: Path, storage: Storage
) -> None:
    array = distinct("uint8", (1, rows, 32))[0]
    whole = np.zeros((-(-rows // height) * height, 32), np.uint8)
    whole[:rows] = array
    tiles = strips_of(whole, height)
    last, first = Window(rows - 1, 0, 1, 32), Window(0, 0, 1, 32)
    for length in {height * 32, max(least, 1), max(least - 1, 1), 10**6}:
        tags = strip_tags(
            array.shape, 32, t322=(SHORT, 32), t323=(SHORT, height), t324=(LONG, None),
            t325=(LONG, [1] * (len(tiles) - 1) + [length]), t273=None, t278=None, t279=None,
        )  # fmt: skip
        path = write_handmade(tmp_path / "a.tif", tags, tiles)
        reader = open_reader(path, storage)
        if not least or least <= length < 10**6:
            assert_reads_like_rasterio(path, storage)
            continue
        if len(tiles) > 1:
            assert same_bits(reader.read(first)[0], array[:1])
        with pytest.raises(CorruptBlock):
            reader.read(last)
        with rasterio.open(path) as dataset, pytest.raises(rasterio.errors.RasterioIOError):
            dataset.read()
