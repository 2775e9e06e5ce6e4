"""`ChipIndexer`: the chips of one item, measured in any way."""

from __future__ import annotations

import logging
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from stacchip.errors import MissingMetadata, UsageError, attribute
from stacchip.grid.chip_grid import require_grid
from stacchip.grid.crs import same_crs
from stacchip.grid.geobox import GeoBox
from stacchip.index import (
    ChipGrid,
    Edge,
    RecordedGrid,
    build_table,
    count_shares,
    record_grid,
)
from stacchip.indexer.no_chips import explain_no_chips
from stacchip.indexer.reference_grid import ReferenceFinder
from stacchip.items import (
    AssetInfo,
    GridDifference,
    find_differences,
    item_datetime,
    item_href,
    load_items,
    platform_name,
    read_assets,
    read_geobox,
    reference_candidates,
)
from stacchip.items.file_grids import forgive
from stacchip.raster.reader import open_reader
from stacchip.sources import Source, find_source
from stacchip.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    import pystac
    import shapely
    from affine import Affine
    from numpy.typing import ArrayLike, NDArray

    from stacchip.items.file_grids import FileGrid
    from stacchip.raster import Header
    from stacchip.raster.reader import Reader

    Stats: TypeAlias = tuple[float | None, float | None]

_log = logging.getLogger(__name__)


