"""The reference band of an item, by its files where they are known, else by the item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stacchip.errors import (
    InvalidMetadata,
    ItemError,
    MissingMetadata,
    RasterError,
    StorageError,
    attribute,
)
from stacchip.index.headers import gather_headers
from stacchip.items import best_candidates, reference_asset
from stacchip.items.file_grids import place_by_files
from stacchip.raster.reader import open_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pystac

    from stacchip.items import AssetInfo
    from stacchip.items.file_grids import FileGrid
    from stacchip.raster.reader import Reader
    from stacchip.sources import Source
    from stacchip.storage import Storage


@dataclass(frozen=True)
class ReferenceFinder:
    """Finds the reference band of one item, and opens files if it must.

    Attributes:
        item: The item.
        assets: The result of `read_assets(item)`; `forgive` it to let files decide where the item
            says the impossible.
        name: The asset that the caller chose, or None.
        source: The item's source.
        storage: Reads the files.
    """

    item: pystac.Item
    assets: Mapping[str, AssetInfo]
    name: str | None
    source: Source | None
    storage: Storage

    def find(self, files: Mapping[str, FileGrid]) -> tuple[AssetInfo, Mapping[str, FileGrid]]:
        """Return the finest band, whose grid is known, and what is now known of the files.

        Files are opened only if no grid is known without them.

        Args:
            files: What is known of the files, by asset key; they are not opened again.

        Raises:
            MissingMetadata: Neither the item nor a file says where the pixels lie.
            InvalidMetadata: The item contradicts itself.
            UnsupportedRaster: The files lie on no grid.
            StorageError: The files could not be read.
            RasterError: The files are broken.
        """
        try:
            return self._choose(files), files
        except MissingMetadata:
            return self.find_in_files(files, all_bands=False)

    def find_in_files(
        self, files: Mapping[str, FileGrid], *, all_bands: bool = True
    ) -> tuple[AssetInfo, Mapping[str, FileGrid]]:
        """Open files, and return the finest band as `find` does.

        Args:
            files: As in `find`.
            all_bands: Open bands, too, that are coarser by their `gsd`.
        """
        files = {**self._read_headers(files, all_bands=all_bands), **files}
        chosen = self._choose_any(files)
        if not chosen.is_checked:  # it is no TIFF, or its header could not be read
            files = {**files, chosen.key: self.open(chosen)}
            chosen = self._choose_any(files)
        if isinstance(chosen.problem, InvalidMetadata):
            raise attribute(chosen.problem, self.item.id, chosen.key)
        if chosen.geobox is None:
            raise MissingMetadata(
                f"Neither item {self.item.id!r} nor the file of its asset {chosen.key!r} says "
                "where its pixels lie. Add proj:code, proj:transform and proj:shape to the item.",
                item_id=self.item.id,
                asset=chosen.key,
                field="proj:transform",
            )
        return chosen, files

    def open(self, asset: AssetInfo) -> Reader:
        """Open the file of an asset.

        Raises:
            MissingMetadata: It cannot be opened, and the item says too little.
        """
        href = asset.require_href()
        try:
            return open_reader(href, self.storage)
        except (StorageError, RasterError) as error:
            if asset.problem is None:
                raise attribute(error, self.item.id, asset.key) from error
            raise MissingMetadata(
                f"Item {self.item.id!r} does not say where the pixels of asset {asset.key!r} lie "
                f"({', '.join(asset.missing)}), and its file cannot be opened: {error}",
                item_id=self.item.id,
                asset=asset.key,
                field=getattr(asset.problem, "field", None),
            ) from error

    def _choose(self, files: Mapping[str, FileGrid]) -> AssetInfo:
        return reference_asset(
            self.item, self.assets, names=self._names, source=self.source, files=files
        )

    def _choose_any(self, files: Mapping[str, FileGrid]) -> AssetInfo:
        """Return the reference band, or else the likeliest, whose grid is not known."""
        try:
            return self._choose(files)
        except ItemError:
            return self._candidates(files)[0]

    def _candidates(self, files: Mapping[str, FileGrid]) -> list[AssetInfo]:
        placed = place_by_files(self.assets, files)
        return best_candidates(self.item, placed, names=self._names, source=self.source)

    @property
    def _names(self) -> list[str] | None:
        return None if self.name is None else [self.name]

    def _read_headers(
        self, files: Mapping[str, FileGrid], *, all_bands: bool
    ) -> dict[str, FileGrid]:
        """Return the headers of bands, read all at once; files that are no TIFFs have none."""
        candidates = self._candidates(files)
        finest = min((each.gsd for each in candidates if each.gsd is not None), default=None)
        keys = [
            each.key
            for each in candidates
            if each.key not in files and (all_bands or each.gsd in (None, finest))
        ]
        if not keys:
            return {}
        found = gather_headers([self.item], keys, storage=self.storage, errors="skip")
        return {key: header for headers in found.values() for key, header in headers.items()}
