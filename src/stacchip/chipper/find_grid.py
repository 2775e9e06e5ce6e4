"""The grid that the rows of an index are chips of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacchip.errors import GridMismatch
from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.footprints import make_footprints
from stacchip.grid.geobox import describe_geobox
from stacchip.grid.recorded_grid import RecordedGrid, read_grid
from stacchip.indexer import NoStatsChipIndexer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.chipper.find_item import FoundItem
    from stacchip.chipper.index_rows import ChipKey
    from stacchip.grid.geobox import GeoBox
    from stacchip.storage import Storage

_FAR = 0.02  # of a chip: how far a footprint may lie from the row's


def find_grid(
    found: FoundItem, key: ChipKey, bbox: Mapping[str, float] | None, storage: Storage
) -> RecordedGrid:
    """The grid of an item's chips: as the index kept it, else as the item says, else as its file.

    Args:
        found: The item.
        key: One of its chips.
        bbox: That chip's bounds in the index (OGC:CRS84), if it tells them: what was not kept must
            agree with it.
        storage: Where the reference band's file is read from.

    Raises:
        GridMismatch: Neither the item nor its file has the grid that the chip is one of.
        MissingMetadata: The item says too little, and so does its file.
    """
    recorded = read_grid(found.item.extra_fields)
    if recorded is not None:
        return recorded
    indexer = NoStatsChipIndexer(found.item, key.chip_size, storage=storage)
    in_item = RecordedGrid(indexer.grid.geobox, indexer.reference.key)
    if bbox is None or _has_chip(in_item.geobox, key, bbox):
        return in_item
    in_file = RecordedGrid(indexer.open_reference(), indexer.reference.key)
    if _has_chip(in_file.geobox, key, bbox):
        return in_file
    raise GridMismatch(
        f"Chip ({key.x}, {key.y}) of item {key.item_id!r} lies at {dict(bbox)} in its index, and "
        f"elsewhere by its item ({describe_geobox(in_item.geobox)}) and by the file of asset "
        f"{in_file.reference!r} ({describe_geobox(in_file.geobox)}). Index the item again.",
        item_id=key.item_id,
        asset=in_file.reference,
        href=indexer.reference.href,
    )


def _has_chip(geobox: GeoBox, key: ChipKey, bbox: Mapping[str, float]) -> bool:
    """Whether a chip of this grid has these bounds."""
    grid = ChipGrid(geobox, key.chip_size, "pad")
    if not (key.x < grid.x_size and key.y < grid.y_size):
        return False
    chip = grid.chip_geobox(key.x, key.y)
    made = make_footprints(chip.affine, grid.crs, key.chip_size, (1, 1)).bbox[0].as_py()
    if made is None:
        return False
    return _is_near(made, bbox, "xmin", "xmax") and _is_near(made, bbox, "ymin", "ymax")


def _is_near(one: Mapping[str, Any], other: Mapping[str, Any], low: str, high: str) -> bool:
    limit = _FAR * (one[high] - one[low])
    return bool(abs(one[low] - other[low]) <= limit and abs(one[high] - other[high]) <= limit)
