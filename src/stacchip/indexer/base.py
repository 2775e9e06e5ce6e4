"""`ChipIndexer`: the chips of one item, measured in any way."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.errors import (
    ItemError,
    MissingMetadata,
    RasterError,
    StorageError,
    UnsupportedRaster,
    UsageError,
    attribute,
)
from stacchip.grid.chip_grid import require_grid
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
from stacchip.items import (
    AssetInfo,
    item_datetime,
    item_href,
    load_items,
    platform_name,
    read_assets,
    reference_asset,
    reference_candidates,
)
from stacchip.raster.placement import locate
from stacchip.raster.reader import open_reader
from stacchip.sources import Source, find_source
from stacchip.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import pystac
    import shapely
    from affine import Affine
    from numpy.typing import ArrayLike, NDArray

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GridDifference:
    """A file whose pixels lie elsewhere than its item says; the file was believed.

    Attributes:
        item_id: The item.
        asset: Key of the asset.
        in_item: What the item says: CRS, shape and transform.
        in_file: What the file's header says.
    """

    item_id: str
    asset: str
    in_item: str
    in_file: str

    def __str__(self) -> str:
        return (
            f"Item {self.item_id!r} says of asset {self.asset!r}: {self.in_item}; "
            f"its file says: {self.in_file}. The file is believed."
        )


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
        open_files: Take the grid from the reference band's file, whatever the item says. Otherwise
            a file is opened only if the item says too little.
        storage: Reads the files: credentials, endpoint, retries.

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
        require_grid(chip_size, edge)
        if not 0 <= chip_max_nodata <= 1:
            raise UsageError(f"chip_max_nodata is a share, 0..1, not {chip_max_nodata!r}.")
        self.storage = storage or Storage()
        self.item = _load_one(item, self.storage)
        self.chip_size = chip_size
        self.chip_max_nodata = chip_max_nodata
        self.edge = edge
        self.differences: tuple[GridDifference, ...] = ()
        self.no_chips: str | None = None  # why `create_index` made no row
        self._shape = shape
        self._reference = reference
        self._open_files = open_files

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.item.id!r}, platform={self.platform!r})"

    # --- where the chips lie

    @cached_property
    def assets(self) -> dict[str, AssetInfo]:
        """The item's statements about its assets, by key."""
        return read_assets(self.item)

    @cached_property
    def reference(self) -> AssetInfo:
        """The asset whose pixels define the chip grid."""
        names = None if self._reference is None else [self._reference]
        source = self.source
        try:
            return reference_asset(self.item, self.assets, names=names, source=source)
        except ItemError as error:
            # no grid is known: the file of the most likely band has it
            if not (self._open_files or isinstance(error, MissingMetadata)):
                raise
            return reference_candidates(self.item, self.assets, names=names, source=source)[0]

    @cached_property
    def grid(self) -> ChipGrid:
        """The grid of chips; a file is opened only if the item does not say where it is."""
        return ChipGrid(self._find_geobox(), self.chip_size, self.edge)

    def _find_geobox(self) -> GeoBox:
        geobox = self.reference.geobox
        if geobox is None or self._open_files or self.differences:
            geobox = self.open_reference()
        return geobox if self._shape is None else GeoBox(self._shape, geobox.affine, geobox.crs)

    def open_reference(self) -> GeoBox:
        """Return the geobox of the reference band's file.

        Raises:
            MissingMetadata: It has none or cannot be opened, and the item says too little.
            UnsupportedRaster: Its pixels lie on no grid.
        """
        asset = self.reference
        try:
            reader = open_reader(asset.href, self.storage)
        except (StorageError, RasterError) as error:
            if asset.problem is None:
                raise
            raise MissingMetadata(
                f"Item {self.item.id!r} does not say where the pixels of asset {asset.key!r} lie "
                f"({', '.join(asset.missing)}), and its file cannot be opened: {error}",
                item_id=self.item.id,
                asset=asset.key,
                field=asset.problem.field,
            ) from error
        try:
            geobox = locate(reader)
        except UnsupportedRaster as error:
            raise attribute(error, self.item.id, asset.key) from error
        if geobox is None:
            raise MissingMetadata(
                f"Neither item {self.item.id!r} nor the file of its asset {asset.key!r} says where "
                "its pixels lie. Add proj:code, proj:transform and proj:shape to the item.",
                item_id=self.item.id,
                asset=asset.key,
                field="proj:transform",
            )
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

    def get_stats(self, x: int, y: int) -> tuple[float, float]:  # noqa: ARG002 - for subclasses
        """Return the shares of (cloud, nodata) in a chip, 0..1. Override this."""
        raise UsageError(
            f"{type(self).__name__} does not define how chips are measured: override "
            "get_stats(x, y), or use NoStatsChipIndexer."
        )

    def get_shares(self) -> dict[str, NDArray[np.float32]]:
        """Return shares of all chips, 0..1, each (y_size, x_size), from a `get_stats` per chip."""
        stats = np.empty((2, self.y_size, self.x_size), dtype=np.float32)
        for y, x in np.ndindex(self.y_size, self.x_size):  # a subclass's `get_stats` takes one chip
            stats[:, y, x] = self.get_stats(x, y)
        return {"cloud": stats[0], "nodata": stats[1]}

    def recorded_item(self) -> dict[str, Any]:
        """Return the item as an index keeps it: a dictionary, with the grid of its chips."""
        item = self.item.to_dict(include_self_link=True, transform_hrefs=False)
        return record_grid(item, RecordedGrid(self.grid.geobox, self.reference.key))

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

    It opens no file if the item says where its pixels lie.
    """

    def get_stats(self, x: int, y: int) -> tuple[float, float]:  # noqa: ARG002 - all are the same
        """Return (0, 0) for every chip."""
        return 0.0, 0.0


class NoDataMaskChipIndexer(ChipIndexer):
    """Measures nodata by a mask that the caller gives.

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
