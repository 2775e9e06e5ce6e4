"""Sound TIFFs in every form that GDAL writes here and that imagery is kept in."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHAPE = (41, 53)
TILED: dict[str, Any] = {"tiled": True, "blockxsize": 16, "blockysize": 16}
LAYOUTS: tuple[dict[str, Any], ...] = (TILED, {"blockysize": 7}, {"blockysize": SHAPE[0]})
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "uint64")


def write_corpus(folder: Path) -> None:
    """Write the files `000.tif`, `001.tif` and so on."""
    for number, (options, masked) in enumerate(_forms()):
        _write(folder / f"{number:03}.tif", options, is_masked=masked)


def _forms() -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield options of GDAL, and whether the file gets an internal mask."""
    for i, dtype in enumerate(DTYPES):
        for j, codec in enumerate(("none", "deflate", "lzw", "zstd")):
            turn = i + j
            form = {"dtype": dtype, "compress": codec, **LAYOUTS[turn % 3]}
            form["count"] = (1, 3)[turn % 2]
            form["interleave"] = ("pixel", "band")[turn // 2 % 2]
            form["endianness"] = ("LITTLE", "BIG")[turn // 3 % 2]
            form["bigtiff"] = ("NO", "YES")[turn // 4 % 2]
            if codec != "none":
                form["predictor"] = (1, 2, 3 if dtype.startswith("float") else 2)[turn % 3]
            if turn % 2:
                form["nodata"] = 0
            yield form, turn % 5 == 0
    small = {"dtype": "uint8", "count": 1, **TILED}
    for codec in ("packbits", "lzma", "lerc", "lerc_deflate", "lerc_zstd", "jpeg"):
        yield {**small, "compress": codec}, False
        yield {**small, "compress": codec, "blockysize": 16, "tiled": False, "count": 3}, False
    yield {**small, "compress": "webp", "count": 3}, False
    yield {**small, "compress": "jpeg", "count": 3, "photometric": "YCBCR"}, True
    yield {**small, "compress": "lerc", "dtype": "float32", "nodata": float("nan")}, False
    yield (
        {**small, "compress": "lzma", "predictor": 2, "dtype": "uint16", "endianness": "BIG"},
        True,
    )
    for bits in (1, 2, 4, 7, 12):
        dtype = "uint8" if bits < 8 else "uint16"
        yield (
            {**small, "nbits": bits, "dtype": dtype, "compress": ("none", "deflate")[bits % 2]},
            False,
        )
    yield {"dtype": "uint8", "count": 1, "nbits": 1, "compress": "ccittfax4"}, False
    yield {**small, "dtype": "float32", "nbits": 16, "compress": "deflate"}, False
    for dtype in ("complex64", "complex128", "complex_int16"):
        yield {**small, "dtype": dtype, "compress": "deflate"}, False
    for sparse in ("none", "deflate"):
        form = {**small, "dtype": "uint16", "sparse_ok": True, "nodata": 7, "compress": sparse}
        yield {**form, "is_sparse": True}, False
    yield {**small, "count": 4, "photometric": "RGB", "alpha": "YES", "compress": "deflate"}, False
    yield {**small, "photometric": "MINISWHITE"}, False
    yield {**small, "count": 4, "photometric": "CMYK"}, False
    yield {**small, "dtype": "int16", "nodata": -9999, "scale": 0.5, "compress": "zstd"}, False
    yield {"dtype": "uint16", "count": 1, "driver": "COG", "compress": "deflate", "blocksize": 128,
           "shape": (200, 230)}, False  # fmt: skip
    yield {"dtype": "uint8", "count": 3, "driver": "COG", "compress": "jpeg", "blocksize": 128,
           "shape": (150, 140)}, True  # fmt: skip


def _write(path: Path, form: dict[str, Any], *, is_masked: bool) -> None:
    import rasterio
    from rasterio.transform import from_origin

    form = {"driver": "GTiff", **form}
    height, width = form.pop("shape", SHAPE)
    is_sparse, scale = form.pop("is_sparse", False), form.pop("scale", None)
    dtype = {"complex_int16": "complex64"}.get(form["dtype"], form["dtype"])
    pixels = _pixels(dtype, (form["count"], height, width), form.get("nbits"))
    if is_sparse:
        pixels[:] = form["nodata"]
        pixels[:, :16, :16] = 9
    profile = {
        "height": height, "width": width, "crs": "EPSG:32629",
        "transform": from_origin(600000, 4000000, 10, 10),
    }  # fmt: skip
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile, **form) as dataset:
            dataset.write(pixels)
            if scale is not None:
                dataset.scales, dataset.offsets = [scale], [100.0]
            if is_masked:
                dataset.write_mask(_pixels("uint8", (1, height, width), None)[0] > 99)


def _pixels(dtype: str, shape: tuple[int, int, int], bits: int | None) -> Any:
    """Pixels that differ from place to place, and still give codecs something to do."""
    count, height, width = shape
    band, row, col = np.indices((count, height, width))
    numbers = (row * 3 + col * 7 + band * 50 + (row * col) % 5) % (1 << min(bits or 16, 16))
    if np.dtype(dtype).itemsize == 1 and not bits:
        numbers = numbers % (128 if dtype == "int8" else 256)
    found = numbers.astype(dtype)
    return found * np.asarray(1 + 2j, dtype) if found.dtype.kind == "c" else found
