"""TIFFs: our reader against GDAL, window by window."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .tiff_mutants import mutate
from .verdicts import DIFFERS, REFUSED, SAME, STRICTER, TYPED, Verdict, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stacchip.raster import Window

_MOST_BYTES: Final = 4 << 20  # a larger image is compared in a few windows
_MOST_BANDS: Final = 6


class Tiffs:
    """TIFFs of all forms; see `Kind`.

    Args:
        open_reader: What opens our reader; others are for the tests of this fuzzer.
    """

    name = "tiff"
    suffix = ".tif"

    def __init__(self, open_reader: Callable[..., Any] | None = None) -> None:
        self._open_reader = open_reader
        self._corpus: list[bytes] = []

    def prepare(self, folder: Path) -> None:
        from .tiff_corpus import write_corpus

        write_corpus(folder)

    def load(self, folder: Path) -> None:
        import imagecodecs  # noqa: F401 - children find it imported
        import odc.geo.geobox  # noqa: F401
        import rasterio.io
        import rasterio.vrt  # noqa: F401
        import tifffile  # noqa: F401

        import stacchip.chipper
        import stacchip.raster.reader

        self._open_reader = self._open_reader or stacchip.raster.reader.open_reader
        self._corpus = [path.read_bytes() for path in sorted(folder.glob("*.tif"))]

    @property
    def sound(self) -> int:
        return len(self._corpus)

    def mutant(self, number: int, dice: Random) -> bytes:
        if number < self.sound:
            return self._corpus[number]
        return mutate(dice.choice(self._corpus), dice, self._corpus)

    def attempt(self, mutant: bytes, folder: Path, judging: Callable[[], None]) -> Verdict:
        from stacchip.errors import StacchipError
        from stacchip.storage import Storage

        path = folder / "mutant.tif"
        path.write_bytes(mutant)
        assert self._open_reader is not None
        try:
            reader = self._open_reader(str(path), Storage())
        except StacchipError as error:
            judging()
            return _judge_refused(path, error, is_sound=mutant in self._corpus)
        looks = [_look(reader, window) for window in _windows(reader, len(mutant))]
        facts = _facts(reader)
        again = _again(reader, looks)
        judging()
        if again is not None:
            return again
        return _judge(path, facts, looks, is_sound=mutant in self._corpus)


@dataclass(frozen=True)
class _Look:
    """What our reader gave for one window: pixels and valid pixels, or an error."""

    window: Window
    bands: list[int]
    pixels: Any
    valid: Any


def _windows(reader: Any, size: int) -> list[Window]:
    """Return the whole image as a window, or some of its parts; always the same ones."""
    from stacchip.raster import Window

    height, width = reader.shape
    taken = height * width * min(reader.count, _MOST_BANDS) * reader.dtype.itemsize
    if taken <= _MOST_BYTES:
        return [Window(0, 0, height, width)]
    dice = Random(f"{reader.shape} {size}")
    rows, cols = min(height, 64), min(width, 64)
    places = [(0, 0), (height - rows, width - cols)]
    places.append((dice.randrange(height - rows + 1), dice.randrange(width - cols + 1)))
    return [Window(row, col, rows, cols) for row, col in places]


def _bands(count: int) -> list[int]:
    return list(range(count)) if count <= _MOST_BANDS else [0, 1, 2, count // 2, count - 1]


def _look(reader: Any, window: Window) -> _Look:
    from stacchip.errors import StacchipError

    def attempt(read: Callable[..., Any]) -> Any:
        try:
            return read(window, bands)
        except StacchipError as error:
            return error

    bands = _bands(reader.count)
    return _Look(window, bands, attempt(reader.read), attempt(reader.read_valid))


def _facts(reader: Any) -> dict[str, Any]:
    return {
        "shape": tuple(reader.shape),
        "count": reader.count,
        "dtype": reader.dtype.name,
        "nodata": reader.nodata,
        "transform": reader.transform,
    }


def _again(reader: Any, looks: list[_Look]) -> Verdict | None:
    """Read by the header that an index would keep; return a verdict if it is not the same."""
    from stacchip.errors import StacchipError
    from stacchip.raster import Header, open_reader

    if reader.header is None:
        return None
    kept = Header.from_record(reader.header.to_record())
    look = looks[0]
    try:
        found = open_reader(reader.href, reader.storage, header=kept).read(look.window, look.bands)
    except StacchipError as error:
        found = error
    except AttributeError:  # GDAL's reader keeps its storage to itself
        return None
    if _same(found, look.pixels):
        return None
    return Verdict(DIFFERS, "by a kept header", f"{_show(look.pixels)}, then {_show(found)}")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Exception) or isinstance(other, Exception):
        return type(one) is type(other)
    return (
        one.shape == other.shape
        and one.dtype == other.dtype
        and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
    )


def _show(found: Any) -> str:
    if isinstance(found, Exception):
        return f"{type(found).__name__}: {found}"
    return f"{found.dtype} {found.shape} {found.ravel()[:8].tolist()}"


def _open_gdal(path: Path | str) -> Any:
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rasterio.open(path, driver="GTiff")


def _env() -> Any:
    import rasterio

    return rasterio.Env(
        GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO", GDAL_CACHEMAX=64
    )


def _judge_refused(path: Path, error: Exception, *, is_sound: bool) -> Verdict:
    """Judge an error at the opening: does GDAL read the file?"""
    why = reason_of(error)
    if is_sound:
        return Verdict(REFUSED, why, str(error))
    try:
        with _env(), _open_gdal(path) as dataset:
            _read_gdal(dataset, None, _bands(dataset.count))
    except Exception:  # noqa: BLE001 - rasterio raises many types for broken files
        return Verdict(TYPED, why, str(error))
    return Verdict(STRICTER, why, str(error))


def _read_gdal(dataset: Any, window: Window | None, bands: list[int]) -> Any:
    from rasterio.windows import Window as RasterioWindow

    if window is None:
        part = RasterioWindow(0, 0, min(dataset.width, 64), min(dataset.height, 64))
    else:
        part = RasterioWindow(window.col, window.row, window.width, window.height)
    return dataset.read([band + 1 for band in bands], window=part)


def _judge(path: Path, facts: dict[str, Any], looks: list[_Look], *, is_sound: bool) -> Verdict:
    """Compare what our reader gave with what GDAL gives."""
    gave = [look for look in looks if not isinstance(look.pixels, Exception)]
    errors = [look.pixels for look in looks if isinstance(look.pixels, Exception)]
    if is_sound and errors:
        return Verdict(REFUSED, reason_of(errors[0]), str(errors[0]))
    with _env():
        try:
            dataset = _open_gdal(path)
        except Exception as error:  # noqa: BLE001 - as above
            if not gave:
                return Verdict(TYPED, reason_of(errors[0]), str(errors[0]))
            return Verdict(DIFFERS, f"GDAL does not open it: {reason_of(error)}",
                           f"GDAL: {error}; ours: {_show(gave[0].pixels)}")  # fmt: skip
        with dataset:
            return _compare(dataset, facts, looks, bool(gave))


def _compare(dataset: Any, facts: dict[str, Any], looks: list[_Look], is_read: bool) -> Verdict:
    if is_read:
        found = _differing_fact(dataset, facts)
        if found is not None:
            return found
    verdicts = [_compare_window(dataset, look) for look in looks]
    for name in (DIFFERS, STRICTER, TYPED, SAME):
        for verdict in verdicts:
            if verdict.name == name:
                return verdict
    raise AssertionError("no window")


def _differing_fact(dataset: Any, facts: dict[str, Any]) -> Verdict | None:
    read_as = {"complex_int16": "complex64", "complex_int32": "complex64"}
    theirs = {
        "shape": dataset.shape,
        "count": dataset.count,
        "dtype": read_as.get(dataset.dtypes[0], dataset.dtypes[0]),
    }
    for name, value in theirs.items():
        if facts[name] != value:
            return Verdict(DIFFERS, f"the {name}", f"{name}: GDAL {value}, ours {facts[name]}")
    ours = facts["transform"]
    if ours is not None and not _close(ours, dataset.transform):
        return Verdict(DIFFERS, "the transform", f"GDAL {dataset.transform!r}, ours {ours!r}")
    return None


def _close(one: Any, other: Any) -> bool:
    return bool(
        np.array_equal(np.array(one[:6], float), np.array(other[:6], float), equal_nan=True)
    )


def _compare_window(dataset: Any, look: _Look) -> Verdict:
    try:
        theirs = _read_gdal(dataset, look.window, look.bands)
    except Exception as error:  # noqa: BLE001 - as above
        if isinstance(look.pixels, Exception):
            return Verdict(TYPED, reason_of(look.pixels), str(look.pixels))
        cause = error.__cause__ or error
        return Verdict(DIFFERS, f"GDAL cannot read it: {reason_of(cause)}",
                       f"GDAL: {cause}; ours: {_show(look.pixels)}")  # fmt: skip
    if isinstance(look.pixels, Exception):
        return Verdict(STRICTER, reason_of(look.pixels), str(look.pixels))
    if not _same(look.pixels, theirs) and not _same_alone(dataset, look, theirs):
        shown = f"{look.window}: GDAL {_show(theirs)}, ours {_show(look.pixels)}"
        return Verdict(DIFFERS, _how_other(look.pixels, theirs), shown)
    return _compare_valid(dataset, look)


def _same_alone(dataset: Any, look: _Look, theirs: Any) -> bool:
    """Whether GDAL gives our pixels if it reads nothing else than the blocks that differ.

    What it makes of a broken JPEG depends on the blocks that it has read before.
    """
    if look.pixels.shape != theirs.shape or look.pixels.dtype != theirs.dtype:
        return False
    from rasterio.windows import Window as RasterioWindow

    height, width = dataset.block_shapes[0]
    corner = np.array([look.window.row, look.window.col])
    other = np.argwhere((look.pixels != theirs).any(axis=0)) + corner
    for down, across in {(int(row) // height, int(col) // width) for row, col in other}:
        top, left = max(down * height, look.window.row), max(across * width, look.window.col)
        bottom = min((down + 1) * height, look.window.row_stop)
        right = min((across + 1) * width, look.window.col_stop)
        part = RasterioWindow(left, top, right - left, bottom - top)
        rows = slice(top - look.window.row, bottom - look.window.row)
        cols = slice(left - look.window.col, right - look.window.col)
        with _open_gdal(dataset.name) as fresh:
            alone = fresh.read([band + 1 for band in look.bands], window=part)
        if not _same(alone, look.pixels[:, rows, cols]):
            return False
    return len(other) > 0


def _how_other(ours: Any, theirs: Any) -> str:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"pixels of {ours.dtype} where GDAL has {theirs.dtype}"
    if not np.asarray(ours).any():
        return "all zero where GDAL has pixels"
    other = np.ascontiguousarray(ours).view(np.uint8) != np.ascontiguousarray(theirs).view(np.uint8)
    return "some pixels" if other.mean() < 0.9 else "all pixels"


def _compare_valid(dataset: Any, look: _Look) -> Verdict:
    """Compare where pixels are said to be valid: by GDAL in any band that was read."""
    from rasterio.windows import Window as RasterioWindow

    window = look.window
    part = RasterioWindow(window.col, window.row, window.width, window.height)
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    # nodata marks each band by itself, other marks belong to the file
    bands = [0] if flags & {"alpha", "per_dataset"} and "nodata" not in flags else look.bands
    try:
        masks = dataset.read_masks([band + 1 for band in bands], window=part)
    except Exception as error:  # noqa: BLE001 - as above
        if isinstance(look.valid, Exception):
            return Verdict(TYPED, reason_of(look.valid), str(look.valid))
        return Verdict(DIFFERS, f"GDAL cannot read the mask: {reason_of(error)}", str(error))
    if isinstance(look.valid, Exception):
        return Verdict(STRICTER, f"the mask: {reason_of(look.valid)}", str(look.valid))
    is_valid = masks != 0
    if not flags & {"alpha", "per_dataset"} and look.pixels.dtype.kind in "fc":
        is_valid &= ~np.isnan(look.pixels)  # NaN is no value here; to GDAL it is one
    theirs = is_valid.any(axis=0)
    if np.array_equal(theirs, look.valid):
        return Verdict(SAME)
    return Verdict(
        DIFFERS, "valid pixels", f"GDAL {theirs.mean():.3f} valid, ours {look.valid.mean():.3f}"
    )
