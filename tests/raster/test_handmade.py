"""Files that no library of today writes, and blocks that are broken: judged as GDAL judges them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import rasterio

from raster.handmade import old_lzw, strip_tags, strips_of, write_handmade
from raster.pixels import assert_reads_like_rasterio, distinct, same_bits
from stacchip.errors import CorruptBlock, NotARaster
from stacchip.raster import Window, open_reader, read_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stacchip.storage import Storage

SHAPE = (50, 40)
WHOLE = Window(0, 0, *SHAPE)
GREY = distinct("uint8", (1, *SHAPE))[0]
STRIPS = strips_of(GREY, 7)
ENCODERS: dict[int, Callable[[bytes], bytes]] = {
    1: bytes,
    5: imagecodecs.lzw_encode,
    8: zlib.compress,
    32773: imagecodecs.packbits_encode,
    32946: zlib.compress,
    50000: imagecodecs.zstd_encode,
}


def reverse_bits(data: bytes) -> bytes:
    return bytes(imagecodecs.bitorder_decode(data))


@pytest.mark.parametrize("codec", ENCODERS)
def test_fill_order_2(codec: int, tmp_path: Path, storage: Storage) -> None:
    blocks = [reverse_bits(ENCODERS[codec](strip)) for strip in STRIPS]
    tags = strip_tags(SHAPE, 7, compression=codec, t266=(3, 2))
    assert_reads_like_rasterio(write_handmade(tmp_path / "a.tif", tags, blocks), storage)


def test_lzw_of_the_first_writers(tmp_path: Path, storage: Storage) -> None:
    array = distinct("uint8", (1, 400, 400))[0] // 8
    blocks = [old_lzw(strip) for strip in strips_of(array, 100)]
    path = write_handmade(tmp_path / "a.tif", strip_tags(array.shape, 100, compression=5), blocks)
    assert_reads_like_rasterio(path, storage)
    assert same_bits(open_reader(path, storage).read(Window(0, 0, 400, 400))[0], array)


@pytest.mark.parametrize("codec", ENCODERS)
def test_a_last_strip_may_hold_more_rows_than_the_image(
    codec: int, tmp_path: Path, storage: Storage
) -> None:
    longer = np.vstack([GREY, np.full((6, 40), 9, np.uint8)])
    blocks = [ENCODERS[codec](strip) for strip in strips_of(longer, 7)]
    tags = strip_tags(SHAPE, 7, compression=codec)
    assert_reads_like_rasterio(write_handmade(tmp_path / "a.tif", tags, blocks), storage)


@pytest.mark.parametrize("codec", [1, 5, 8, 32946])
def test_bytes_behind_a_stream_do_not_matter(codec: int, tmp_path: Path, storage: Storage) -> None:
    blocks = [ENCODERS[codec](strip) + b"\1\2\3" for strip in STRIPS]
    tags = strip_tags(SHAPE, 7, compression=codec)
    assert_reads_like_rasterio(write_handmade(tmp_path / "a.tif", tags, blocks), storage)


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("harm", ["shorter image", "cut stream", "one byte"])
def test_too_little_is_an_error_and_never_zeros(
    codec: int, harm: str, tmp_path: Path, storage: Storage
) -> None:
    encode = ENCODERS[codec]
    blocks = [encode(strip) for strip in STRIPS]
    broken = {"shorter image": encode(STRIPS[-1][:-1]), "cut stream": blocks[-1][:-5]}
    blocks[-1] = broken.get(harm, b"\0")
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 7, compression=codec), blocks)
    with rasterio.open(path) as dataset, pytest.raises(rasterio.errors.RasterioIOError):
        dataset.read()
    reader = open_reader(path, storage, force="fast")
    with pytest.raises(CorruptBlock) as caught:
        reader.read(WHOLE)
    assert caught.value.block == (0, 7, 0)
    assert same_bits(reader.read(Window(0, 0, 49, 40))[0], GREY[:49])


@pytest.mark.parametrize("place", [-1, -4, 30])
def test_a_wrong_checksum_is_an_error(place: int, tmp_path: Path, storage: Storage) -> None:
    stream = bytearray(zlib.compress(GREY.tobytes(), level=0))  # stored: only the sum can tell
    stream[place] ^= 1
    path = write_handmade(tmp_path / "a.tif", strip_tags(SHAPE, 50, compression=8), [bytes(stream)])
    with rasterio.open(path) as dataset, pytest.raises(rasterio.errors.RasterioIOError):
        dataset.read()
    with pytest.raises(CorruptBlock):
        # not even the rows before the change: nothing says which they are
        open_reader(path, storage).read(Window(0, 0, 1, 1))


def test_a_claim_of_huge_blocks_allocates_nothing(tmp_path: Path, storage: Storage) -> None:
    for codec in ENCODERS:
        tags = strip_tags((30000, 30000), 30000, compression=codec)
        path = write_handmade(tmp_path / "a.tif", tags, [b"\x78\x9c\x03\x00\x00\x00\x00\x01"])
        with pytest.raises(CorruptBlock):
            open_reader(path, storage).read(Window(0, 0, 1, 1))


@pytest.mark.parametrize("codec", [1, 5, 8])
def test_the_length_of_a_single_strip_may_be_absent(
    codec: int, tmp_path: Path, storage: Storage
) -> None:
    encode = ENCODERS[codec]
    tags = strip_tags(SHAPE, 50, compression=codec, t279=None)
    path = write_handmade(tmp_path / "one.tif", tags, [encode(GREY.tobytes())])
    assert_reads_like_rasterio(path, storage)
    tags = strip_tags(SHAPE, 7, compression=codec, t279=None)
    path = write_handmade(tmp_path / "more.tif", tags, [encode(strip) for strip in STRIPS])
    with pytest.raises(rasterio.errors.RasterioIOError):
        rasterio.open(path)
    with pytest.raises(NotARaster, match="no table of its blocks' lengths"):
        open_reader(path, storage)


@pytest.mark.parametrize("more", [{"t317": (3, 2)}, {"t317": (3, 7)}, {"t266": (3, 65)}])
@pytest.mark.parametrize("codec", [1, 32773])
def test_tags_that_mean_nothing_to_a_codec_are_ignored(
    codec: int, more: dict[str, Any], tmp_path: Path, storage: Storage
) -> None:
    tags = strip_tags(SHAPE, 7, compression=codec, **more)
    path = write_handmade(tmp_path / "a.tif", tags, [ENCODERS[codec](strip) for strip in STRIPS])
    assert_reads_like_rasterio(path, storage)


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        (50, {"t279": (4, [0])}),  # of one strip, 0 means unknown
        (50, {"t279": (4, [99999])}),
        (7, {"t279": (4, [0] * 8)}),  # of several, it means sparse
        (7, {"t279": (4, [280, 280, 0, 280, 280, 280, 280, 40])}),
        (7, {"t279": (4, [200] * 8)}),  # uncompressed, the length is known better
        (7, {"t279": (4, [279, 280, 280, 280, 280, 280, 280, 40])}),
        (7, {"t273": (4, [0] * 8)}),
        (50, {"t278": None}),
        (2**32 - 1, {}),
        (50, {"t317": (3, 2)}),  # a predictor without a codec
        (50, {"t262": (3, 0)}),
        (50, {"t262": None}),
        (50, {"t277": None}),
        (50, {"t274": (3, 6)}),  # orientation: GDAL does not turn
        (50, {"t262": (3, 3), "t320": (3, list(range(768)))}),  # palette
    ],
)
def test_tables_and_tags_are_taken_as_gdal_takes_them(
    rows: int, more: dict[str, Any], tmp_path: Path, storage: Storage
) -> None:
    tags = strip_tags(SHAPE, rows, **more)
    blocks = strips_of(GREY, min(rows, 50))
    assert_reads_like_rasterio(write_handmade(tmp_path / "a.tif", tags, blocks), storage)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("dtype", "bits"), [("i2", 32), ("i4", 64)])
@pytest.mark.parametrize("predictor", [1, 2])
def test_complex_integers_become_complex64(
    order: Any, dtype: str, bits: int, predictor: int, tmp_path: Path, storage: Storage
) -> None:
    pairs = distinct(np.dtype(dtype).name, (1, 50, 80))[0].astype(order + dtype)
    tags = strip_tags(SHAPE, 50, bits=bits, compression=8, t317=(3, predictor), t339=(3, 5))
    path = write_handmade(
        tmp_path / "a.tif", tags, [zlib.compress(pairs.tobytes())], byteorder=order
    )
    assert_reads_like_rasterio(path, storage)
    assert open_reader(path, storage).dtype == "complex64"


def test_every_half_float_is_promoted_as_gdal_promotes_it(tmp_path: Path, storage: Storage) -> None:
    patterns = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    tags = strip_tags((256, 256), 256, bits=16, t339=(3, 3))
    path = write_handmade(tmp_path / "a.tif", tags, [patterns.tobytes()])
    assert_reads_like_rasterio(path, storage)


@pytest.mark.parametrize("order", ["<", ">"])
def test_bigtiff_with_8_byte_tables(order: Any, tmp_path: Path, storage: Storage) -> None:
    tags = strip_tags(SHAPE, 7, t273=(16, None), t279=(16, None))
    path = write_handmade(tmp_path / "a.tif", tags, STRIPS, byteorder=order, is_big=True)
    assert_reads_like_rasterio(path, storage)


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("uint8", "300"), ("uint8", "-9999"), ("uint8", "nan"), ("uint8", "0.5"), ("uint8", " 7"),
        ("uint8", ""), ("uint8", "abc"), ("int8", "-128"), ("int8", "200"), ("int16", "99999"),
        ("uint16", "1e3"), ("uint16", "65535.0"), ("uint32", "4294967295"), ("float32", "nan"),
        ("float32", "-3.4e+38"), ("float32", "1e40"), ("float32", "-inf"), ("float32", "junk"),
        ("float32", "-1.#IND"), ("float64", "-1.7976931348623157e+308"), ("int64", "1.5"),
        ("int64", "-9223372036854775808"),
    ],
)  # fmt: skip
def test_nodata_and_the_value_of_sparse_blocks(
    dtype: str, text: str, tmp_path: Path, storage: Storage
) -> None:
    kind = np.dtype(dtype)
    array = distinct(dtype, (1, *SHAPE))[0]
    blocks = strips_of(array, 25)
    tags = strip_tags(
        SHAPE, 25, bits=kind.itemsize * 8, t42113=(2, text.encode()),
        t339=(3, {"u": 1, "i": 2, "f": 3}[kind.kind]), t279=(4, [len(blocks[0]), 0]),
    )  # fmt: skip
    path = write_handmade(tmp_path / "a.tif", tags, blocks)
    assert_reads_like_rasterio(path, storage)
    reader = open_reader(path, storage)
    with rasterio.open(path) as dataset:
        assert reader.nodata == dataset.nodata or repr(reader.nodata) == repr(dataset.nodata)
        assert isinstance(reader.nodata, int) == (
            kind.kind in "iu" and dataset.nodata is not None and dataset.nodata.is_integer()
        )
        if text != "0.5":  # GDAL's mask takes it for 0; no pixel has it
            assert np.array_equal(reader.read_valid(WHOLE), dataset.dataset_mask() != 0)


def test_the_largest_64_bit_integers_are_exact_as_nodata(tmp_path: Path, storage: Storage) -> None:
    array = np.full(SHAPE, 2**64 - 1, np.uint64)
    array[0, 0] = 2**64 - 2
    tags = strip_tags(SHAPE, 50, bits=64, t42113=(2, b"18446744073709551615"))
    path = write_handmade(tmp_path / "a.tif", tags, [array.tobytes()])
    reader = open_reader(path, storage)
    assert reader.nodata == 2**64 - 1
    assert reader.read_valid(WHOLE).sum() == 1


def test_large_uncompressed_strips_are_read_in_parts(tmp_path: Path, storage: Storage) -> None:
    """A chip of an image in one strip must not fetch the image."""
    array = distinct("uint16", (1, 1000, 1100))[0]
    for rows in (1000, 300, 331):
        tags = strip_tags(array.shape, rows, bits=16)
        path = write_handmade(tmp_path / f"{rows}.tif", tags, strips_of(array, rows))
        assert_reads_like_rasterio(path, storage)
        reader = open_reader(path, storage)
        before = storage.bytes_read
        reader.read(Window(500, 0, 10, 10))
        assert storage.bytes_read - before < 600_000
        header = read_header(storage, path)
        assert header.row_bytes * header.block_shape[0] <= 256 << 10