class ChipIndexer:
    """The chips of one item; subclass it and override `get_stats` to measure them in your own way.

    Args:
        item: A STAC item: a `pystac.Item`, its dictionary, or its path or URL.
        chip_size: Side of a chip in pixels of the reference band.
        chip_max_nodata: Chips with a larger share of nodata (0..1) get no row.
        shape: (height, width) of the reference band, if the item does not say it.
        edge: `"drop"` leaves out chips that reach beyond the last pixels, `"pad"` keeps them. If
            nodata is measured, padding counts as nodata (`chip_max_nodata`).
        reference: Key of the asset whose pixels define the chip grid; by default the finest band.
        open_files: Open the bands' files, and believe them about where their pixels lie and which
            band is the finest, whatever the item says. Otherwise files are opened for that only if
            the item says too little.
        storage: Reads the files: credentials, endpoint, retries.

    Attributes:
        headers: Headers of the item's files that are known, by asset key (`use_headers`).
        differences: The files that were looked at and lie elsewhere than the item says. They are
            found with the grid.
        no_chips: Why `create_index` made no row; None if it made some, or was not called.

    Raises:
        MissingMetadata: The item does not say where its pixels lie, and no file could be opened.
        InvalidMetadata: The item contradicts itself.
        UsageError: `chip_size` is not a whole number from 1 on, `chip_max_nodata` is not a share,
            or `edge` is unknown.

    Example:
        >>> class Striped(NoStatsChipIndexer):
        ...     def get_stats(self, x, y):
        ...         return 0.25 * x, 0.0
        >>> Striped(item).create_index()["cloud_cover_percentage"].to_pylist()[:4]
        [0.0, 0.25, 0.5, 0.75]
    """

    # of the class, since indexers that earlier versions pickled lack them
    headers: Mapping[str, Header] = MappingProxyType({})
    differences: tuple[GridDifference, ...] = ()
    no_chips: str | None = None
    _files: Mapping[str, FileGrid] = MappingProxyType({})

    def __init__(
        self,
        item: pystac.Item | dict[str, Any] | str,
        chip_size: int = 256,
        chip_max_nodata: float = 0.5,
        shape: tuple[int, int] | None = None,
        *,
        edge: Edge = "drop",
        reference: str | None = None,
        open_files: bool = False,
        storage: Storage | None = None,
    ) -> None:
        require_arguments(chip_size, chip_max_nodata, edge)
        self.storage = storage or Storage()
        self.item = _load_one(item, self.storage)
        self.chip_size = chip_size
        self.chip_max_nodata = chip_max_nodata
        self.edge = edge
        self._shape = shape
        self._reference = reference
        self._open_files = open_files

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.item.id!r}, platform={self.platform!r})"

    # --- where the chips lie

    @cached_property
    def assets(self) -> dict[str, AssetInfo]:
        """The item's statements about its assets, by key."""
        return read_assets(self.item, self.storage)

    @cached_property
    def reference(self) -> AssetInfo | None:
        """The asset whose pixels define the chip grid, by its file if that is known.

        It is None for an item without rasters; then the item's own grid serves.
        """
        if self._reference is None and not any(each.is_raster for each in self.assets.values()):
            return None
        find = self._finder.find_in_files if self._open_files else self._finder.find
        found, self._files = find(self._files)
        self._note(find_differences(self.item.id, self.assets, self._files))
        return found

    @property
    def _finder(self) -> ReferenceFinder:
        assets = forgive(self.assets) if self._open_files else self.assets
        return ReferenceFinder(self.item, assets, self._reference, self.source, self.storage)

    def use_headers(self, headers: Mapping[str, Header]) -> None:
        """Believe headers of the item's files about where their pixels lie.

        The headers are not read again. What was found without them, such as the grid, is found
        anew.

        Args:
            headers: By asset key, as `stacchip.index.headers.gather_headers` has them for the item;
                any part of its assets.
        """
        self.headers = dict(headers)
        self._files = self.headers
        self.differences = ()
        self._forget()

    def open_asset(self, asset: AssetInfo) -> Reader:
        """Open the file of an asset, and see whether it lies where the item says.

        If it does not, the item's word is in doubt: the grid becomes that of the reference band's
        file.
        """
        reader = open_reader(asset.require_href(), self.storage, header=self.headers.get(asset.key))
        reference = self.reference
        if asset.key in self._files:
            return reader
        self._files = {**self._files, asset.key: reader}
        if reference is None or self._is_as_said(asset, reader):
            return reader
        if reference.key not in self._files:
            self._files = {**self._files, reference.key: self._finder.open(reference)}
        found = find_differences(self.item.id, self.assets, self._files)
        # the band that led to the reference band is enough to say
        self._note(tuple(each for each in found if each.asset == asset.key) or found)
        self._forget()
        self.reference, self._files = self._finder.find(self._files)
        return reader

    def _is_as_said(self, asset: AssetInfo, reader: Reader) -> bool:
        """Return True if a file lies where the item says, in the CRS of the grid."""
        if find_differences(self.item.id, self.assets, {asset.key: reader}):
            return False
        return reader.geobox is None or same_crs(reader.geobox.crs, self.grid.geobox.crs)

    def _note(self, differences: tuple[GridDifference, ...]) -> None:
        """Keep the differences, and log the first; the others are mostly of the same kind."""
        if differences and differences != self.differences:
            more = len(differences) - 1
            also = f" {more} more of its files differ." if more else ""
            _log.warning("%s%s", differences[0], also)
        self.differences = differences

    def _forget(self) -> None:
        """Find the grid and the shares again when they are next asked for."""
        for name in ("reference", "grid", "_shares"):
            self.__dict__.pop(name, None)

    @cached_property
    def grid(self) -> ChipGrid:
        """The grid of chips; a file is opened only if the item does not say where it is.

        Raises:
            MissingMetadata: The item does not say where its pixels lie, nor does a file.
            InvalidMetadata: The item contradicts itself.
            LimitExceeded: The grid has more chips than the limit.
        """
        geobox = self._find_geobox()
        if self._shape is not None:
            geobox = GeoBox(self._shape, geobox.affine, geobox.crs)
        grid = ChipGrid(geobox, self.chip_size, self.edge)
        limits = self.storage.options_for(item_href(self.item) or "").limits
        if grid.size > limits.chips:
            what = (
                f"It makes {grid.size:.3g} chips of {self.chip_size} px from "
                f"{grid.shape[0]} x {grid.shape[1]} pixels"
            )
            raise attribute(limits.exceeded("chips", what), self.item.id)
        return grid

    def _find_geobox(self) -> GeoBox:
        if self.reference is not None and self.reference.geobox is not None:
            return self.reference.geobox
        try:
            geobox = read_geobox(self.item)
        except MissingMetadata:
            reference_candidates(self.item, self.assets)  # says why none of its assets serves
            raise
        _log.warning("item %r has no asset to chip: its chips cannot be cut", self.item.id)
        return geobox

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the reference band in pixels."""
        return self.grid.shape

    @property
    def transform(self) -> Affine:
        """The affine from (column, row) of the reference band to coordinates in `crs`."""
        return self.grid.transform

    @property
    def crs(self) -> Any:
        """The CRS of the reference band; its `str` is "EPSG:..." if it has a code."""
        return self.grid.geobox.crs

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """Bounds of the reference band in its CRS: xmin, ymin, xmax, ymax."""
        box = self.grid.geobox.boundingbox
        return (box.left, box.bottom, box.right, box.top)

    @property
    def x_size(self) -> int:
        """Number of columns of chips."""
        return self.grid.x_size

    @property
    def y_size(self) -> int:
        """Number of rows of chips."""
        return self.grid.y_size

    @property
    def size(self) -> int:
        """Number of chips in the grid."""
        return self.grid.size

    def get_chip_bbox(self, x: int, y: int) -> shapely.Geometry | None:
        """Return the footprint of a chip: a polygon in OGC:CRS84, or None if it has none.

        Raises:
            ChipOutOfRange: The grid has no such chip.
        """
        return self.grid.footprint(x, y)

    # --- what is in them

    @property
    def platform(self) -> str:
        """The chips' `platform`: the source's name, else the collection, else STAC's platform."""
        return platform_name(self.item, self.source)

    @cached_property
    def source(self) -> Source | None:
        """The kind of imagery that the item is, or None if it is not known."""
        return find_source(self.item)

    def get_stats(self, x: int, y: int) -> Stats:  # noqa: ARG002 - for subclasses
        """Return the shares of (cloud, nodata) in a chip, 0..1. Override this.

        A share that is not measured is None or NaN, and becomes null in the index.
        """
        raise UsageError(
            f"{type(self).__name__} does not define how chips are measured: override "
            "get_stats(x, y), or use NoStatsChipIndexer."
        )

    def get_shares(self) -> dict[str, NDArray[np.float32]]:
        """Return shares of all chips, 0..1, each (y_size, x_size), from a `get_stats` per chip."""
        stats = np.empty((2, self.y_size, self.x_size), dtype=np.float32)
        for y, x in np.ndindex(self.y_size, self.x_size):  # a subclass's `get_stats` takes one chip
            stats[:, y, x] = self.get_stats(x, y)  # None becomes NaN
        return {"cloud": stats[0], "nodata": stats[1]}

    def recorded_grid(self) -> RecordedGrid:
        """Return the grid of the chips, as an index keeps it."""
        reference = self.reference
        return RecordedGrid(
            self.grid.geobox,
            None if reference is None else reference.key,
            is_checked=reference is not None and reference.is_checked and self._shape is None,
        )

    def recorded_item(self) -> dict[str, Any]:
        """Return the item as an index keeps it: a dictionary, with the grid of its chips."""
        item = self.item.to_dict(include_self_link=True, transform_hrefs=False)
        return record_grid(item, self.recorded_grid())

    def create_index(self) -> pa.Table:
        """Return the index: a row for each chip with no more nodata than `chip_max_nodata`.

        The columns are those of `stacchip.index.schema.SCHEMA`; rows go along x, then y. The
        table's metadata holds the item, so `Chipper(table)` works, even after `pq.write_table`.
        If there is no such chip, a warning is logged and `no_chips` says why.

        Raises:
            StorageError: A QA file could not be fetched.
            RasterError: A QA file is broken.
            GridMismatch: The QA band is in another CRS than the chips.
        """
        shares = self.get_shares()
        table = build_table(
            self.recorded_item(),
            self.grid,
            platform=self.platform,
            datetime=item_datetime(self.item),
            shares=shares,
            chip_max_nodata=self.chip_max_nodata,
            item_href=item_href(self.item),
        )
        _log.info("%r: %d of %d chips indexed", self, table.num_rows, self.size)
        if not table.num_rows:
            self.no_chips = explain_no_chips(self.grid, shares, self.chip_max_nodata)
            _log.warning("item %r has no chip: %s", self.item.id, self.no_chips)
        return table


