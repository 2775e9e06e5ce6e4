"""Files read through GDAL, from any number of threads and on both sides of a fork.

Local files are opened in place. Remote files are fetched whole into memory, by our own storage:
rasterio's callbacks for bytes crash the process when a callback fails, and when a handle is
garbage-collected (seen with rasterio 1.4.4). Remote files that come here are not TIFFs (JPEG 2000,
JPEG, PNG), or are TIFFs of a form that imagery is rarely kept in.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.errors import CorruptBlock, NotARaster
from stacchip.grid.window import Window
from stacchip.raster.gdal.describe import crs_of, dtype_of, location_of, nodata_of, validity_of
from stacchip.raster.gdal.environment import gdal_environment
from stacchip.raster.location import BY_TRANSFORM, why_no_grid
from stacchip.raster.validity import find_valid, require_bands
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import is_remote, local_path, redact
from stacchip.storage.content import (
    LOOKED_AT,
    describe_content,
    fetch_remedy,
    is_text,
    show_start,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.storage import Identity, Storage


class GdalFile:
    """One file read through GDAL, from any number of threads and on both sides of a fork.

    A GDAL handle serves one thread at a time and never crosses a fork: each read takes an idle
    handle of this process, or opens another.

    Args:
        href: The file.
        storage: Reads its bytes, unless it is a local file.
        expect: The version that it must have; None accepts the present one.

    Raises:
        AssetChanged: The file has another version.
        NotARaster: GDAL finds no raster in it.
        StorageError: Its bytes cannot be read.
    """

    def __init__(self, href: str, storage: Storage, expect: Identity | None = None) -> None:
        self.href = href
        self._storage = storage
        self.identity = expect
        self._source: Path | bytes | None = None
        self._idle = PerProcess(_IdleHandles)
        with self._handle() as handle:
            dataset = handle.dataset
            self.shape: tuple[int, int] = dataset.shape
            self.count: int = dataset.count
            self.dtype = np.dtype(dtype_of(dataset))
            self.nodata = nodata_of(dataset, self.dtype.name)
            self.block_shape: tuple[int, int] = dataset.block_shapes[0]
            self.crs = crs_of(dataset)
            self._located_by = location_of(dataset)
            self.transform = dataset.transform if self._located_by == BY_TRANSFORM else None
            self._validity = validity_of(dataset)
            self._alpha = dataset.count

    @property
    def why_no_grid(self) -> str | None:
        """What locates the pixels in place of a grid, such as "9 ground control points"."""
        return why_no_grid(self._located_by)

    @property
    def validity(self) -> str:
        """The mark of valid pixels: "mask", "nodata", "alpha", or "all" if the file has none."""
        return self._validity

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_idle": None, "_source": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _idle=PerProcess(_IdleHandles))

    def read(self, window: Window, bands: Sequence[int] | None = None) -> NDArray[Any]:
        """Read the pixels of `window` as (band, y, x).

        Raises:
            CorruptBlock: GDAL cannot decode them.
            StorageError: Their bytes cannot be read.
        """
        window.require_inside(self.shape)
        indexes = [band + 1 for band in require_bands(self.href, self.count, bands)]
        return self._guarded(lambda dataset, part: dataset.read(indexes, window=part), window)

    def read_valid(self, window: Window, bands: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Read where the pixels of `window` may be used, as (y, x)."""
        window.require_inside(self.shape)
        if self._validity == "alpha":
            pixels = self.read(window, [self._alpha - 1])
            return find_valid(pixels, pixels[0], None)
        if self._validity == "mask":
            mask = self._guarded(lambda dataset, part: dataset.read_masks(1, window=part), window)
            return find_valid(mask[None], mask, None)
        return find_valid(self.read(window, bands), None, self.nodata)

    def _guarded(self, read: Any, window: Window) -> NDArray[Any]:
        """Call `read(dataset, window)`; if it fails, raise an error that names the block."""
        from rasterio.errors import RasterioError

        with self._handle() as handle:
            try:
                return np.asarray(read(handle.dataset, _as_rasterio(window)))
            except RasterioError as error:
                block = self._find_broken(handle, window)
                raise CorruptBlock(
                    f"Block {block} (band, row, column) of {redact(self.href)} cannot be decoded "
                    f"by GDAL: {error.__cause__ or error}. Fetch the file again; its other blocks "
                    "may be sound.",
                    href=redact(self.href),
                    block=block,
                ) from error

    def _find_broken(self, handle: _Handle, window: Window) -> tuple[int, int, int] | None:
        """Return the first block in `window` that cannot be read by itself: (band, row, column)."""
        from rasterio.errors import RasterioError

        height, width = self.block_shape
        for band in range(self.count):
            for row in range(window.row // height, (window.row_stop - 1) // height + 1):
                for col in range(window.col // width, (window.col_stop - 1) // width + 1):
                    part = Window(row * height, col * width, height, width).clip(self.shape)
                    try:
                        handle.dataset.read(band + 1, window=_as_rasterio(part or window))
                    except RasterioError:
                        return (band, row, col)
        return None

    @contextmanager
    def _handle(self) -> Iterator[_Handle]:

        with gdal_environment():
            idle = self._idle.get()
            handle = idle.take() or _Handle(self._get_source(), self.href)
            try:
                yield handle
            finally:
                idle.put_back(handle)

    def _get_source(self) -> Path | bytes:
        """Return the file's path, or all its bytes; refuse another version than before."""
        with self._idle.get().opening:
            path = local_path(self.href)
            if path is not None:
                # GDAL does not distinguish "absent" from "broken"; this does
                found, self._source = self._storage.stat(self.href), path
            elif self._source is None:
                blob = self._storage.read_blob(self.href)
                found, self._source = blob.identity, bytes(blob.data)
            else:
                return self._source
            self._storage.require_version(self.href, self.identity, found)
            self.identity = found
            return self._source


def _as_rasterio(window: Window) -> Any:
    from rasterio.windows import Window as RasterioWindow

    return RasterioWindow(window.col, window.row, window.width, window.height)


class _IdleHandles:
    """The open handles of one file that no thread of this process uses at this moment.

    Attributes:
        opening: Held by the thread that reads the file's bytes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.opening = threading.Lock()
        self._handles: list[_Handle] = []

    def take(self) -> _Handle | None:
        """Return an idle handle, or None."""
        with self._lock:
            return self._handles.pop() if self._handles else None

    def put_back(self, handle: _Handle) -> None:
        """Keep a handle for the next read."""
        with self._lock:
            self._handles.append(handle)


_warnings_lock = PerProcess(threading.Lock)


class _Handle:
    """One dataset that GDAL holds open."""

    def __init__(self, source: Path | bytes, href: str) -> None:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
        from rasterio.io import MemoryFile

        self._memory = MemoryFile(source) if isinstance(source, bytes) else None
        try:
            # filters of warnings are shared by all threads
            with _warnings_lock.get(), warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self.dataset = self._memory.open() if self._memory else rasterio.open(source)
        except RasterioError as error:
            raise _not_a_raster(source, href) from error

    def close(self) -> None:
        """Close the dataset."""
        self.dataset.close()
        if self._memory is not None:
            self._memory.close()


def _not_a_raster(source: Path | bytes, href: str) -> NotARaster:
    """Return the error for a file that GDAL cannot open; it says what the file is."""
    shown = redact(href)
    if isinstance(source, bytes):
        start = source[:LOOKED_AT]
    else:
        with source.open("rb") as file:
            start = file.read(LOOKED_AT)
    what = describe_content(href, start)
    if what is None and is_remote(href) and is_text(start):
        what = f"{shown} is text; it begins with {show_start(start)!r}. {fetch_remedy(href)}"
    if what is None:
        what = (
            f"GDAL finds no raster in {shown}; it begins with {show_start(start[:16])!r}. "
            "Fetch the file again, or leave this asset out."
        )
    return NotARaster(what, href=shown)
