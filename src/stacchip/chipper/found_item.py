"""An item that was found for a row of an index, and the grid that its chips lie on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stacchip.errors import (
    GridMismatch,
    InvalidMetadata,
    ObjectNotFound,
    attribute,
)
from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.geobox import RecordedGrid, describe_geobox, read_grid
from stacchip.indexer import NoStatsChipIndexer
from stacchip.raster.reader import open_reader
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pystac

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.grid.geobox import GeoBox
    from stacchip.items.mount import AbsentFile
    from stacchip.raster.header import Header
    from stacchip.storage import Storage


@dataclass(frozen=True)
class FoundItem:
    """An item, and the headers of its assets' files that the index keeps.

    Attributes:
        item: The item.
        headers: By asset key.
        moved: Keys of the assets whose files are copies of those that the headers were read from.
        absent: By asset key, the files that were looked for below a mount in vain.
        grid: The grid of its chips that the index keeps. The item may be a copy that keeps another,
            or none.
    """

    item: pystac.Item
    headers: Mapping[str, Header] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()
    absent: Mapping[str, AbsentFile] = field(default_factory=dict)
    grid: RecordedGrid | None = None

    @property
    def kept_grid(self) -> RecordedGrid | None:
        """The grid of its chips that the index keeps, else that which the item keeps."""
        return self.grid or read_grid(self.item.extra_fields)

    def with_files_of(
        self, item: pystac.Item, absent: Mapping[str, AbsentFile] | None = None
    ) -> FoundItem:
        """Return `item`, a copy of this one with other hrefs, and the headers that are known.

        The grid of its chips stays: the rows were made on it. If a file has another address, only
        its size is known until it is opened.

        Args:
            item: The copy.
            absent: As in `FoundItem`.
        """
        ours, theirs = (
            {key: asset.get_absolute_href() for key, asset in each.assets.items()}
            for each in (self.item, item)
        )
        known = {key: header for key, header in self.headers.items() if key in theirs}
        moved = frozenset(key for key in known if ours.get(key) != theirs[key])
        headers = {key: header.moved() if key in moved else header for key, header in known.items()}
        return FoundItem(item, headers, moved, absent or {}, self.kept_grid)

    def require_file(self, key: str) -> None:
        """Refuse an asset whose file was looked for in vain.

        Raises:
            AccessDenied: A place refused to say whether it has the file.
            ObjectNotFound: No place has it; the error names them.
        """
        if key in self.absent:
            file = self.absent[key]
            if file.denied is not None:
                raise attribute(file.denied, self.item.id, key) from file.denied
            places = [redact(place) for place in file.places]
            raise ObjectNotFound(
                f"Item {self.item.id!r}, asset {key!r}: there is no file below the mountpath, "
                f"neither {' nor '.join(places)}. Give the folder that has the files, or no "
                "mountpath to read them where the item says.",
                item_id=self.item.id,
                asset=key,
                href=places[-1] if places else None,
            )

    def find_grid(
        self, key: ChipKey, bbox: Mapping[str, float] | None, storage: Storage
    ) -> RecordedGrid:
        """Return the grid of the item's chips: from the index, else the item, else its file.

        Of the bands whose grids the item states, the one on which the chip has its bounds best
        counts, since the rows may have been made on any (`reference=`). Of equals, the reference
        band comes first.

        Args:
            key: One of its chips.
            bbox: That chip's bounds in the index (OGC:CRS84), if the index has them. A grid that
                the index did not keep must agree with them.
            storage: Reads the reference band's file.

        Raises:
            GridMismatch: Neither the item nor its reference band's file has a grid with this chip.
            MissingMetadata: The item says too little, and so does its file.
        """
        if self.kept_grid is not None:
            return self.kept_grid
        indexer = NoStatsChipIndexer(self.item, key.chip_size, storage=storage)
        try:
            in_item = indexer.recorded_grid()
        except InvalidMetadata:  # earlier versions saw fewer contradictions: the file decides
            indexer = NoStatsChipIndexer(self.item, key.chip_size, open_files=True, storage=storage)
            in_item = indexer.recorded_grid()
        if bbox is None:
            return in_item
        found = _best_grid([in_item, *_other_grids(indexer)], key, bbox)
        if found is not None:
            return found
        if indexer.reference is not None:
            self.require_file(indexer.reference.key)
            indexer.open_asset(indexer.reference)
        in_file = indexer.recorded_grid()
        if _has_chip(in_file.geobox, key, bbox):
            return in_file
        in_other_file = _best_grid(_grids_of_files(indexer, storage), key, bbox)
        if in_other_file is not None:
            return in_other_file
        raise GridMismatch(
            f"Chip ({key.x}, {key.y}) of item {key.item_id!r} lies at {dict(bbox)} in its index, "
            f"and elsewhere by its item ({describe_geobox(in_item.geobox)}) and by the file of "
            f"asset {in_file.reference!r} ({describe_geobox(in_file.geobox)}): one of them has "
            "changed since. Index the item again; that replaces these rows.",
            item_id=key.item_id,
            asset=in_file.reference,
            href=None if indexer.reference is None else indexer.reference.href,
        )


def _other_grids(indexer: NoStatsChipIndexer) -> list[RecordedGrid]:
    """Return the grids that an item states for bands other than the reference band."""
    reference = indexer.reference
    return [
        RecordedGrid(asset.geobox, asset.key)
        for asset in indexer.assets.values()
        if asset.geobox is not None and (reference is None or asset.key != reference.key)
    ]


def _grids_of_files(indexer: NoStatsChipIndexer, storage: Storage) -> list[RecordedGrid]:
    """Return the grids of the files of those bands for which the item states none."""
    unstated = (each for each in indexer.assets.values() if each.is_raster and not each.geobox)
    placed = {asset.key: open_reader(asset.require_href(), storage).geobox for asset in unstated}
    return [RecordedGrid(geobox, key) for key, geobox in placed.items() if geobox is not None]


def _best_grid(
    grids: Sequence[RecordedGrid], key: ChipKey, bbox: Mapping[str, float]
) -> RecordedGrid | None:
    """Return the grid on which a chip has its bounds best, the first of equals; None if on none.

    Bands may lie a pixel apart, which is less than bounds may differ.
    """

    def misfit(grid: RecordedGrid) -> float:
        return ChipGrid(grid.geobox, key.chip_size, "pad").misfit(key.x, key.y, bbox)

    best = min(grids, key=misfit, default=None)
    return best if best is not None and _has_chip(best.geobox, key, bbox) else None


def _has_chip(geobox: GeoBox, key: ChipKey, bbox: Mapping[str, float]) -> bool:
    """Return True if a chip of this grid has these bounds."""
    return ChipGrid(geobox, key.chip_size, "pad").has_chip_at(key.x, key.y, bbox)
