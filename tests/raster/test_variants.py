"""Every way in which GDAL writes a TIFF that the fast path serves: the same pixels to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raster.handmade import strip_tags, write_handmade
from raster.pixels import HALF_FLOAT, as_rasterio, assert_reads_like_rasterio, distinct, same_bits
from stacchip.errors import NotARaster
from stacchip.raster import Header, Window, open_reader, read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stacchip.storage import Storage

SHAPE = (67, 83)  # no multiple of any block; 16 bits a sample still fill the table of LZW
LAYOUTS: list[dict[str, Any]] = [
    {"tiled": True, "blockxsize": 48, "blockysize": 32},
    {"blockysize": 7},
    {"blockysize": SHAPE[0]},
]
INTERLEAVES = [(1, "pixel"), (3, "pixel"), (3, "band")]
ORDERS = ["LITTLE", "BIG"]


def forms(dtype: str, turn: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield numbers of bands with options: each two of bands, layouts and byte orders meet.

    Each three of them meet in an even and an odd turn.
    """
    for i, (bands, interleave) in enumerate(INTERLEAVES):
        for j, layout in enumerate(LAYOUTS):
            order = ORDERS[(i + j + turn) % 2 if np.dtype(dtype).itemsize > 1 else 0]
            yield bands, {"interleave": interleave, "endianness": order, **layout}


INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float32", "float64"]
# predictor 2 takes any sample of up to 64 bits, which a complex64 is; predictor 3 takes floats
CODECS = [
    (dtype, codec, predictor)
    for dtype in [*INTEGERS, *FLOATS, "complex64", "complex128"]
    for codec in ("deflate", "lzw", "zstd")
    for predictor in (1, 2, 3)
    if (predictor != 3 or dtype in FLOATS) and (predictor != 2 or dtype != "complex128")
]


@pytest.mark.parametrize(("dtype", "codec", "predictor"), CODECS)
def test_compressed(
    dtype: str, codec: str, predictor: int, write_tiff: Callable[..., str], storage: Storage
) -> None:
    for number, (bands, options) in enumerate(forms(dtype, predictor)):
        array = distinct(dtype, (bands, *SHAPE))
        path = write_tiff(array, f"{number}.tif", compress=codec, predictor=predictor, **options)
        assert_reads_like_rasterio(path, storage, windows=1)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "complex64", "complex128"])