class NoStatsChipIndexer(ChipIndexer):
    """Indexes an item without reading pixels: every chip counts as clear and full.

    This is the rule of the original, for imagery of which you know it. `UnmeasuredChipIndexer` says
    that nothing was measured. Both open no file if the item says where its pixels lie.
    """

    def get_stats(self, x: int, y: int) -> tuple[float, float]:  # noqa: ARG002 - all are the same
        """Return (0, 0) for every chip."""
        return 0.0, 0.0


class NoDataMaskChipIndexer(ChipIndexer):
    """Measures nodata by a mask that the caller gives; cloud is 0, as in the original.

    Args:
        item: As in `ChipIndexer`.
        nodata_mask: (height, width) of the reference band, nonzero where there is no data.
        chip_size: As in `ChipIndexer`.
        chip_max_nodata: As in `ChipIndexer`.
        **options: Further options of `ChipIndexer`.
    """

    def __init__(
        self,
        item: pystac.Item | dict[str, Any] | str,
        nodata_mask: ArrayLike,
        chip_size: int = 256,
        chip_max_nodata: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(item, chip_size, chip_max_nodata, **options)
        self.nodata_mask = np.asarray(nodata_mask).astype(bool, copy=False)

    @cached_property
    def _shares(self) -> dict[str, NDArray[np.float32]]:
        shares = count_shares({"nodata": self.nodata_mask}, self.grid)
        return {"cloud": np.zeros_like(shares["nodata"]), **shares}

    def get_shares(self) -> dict[str, NDArray[np.float32]]:
        """Return the mask's share of each chip; no cloud."""
        return self._shares

    def get_stats(self, x: int, y: int) -> tuple[float, float]:
        """Return (0, share of nodata) of a chip."""
        return 0.0, float(self._shares["nodata"][y, x])


def require_arguments(chip_size: int, chip_max_nodata: float, edge: Edge) -> None:
    """Refuse arguments that no item can be indexed with.

    Raises:
        UsageError: One of them is wrong.
    """
    require_grid(chip_size, edge)
    if not 0 <= chip_max_nodata <= 1:
        raise UsageError(f"chip_max_nodata is a share, 0..1, not {chip_max_nodata!r}.")


def _load_one(item: pystac.Item | dict[str, Any] | str, storage: Storage | None) -> pystac.Item:
    """Return the one item that a source of items holds.

    Raises:
        UsageError: It holds none, or several.
    """
    found = list(islice(load_items(item, storage=storage), 2))
    if len(found) != 1:
        raise UsageError(
            f"An indexer takes one item, and was given {'several' if found else 'none'}. "
            "To index several, call stacchip.index_items(items, path)."
        )
    return found[0]
