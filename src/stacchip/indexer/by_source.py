"""`Indexer`: chips measured by the QA band of the item's source, else by the reference band."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stacchip.errors import AssetNotFound, NotARaster, StorageError
from stacchip.index import chip_shares
from stacchip.indexer.base import ChipIndexer
from stacchip.indexer.nodata import measure_nodata
from stacchip.sources import (
    LANDSAT,
    LANDSAT_L1,
    LANDSAT_ST,
    MODIS,
    SENTINEL_1,
    SENTINEL_2,
    Source,
    find_source,
)

if TYPE_CHECKING:
    import pystac
    from numpy.typing import NDArray

    from stacchip.items import AssetInfo

_log = logging.getLogger(__name__)


class Indexer(ChipIndexer):
    """Measures chips by the QA band of the item's source.

    `Indexer(item)` finds the source; `source` and `repr` say which it is, `qa_asset` says which
    band the shares are from.

    A share that nothing tells is null: it was not measured. If no source is known, or the source
    has no QA band (NAIP, LINZ), nodata is measured by the mask or nodata value of the reference
    band, whose pixels are all read (see `stacchip.indexer.nodata`). Cloud is then null, or 0 if the
    source declares its imagery free of clouds (`Source.clouds`).

    Args:
        item: As in `ChipIndexer`.
        chip_size: As in `ChipIndexer`.
        chip_max_nodata: As in `ChipIndexer`.
        shape: As in `ChipIndexer`.
        source: The source; by default it is found from the item. A variant of a source
            (`dataclasses.replace`) changes which classes count as cloud.
        **options: Further options of `ChipIndexer`.

    Raises:
        AssetNotFound: The source has a QA band, and the item lacks it.
    """

    sources: ClassVar[tuple[Source, ...]] = ()
    """The sources that a subclass supports; any other item is treated as one of the first."""

    def __init__(
        self,
        item: pystac.Item | dict[str, Any] | str,
        chip_size: int = 256,
        chip_max_nodata: float = 0.5,
        shape: tuple[int, int] | None = None,
        *,
        source: Source | None = None,
        **options: Any,
    ) -> None:
        super().__init__(item, chip_size, chip_max_nodata, shape, **options)
        self._source = source

    def __repr__(self) -> str:
        source = self.source
        if source is None:
            return f"{type(self).__name__}({self.item.id!r}, no known source)"
        facts = f"source={source.name!r}"
        if sum(key in self.item.assets for key in source.qa_assets) > 1:
            facts += f", qa_asset={source.qa_asset(self.item)!r}"
        return f"{type(self).__name__}({self.item.id!r}, {facts})"

    @cached_property
    def source(self) -> Source | None:
        """The source given, else the item's if it is one of `sources`, else the first of those."""
        source = self._source
        if source is None:
            source = find_source(self.item)
            own = {each.name for each in self.sources}
            if own and (source is None or source.name not in own):
                source = self.sources[0]
        return source and source.for_item(self.item)

    @cached_property
    def qa_asset(self) -> AssetInfo | None:
        """The QA band, or None if the source has none.

        Raises:
            AssetNotFound: The source has one, and the item lacks it.
        """
        source = self.source
        if source is None or not source.qa_assets:
            return None
        key = source.qa_asset(self.item)
        if key is None:
            there = ", ".join(self.item.assets) or "none"
            raise AssetNotFound(
                f"Item {self.item.id!r} has no QA asset of source {source.name!r} "
                f"({', '.join(source.qa_assets)}); it has: {there}. "
                "Index it without shares (stats=False, --no-stats), or by NoStatsChipIndexer, "
                "for which every chip is clear and full.",
                item_id=self.item.id,
                asset=source.qa_assets[0],
            )
        return self.assets[key]

    @cached_property
    def _shares(self) -> dict[str, NDArray[np.float32]]:
        shares = self._measure_qa_band()
        if "nodata" not in shares:
            shares |= self._measure_reference_band()
        if self.source is not None and self.source.clouds == "none":
            shares["cloud"] = np.zeros((self.y_size, self.x_size), dtype=np.float32)
        return shares

    def _measure_qa_band(self) -> dict[str, NDArray[np.float32]]:
        """Return the shares that the source's QA band tells; none if there is no such band."""
        asset, source = self.qa_asset, self.source
        if asset is None or source is None:
            return {}
        _log.info("%r: measured by asset %r", self, asset.key)
        reader = self.open_asset(asset)
        return chip_shares(reader, source, self.grid, geobox=asset.geobox, nodata=asset.nodata)

    def _measure_reference_band(self) -> dict[str, NDArray[np.float32]]:
        """Return the share of nodata by the reference band; none if nothing says what nodata is.

        A file that is out of reach is logged, and nodata is then not measured: the item's own word
        about the grid is enough for an index.
        """
        reader, reference = None, self.reference
        while reference is not None and (reader is None or reader.href != reference.href):
            try:
                reader = self.open_asset(reference)
            except (NotARaster, StorageError) as error:
                _log.warning("%r: nodata of %r is not measured: %s", self, reference.key, error)
                return {}
            reference = self.reference  # another one, if the file contradicts the item
        if reader is None or reference is None:
            return {}
        nodata = measure_nodata(reader, reference, self.source, self.grid)
        return {} if nodata is None else {"nodata": nodata}

    def get_shares(self) -> dict[str, NDArray[np.float32]]:
        """Return the shares that are measured, of all chips, each (y_size, x_size).

        The QA band is read once.
        """
        if type(self).get_stats is not Indexer.get_stats:
            return super().get_shares()
        return self._shares

    def get_stats(self, x: int, y: int) -> tuple[float, float]:
        """Return the shares of (cloud, nodata) in a chip, 0..1.

        A share that is not measured is NaN. Cloud of radar, to which it does not apply, is 0 here,
        as in the original, and null in the index.
        """
        is_radar = self.source is not None and self.source.clouds == "not applicable"
        otherwise = {"cloud": 0.0 if is_radar else np.nan, "nodata": np.nan}
        cloud, nodata = (
            float(self._shares[name][y, x]) if name in self._shares else value
            for name, value in otherwise.items()
        )
        return cloud, nodata


class LandsatIndexer(Indexer):
    """Measures Landsat Collection 2 by QA_PIXEL; see `stacchip.sources.LANDSAT`."""

    sources = (LANDSAT, LANDSAT_L1, LANDSAT_ST)


class Sentinel2Indexer(Indexer):
    """Measures Sentinel-2 Level-2A by its scene classification (SCL); see `SENTINEL_2`."""

    sources = (SENTINEL_2,)


class ModisIndexer(Indexer):
    """Measures MODIS by its state band, else by its QC bits; see `stacchip.sources.MODIS`."""

    sources = (MODIS,)


class Sentinel1Indexer(Indexer):
    """Measures Sentinel-1 by the nodata of its pixels; see `stacchip.sources.SENTINEL_1`."""

    sources = (SENTINEL_1,)