def test_uncompressed(dtype: str, write_tiff: Callable[..., str], storage: Storage) -> None:
    for number, (bands, options) in enumerate(forms(dtype, np.dtype(dtype).itemsize // 2)):
        array = distinct(dtype, (bands, *SHAPE))
        assert_reads_like_rasterio(
            write_tiff(array, f"{number}.tif", **options), storage, windows=1
        )


@pytest.mark.parametrize("bits", [1, 3, 7, 9, 12, 15, 17, 24, 31])
def test_samples_that_are_no_whole_bytes(
    bits: int, write_tiff: Callable[..., str], storage: Storage
) -> None:
    dtype = "uint8" if bits < 8 else "uint16" if bits < 16 else "uint32"
    for number, (bands, options) in enumerate(forms("uint16", bits)):
        array = distinct(dtype, (bands, *SHAPE), bits)
        for codec in ("none", "deflate"):
            path = write_tiff(array, f"{number}{codec}.tif", nbits=bits, compress=codec, **options)
            assert_reads_like_rasterio(path, storage, windows=1)
            assert same_bits(open_reader(path, storage).read(Window(0, 0, *SHAPE)), array)


@pytest.mark.parametrize("predictor", [1, 2, 3])
@pytest.mark.parametrize("order", ORDERS)
def test_half_floats_have_the_type_that_gdal_gives_them(
    predictor: int, order: str, write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("float16", (3, *SHAPE)).astype("float32")
    for interleave in ("pixel", "band"):
        path = write_tiff(
            array,
            f"{interleave}.tif",
            nbits=16,
            compress="deflate",
            predictor=predictor,
            endianness=order,
            interleave=interleave,
            **LAYOUTS[0],
        )
        assert_reads_like_rasterio(path, storage)
        assert open_reader(path, storage).dtype == HALF_FLOAT


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "MINISWHITE"},
        {"photometric": "MINISWHITE", "nbits": 1},
        {"bigtiff": "YES"},
        {"bigtiff": "YES", "endianness": "BIG", "compress": "zstd"},
        {"compress": "packbits"},
        {"compress": "deflate", "zlevel": 12, "discard_lsb": 2},
        {"driver": "COG", "compress": "lzw", "blocksize": 64},
        {"driver": "COG", "compress": "zstd", "blocksize": 64, "bigtiff": "YES"},
    ],
)
def test_other_forms(
    options: dict[str, Any], write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("uint8", (1, 131, 157), options.get("nbits"))  # a COG has an overview
    assert_reads_like_rasterio(write_tiff(array, **options), storage)


@pytest.mark.parametrize("nodata", [None, 0, 7, 65535])
@pytest.mark.parametrize("codec", ["none", "deflate"])
def test_sparse_blocks_are_nodata(
    nodata: int | None, codec: str, write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = np.full((2, 256, 256), nodata or 0, "uint16")
    array[:, 64:128, 64:128] = distinct("uint16", (2, 64, 64))
    path = write_tiff(
        array,
        sparse_ok=True,
        tiled=True,
        blockxsize=64,
        blockysize=64,
        compress=codec,
        nodata=nodata,
    )
    header = read_header(storage, path)
    assert (header.block_lengths == 0).sum() == 15
    assert_reads_like_rasterio(path, storage)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"compress": "lerc"}, "LERC"),
        ({"compress": "lerc_deflate", "dtype": "float32"}, "LERC"),
        ({"compress": "jpeg"}, "JPEG"),
        ({"compress": "jpeg", "photometric": "YCBCR"}, "JPEG"),
        ({"compress": "webp"}, "WebP"),
        ({"compress": "lzma", "predictor": 2}, "LZMA"),
    ],
)
def test_gdal_decodes_the_blocks_of_codecs_that_it_alone_knows(
    options: dict[str, Any], why: str, write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("uint8", (3, *SHAPE)).astype(options.get("dtype", "uint8"))
    is_pixel_only = why == "WebP" or "photometric" in options
    for i, interleave in enumerate(["pixel"] if is_pixel_only else ["pixel", "band"]):
        for j, layout in enumerate([{"tiled": True, "blockxsize": 64, "blockysize": 48}, {}]):
            for order in ORDERS:
                path = write_tiff(
                    array,
                    f"{i}{j}{order}.tif",
                    endianness=order,
                    interleave=interleave,
                    **layout,
                    **options,
                )
                reader = open_reader(path, storage)
                assert why in (reader.why_unsupported or "")
                assert_reads_like_rasterio(path, storage, force=None)
                assert_reads_like_rasterio(path, storage, force="gdal", windows=1)
                header = Header.from_record(read_header(storage, path).to_record())
                before = storage.requests
                open_reader(path, storage, header=header).read(Window(0, 0, 1, 1), [0])
                assert storage.requests == before + 1


@pytest.mark.parametrize(
    ("photometric", "codec", "why"),
    [
        ("CMYK", "none", "GDAL turns into RGB"),
        ("CIELAB", "none", "GDAL turns into RGB"),
        ("CIELAB", "lzma", "LZMA"),
        ("CMYK", "lerc", "LERC"),
    ],
)
def test_gdal_reads_files_whose_colours_it_turns_into_rgb(
    photometric: str, codec: str, why: str, write_tiff: Callable[..., str], storage: Storage
) -> None:
    bands = 4 if photometric == "CMYK" else 3
    pixels = distinct("uint8", (bands, *SHAPE))
    path = write_tiff(pixels, photometric=photometric, compress=codec)
    assert why in (open_reader(path, storage).why_unsupported or "")
    assert_reads_like_rasterio(path, storage, force=None)


@pytest.mark.parametrize(
    ("photometric", "bands", "planes"),
    [
        (3, 2, 1),  # a palette beside an alpha band
        (5, 3, 1),
        (5, 5, 1),
        (5, 4, 2),
        (6, 3, 2),
    ],
)
def test_gdal_makes_of_colours_what_it_makes_of_them_in_the_whole_image(
    photometric: int, bands: int, planes: int, tmp_path: Path, storage: Storage
) -> None:
    """By themselves, blocks of LZMA would have other bands, or valid pixels."""
    pixels = distinct("uint8", (bands, 16, 16))
    tags = strip_tags(
        (16, 16), 16, compression=34925, t273=None, t278=None, t279=None, t322=(4, 16),
        t323=(4, 16), t324=(4, None), t325=(4, None), t258=(3, [8] * bands), t262=(3, photometric),
        t277=(3, bands), t284=(3, planes), t530=(3, [1, 1]),
    )  # fmt: skip
    if photometric == 3:
        tags |= {320: (3, list(range(768))), 338: (3, 2)}
    blocks = list(pixels) if planes == 2 else [pixels.transpose(1, 2, 0)]
    path = write_handmade(
        tmp_path / "a.tif", tags, [imagecodecs.lzma_encode(block.tobytes()) for block in blocks]
    )
    reader = open_reader(path, storage)
    window = Window(0, 0, 16, 16)
    with rasterio.open(path) as dataset:
        assert reader.count == dataset.count
        assert same_bits(reader.read(window), dataset.read())
        assert np.array_equal(reader.read_valid(window), dataset.dataset_mask() > 0)


def test_planes_of_lerc_in_colours_of_which_gdal_makes_rgb_are_refused(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    """GDAL reads none of YCbCr; of CMYK it makes RGB, which is not what the blocks hold."""
    pixels = distinct("uint8", (4, *SHAPE))
    path = write_tiff(pixels, photometric="CMYK", compress="lerc", interleave="band")
    with pytest.raises(NotARaster, match="planes of LERC"):
        open_reader(path, storage)


def test_an_aerial_image_has_its_mask_on_the_fast_path(
    write_tiff: Callable[..., str], storage: Storage
) -> None:
    array = distinct("uint8", (3, 300, 260))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_tiff(array, photometric="YCBCR", compress="jpeg", **LAYOUTS[0])
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(array[0] > 99)
    found = open_reader(path, storage).read_valid(Window(10, 20, 200, 190))
    assert np.array_equal(found, array[0, 10:210, 20:210] > 99)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_window_of_any_form(
    data: st.DataObject, write_tiff: Callable[..., str], storage: Storage
) -> None:
    """Shapes, blocks, bands, dtypes, codecs and windows at random."""
    draw = data.draw
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    count = draw(st.integers(1, 4))
    dtype = draw(st.sampled_from([*INTEGERS, *FLOATS]))
    codec = draw(st.sampled_from(["none", "deflate", "lzw", "zstd"]))
    predictors = [1, 2, 3] if dtype in FLOATS else [1, 2]
    options: dict[str, Any] = {
        "interleave": draw(st.sampled_from(["pixel", "band"])),
        "endianness": draw(st.sampled_from(ORDERS)),
        "bigtiff": draw(st.sampled_from(["YES", "NO"])),
        "compress": codec,
    }
    if codec != "none":
        options["predictor"] = draw(st.sampled_from(predictors))
    if draw(st.booleans()):
        options |= {"tiled": True, "blockxsize": draw(st.sampled_from([16, 32, 48]))}
        options["blockysize"] = draw(st.sampled_from([16, 32, 48]))
    else:
        options["blockysize"] = draw(st.integers(1, height))
    array = distinct(dtype, (count, height, width))
    path = write_tiff(array, **options)
    row, col = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    window = Window(row, col, draw(st.integers(1, height - row)), draw(st.integers(1, width - col)))
    bands = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=5))
    found = open_reader(path, storage, force="fast").read(window, bands)
    with rasterio.open(path) as dataset:
        expected = dataset.read([band + 1 for band in bands], window=as_rasterio(window))
    assert same_bits(found, expected)
    assert same_bits(found, array[bands][(slice(None), *window.slices)])
