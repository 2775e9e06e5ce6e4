"""Files read through GDAL, from any number of threads and on both sides of a fork.

Local files are opened in place. Remote files are fetched whole into memory, by our own storage:
rasterio's callbacks for bytes crash the process when a callback fails, and when a handle is
garbage-collected (seen with rasterio 1.4.4). Remote files that come here are not TIFFs (JPEG 2000,
JPEG, PNG), or are TIFFs of a form that imagery is rarely kept in.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import CorruptBlock
from stacchip.grid.window import Window
from stacchip.raster.gdal.describe import crs_of, dtype_of, location_of, nodata_of, validity_of
from stacchip.raster.gdal.environment import error_types, gdal_environment, gdal_says
from stacchip.raster.gdal.formats import JPEG2000, OpenImage, unreadable
from stacchip.raster.location import BY_TRANSFORM, why_no_grid
from stacchip.raster.validity import find_valid, require_bands
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import local_path, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.storage import Identity, Limits, Storage

# blocks that are read again to find the broken one among them
_MOST_TRIES: Final = 10_000


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
        LimitExceeded: It is too large to be read whole, or it has blocks that are too large.
        NotARaster: It is of no format that GDAL may read here, or GDAL finds no raster in it.
        StorageError: Its bytes cannot be read.
    """

    def __init__(self, href: str, storage: Storage, expect: Identity | None = None) -> None:
        self.href = href
        self._storage = storage
        self.identity = expect
        self._source: Path | bytes | None = None
        self._idle = PerProcess(_IdleHandles)
        with self._handle() as handle:
            try:
                self._describe(handle.dataset)
            except error_types() as error:
                raise unreadable(href, error) from error

    def _describe(self, dataset: Any) -> None:
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
    def _limits(self) -> Limits:
        return self._storage.options_for(self.href).limits

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
            LimitExceeded: They take more than `Limits.chip_bytes`.
            StorageError: Their bytes cannot be read.
        """
        window.require_inside(self.shape)
        bands = require_bands(self.href, self.count, bands)
        self._require_room(window, len(bands))
        indexes = [band + 1 for band in bands]
        return self._guarded(
            lambda dataset, part: dataset.read(indexes, window=part), window, bands
        )

    def _require_room(self, window: Window, count: int) -> None:
        """Refuse a window whose pixels take more than the limits of the file's place allow."""
        limits = self._limits
        size = count * window.height * window.width * self.dtype.itemsize
        if size > limits.chip_bytes:
            what = f"A window of {redact(self.href)} takes {size} bytes"
            raise limits.exceeded("chip_bytes", what, href=redact(self.href))

    def read_valid(self, window: Window, bands: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Read where the pixels of `window` may be used, as (y, x)."""
        window.require_inside(self.shape)
        if self._validity == "alpha":
            pixels = self.read(window, [self._alpha - 1])
            return find_valid(pixels, pixels[0], None)
        if self._validity == "mask":
            self._require_room(window, 1)
            mask = self._guarded(
                lambda dataset, part: dataset.read_masks(1, window=part), window, [0]
            )
            return find_valid(mask[None], mask, None)
        return find_valid(self.read(window, bands), None, self.nodata)

    def _guarded(self, read: Any, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Call `read(dataset, window)`; if it fails, raise an error that names the block."""
        with self._handle() as handle:
            try:
                return _read_parts(handle.dataset, read, window)
            except error_types() as error:
                handle.is_sound = False
                with self._handle() as another:
                    block = self._find_broken(another, window, bands)
                raise CorruptBlock(
                    f"Block {block} (band, row, column) of {redact(self.href)} cannot be decoded "
                    f"by GDAL: {gdal_says(error)}. Fetch the file again; its other blocks "
                    "may be sound.",
                    href=redact(self.href),
                    block=block,
                ) from error

    def _find_broken(
        self, handle: OpenImage, window: Window, bands: Sequence[int]
    ) -> tuple[int, int, int] | None:
        """Return the first block in `window` that cannot be read by itself: (band, row, column)."""
        height, width = self.block_shape
        rows = range(window.row // height, (window.row_stop - 1) // height + 1)
        cols = range(window.col // width, (window.col_stop - 1) // width + 1)
        for band, row, col in islice(product(bands, rows, cols), _MOST_TRIES):
            part = Window(row * height, col * width, height, width).clip(self.shape)
            try:
                handle.dataset.read(band + 1, window=_as_rasterio(part or window))
            except error_types():
                handle.is_sound = False
                return (band, row, col)
        return None

    @contextmanager
    def _handle(self) -> Iterator[OpenImage]:

        with gdal_environment():
            idle = self._idle.get()
            handle = idle.take() or OpenImage(self._get_source(), self.href, self._limits)
            try:
                yield handle
            finally:
                if handle.is_sound:
                    idle.put_back(handle)
                else:
                    handle.close()

    def _get_source(self) -> Path | bytes:
        """Return the file's path, or all its bytes; refuse another version than before."""
        with self._idle.get().opening:
            path = local_path(self.href)
            if path is not None:
                # GDAL does not distinguish "absent" from "broken"; this does
                found, self._source = self._storage.stat(self.href), path
            elif self._source is None:
                blob = self._storage.read_blob(self.href, limit_bytes=self._limits.file_bytes)
                found, self._source = blob.identity, bytes(blob.data)
            else:
                return self._source
            self._storage.require_version(self.href, self.identity, found)
            self.identity = found
            return self._source


def _read_parts(dataset: Any, read: Any, window: Window) -> NDArray[Any]:
    """Call `read(dataset, window)`, for each block by itself if it is JPEG 2000.

    GDAL decodes several of its tiles in threads of their own, and hides the errors of these: their
    pixels would be memory that nothing was written to. It decodes one tile in several threads, too.
    """
    height, width = dataset.block_shapes[0]
    rows = range(window.row // height, (window.row_stop - 1) // height + 1)
    cols = range(window.col // width, (window.col_stop - 1) // width + 1)
    if dataset.driver != JPEG2000 or len(rows) * len(cols) == 1:
        return np.asarray(read(dataset, _as_rasterio(window)))
    lines = []
    for row in rows:
        top, bottom = max(row * height, window.row), min((row + 1) * height, window.row_stop)
        line = []
        for col in cols:
            left, right = max(col * width, window.col), min((col + 1) * width, window.col_stop)
            part = Window(top, left, bottom - top, right - left)
            line.append(np.asarray(read(dataset, _as_rasterio(part))))
        lines.append(np.concatenate(line, axis=-1))
    return np.concatenate(lines, axis=-2)


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
        self._handles: list[OpenImage] = []

    def take(self) -> OpenImage | None:
        """Return an idle handle, or None."""
        with self._lock:
            return self._handles.pop() if self._handles else None

    def put_back(self, handle: OpenImage) -> None:
        """Keep a handle for the next read."""
        with self._lock:
            self._handles.append(handle)
