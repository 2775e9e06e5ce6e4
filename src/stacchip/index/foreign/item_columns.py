"""Columns that a table lacks, but that its items tell: platform, time, CRS, chip size, footprints.

The size of chips is measured on their footprints, for rows of one item and of about one height at a
time: an index may have an item's chips in several sizes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import (
    AssetChanged,
    IndexFormatError,
    ItemError,
    ItemNotFound,
    StacchipError,
)
from stacchip.grid.chip_grid import ChipGrid
from stacchip.grid.footprints import BBOX
from stacchip.grid.geobox import read_grid
from stacchip.grid.rounded_bounds import round_outwards
from stacchip.index.table_rows import encode_texts, take_rows
from stacchip.items import item_datetime, platform_name, read_assets, reference_asset
from stacchip.items.archive import DEFAULT_CHIP_SIZE
from stacchip.items.grids.projection import read_geobox
from stacchip.sources import find_source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pystac
    from numpy.typing import NDArray

    from stacchip.errors import Errors
    from stacchip.grid.geobox import GeoBox

    FindItem = Callable[[str | None, str, str | None], pystac.Item]

__all__ = ["ITEM_COLUMNS", "PlacedChip", "fill_from_items", "find_chip_grid", "size_classes"]

ITEM_COLUMNS: Final[dict[str, pa.DataType]] = {
    "platform": pa.string(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "chip_size": pa.int32(),
    "crs": pa.string(),
    "geometry": pa.binary(),
    "bbox": BBOX,
}
"""The columns that an item tells, and their types."""
_FINDERS: Final = 16
_PLACE: Final = ("chip_index_x", "chip_index_y", "chip_size", "bbox")
_OF_SIZE: Final = frozenset(("chip_size", "geometry", "bbox"))
_CLASSES: Final = 16  # of the heights of footprints, in each doubling
_FARTHEST: Final = 1 << 20  # takes the classes of heights away from chip sizes
_OF_GRID: Final = frozenset(("chip_size", "crs", "geometry", "bbox"))


class PlacedChip(NamedTuple):
    """A chip's place in its grid, and its bounds in OGC:CRS84 if they are known."""

    x: int
    y: int
    bbox: Mapping[str, float] | None = None


class _Group(NamedTuple):
    """Rows of one item, and of one chip size."""

    platform: str | None
    item_id: str
    item_href: str | None
    rows: NDArray[np.int64]


def fill_from_items(
    table: pa.Table, lacking: Collection[str], find_item: FindItem, *, errors: Errors = "raise"
) -> pa.Table:
    """Return a table with those lacking columns that its items tell; see `ITEM_COLUMNS`.

    Args:
        table: Rows with `item_id`, `chip_index_x` and `chip_index_y`; `platform`, `item_href` and
            `bbox` are used if they are there.
        lacking: Names of columns.
        find_item: Returns the item of a platform (None if not known), id and address.
        errors: `"skip"` leaves the columns of such items null.

    Raises:
        IndexFormatError: An item was not found, or does not tell a column.
    """
    names = [name for name in ITEM_COLUMNS if name in lacking]
    if not names or "item_id" not in table.column_names:
        return table
    groups = _group_by_item(table)

    def find(group: _Group) -> pystac.Item | None:
        try:
            return find_item(group.platform, group.item_id, group.item_href)
        except AssetChanged:
            raise
        except StacchipError as error:
            if errors == "skip" and isinstance(error, (ItemError, ItemNotFound)):
                return None
            raise _untold(names[0], str(error)) from error

    items = _find_all(find, groups)
    parts: dict[str, list[pa.Array]] = {name: [] for name in names}
    places = table.select([name for name in _PLACE if _has(table, name)])
    for group, item in zip(groups, items, strict=True):
        told = _tell(item, take_rows(places, group.rows), names, errors)
        for name in names:
            parts[name].append(told[name])
    order = np.argsort(np.concatenate([group.rows for group in groups] or [np.empty(0, int)]))
    joined = [pa.chunked_array(parts[name], ITEM_COLUMNS[name]) for name in names]
    found = take_rows(pa.table(joined, names=names), order)
    for name in names:
        table = table.append_column(name, found[name])
    return table


def _tell(
    item: pystac.Item | None, rows: pa.Table, names: Collection[str], errors: Errors
) -> dict[str, pa.Array]:
    """Return the columns that an item tells of its rows; with `errors="skip"`, null if it cannot.

    Raises:
        IndexFormatError: It does not tell one.
    """
    if item is not None:
        try:
            return _columns_of(item, rows, names)
        except IndexFormatError:
            if errors == "raise":
                raise
    return {name: pa.nulls(len(rows), ITEM_COLUMNS[name]) for name in names}


def _find_all(
    find: Callable[[_Group], pystac.Item | None], groups: Sequence[_Group]
) -> list[pystac.Item | None]:
    """Find items, many at the same time.

    The threads are this call's own, since a thread of any pool may read a file of chips.
    """
    if len(groups) <= 1:
        return [find(group) for group in groups]
    with ThreadPoolExecutor(_FINDERS, thread_name_prefix="stacchip-items") as pool:
        return list(pool.map(find, groups))


def _group_by_item(table: pa.Table) -> list[_Group]:
    """Return the rows of each item and chip size, in the order of their first rows.

    Two collections may have items of one id, so the address counts, too.
    """
    keys = [name for name in ("platform", "item_id", "item_href") if _has(table, name)]
    codes = [*(encode_texts(table[name])[0] for name in keys), size_classes(table)]
    _, first, inverse = np.unique(np.stack(codes), axis=1, return_index=True, return_inverse=True)
    inverse = inverse.ravel()
    by_item = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    groups = []
    for number in np.argsort(first) if table.num_rows else ():
        row = int(first[number])
        value = {name: table[name][row].as_py() for name in keys}
        groups.append(
            _Group(value.get("platform"), value["item_id"], value.get("item_href"), by_item[number])
        )
    return groups


def _has(table: pa.Table, name: str) -> bool:
    return name in table.column_names


def size_classes(table: pa.Table) -> NDArray[np.int64]:
    """Return a number for each row that rows of one item share only if their chip sizes agree.

    It is the chip size; else a class of the heights of footprints, which differ by less than 5 % in
    a class; else zero. Rows of one chip size may be in several classes.

    Args:
        table: Rows with `chip_size`, `bbox`, or neither.
    """
    sizes = np.zeros(len(table), np.int64)
    if _has(table, "bbox"):
        box = table["bbox"].combine_chunks()
        low, high = (
            np.asarray(pc.struct_field(box, side).to_numpy(zero_copy_only=False), np.float64)
            for side in ("ymin", "ymax")
        )
        height = high - low
        known = height > 0  # not so for nan
        sizes[known] = np.floor(np.log2(height[known]) * _CLASSES).astype(np.int64) - _FARTHEST
    if _has(table, "chip_size"):
        stated = table["chip_size"].fill_null(0).to_numpy()
        sizes = np.where(stated > 0, stated, sizes)
    return sizes


def _columns_of(item: pystac.Item, rows: pa.Table, names: Collection[str]) -> dict[str, pa.Array]:
    """Return the columns that an item tells of its rows."""
    values: dict[str, Any] = {}
    told: dict[str, pa.Array] = {}
    try:
        if "platform" in names:
            values["platform"] = platform_name(item, find_source(item))
        if "datetime" in names:
            values["datetime"] = item_datetime(item)
        if _OF_GRID & set(names):
            grid = _find_grid(item, rows, names)
            values |= {"crs": grid.crs_name, "chip_size": grid.chip_size}
            told |= _footprints(item, rows, grid) if {"geometry", "bbox"} & set(names) else {}
    except IndexFormatError:
        raise
    except StacchipError as error:  # the item says too little, or contradicts itself
        name = next(name for name in names if name not in values)
        raise _untold(name, str(error)) from error
    told |= {
        name: pa.repeat(pa.scalar(value, ITEM_COLUMNS[name]), len(rows))
        for name, value in values.items()
        if name in names
    }
    return told


def _find_grid(item: pystac.Item, rows: pa.Table, names: Collection[str]) -> ChipGrid:
    """Return the grid of an item's rows, which tells some columns.

    Raises:
        IndexFormatError: The rows' bounds contradict the item, or nothing tells the chip size.
        ItemError: The item does not say where its pixels lie.
    """
    chip_size = rows["chip_size"][0].as_py() if _has(rows, "chip_size") else None
    chip = _farthest_chip(rows)
    if chip_size is None and chip.bbox is None and set(names) & _OF_SIZE:
        raise _untold(
            "chip_size", "without footprints, an item does not tell the size of its chips"
        )
    found = find_chip_grid(item, chip, chip_size)
    if found is None:
        raise _untold(
            "chip_size" if chip_size is None else "crs",
            f"no band of item {item.id!r} has chip ({chip.x}, {chip.y}) at {chip.bbox}",
        )
    return found


def _farthest_chip(rows: pa.Table) -> PlacedChip:
    """Return the chip that lies farthest from the grid's corner: it tells the chip size best."""
    x, y = (np.asarray(rows[f"chip_index_{axis}"].to_numpy(), np.int64) for axis in "xy")
    order = np.argsort(-(x + y), kind="stable")
    if not _has(rows, "bbox"):
        return PlacedChip(int(x[order[0]]), int(y[order[0]]))
    for row in order.tolist():
        bbox = rows["bbox"][row].as_py()
        if bbox is not None and bbox["xmax"] - bbox["xmin"] < 180:  # not at the antimeridian
            return PlacedChip(int(x[row]), int(y[row]), bbox)
    return PlacedChip(int(x[0]), int(y[0]))


def find_chip_grid(item: pystac.Item, chip: PlacedChip, chip_size: int | None) -> ChipGrid | None:
    """Return the grid that an item's chips lie on, without opening a file.

    It is the grid that the item keeps, else that of the band on which the chip has its bounds best.
    Of several that fit equally, the reference band's comes first.

    Args:
        item: The item.
        chip: One of its chips. Without bounds, the first of the grids is taken.
        chip_size: The size of its chips; None to find it by the bounds, or to take 256.

    Returns:
        The grid, with `edge="pad"`; None if no grid has the chip within its bounds.

    Raises:
        ItemError: The item does not say where its pixels lie.
    """
    geoboxes = _geoboxes(item)
    x, y, bbox = chip
    if bbox is None:
        size = chip_size or DEFAULT_CHIP_SIZE
        return next((ChipGrid(geobox, size, "pad") for geobox in geoboxes), None)
    grids = [
        ChipGrid(geobox, chip_size or _measure_chip(geobox, x, y, bbox), "pad")
        for geobox in geoboxes
    ]
    nearest = min(grids, key=lambda grid: grid.misfit(x, y, bbox), default=None)
    return nearest if nearest is not None and nearest.has_chip_at(x, y, bbox) else None


def _geoboxes(item: pystac.Item) -> list[GeoBox]:
    recorded = read_grid(item.extra_fields)
    if recorded is not None:
        return [recorded.geobox]
    assets = read_assets(item)
    if not any(asset.is_raster for asset in assets.values()):
        return [read_geobox(item)]
    reference = reference_asset(item, assets, source=find_source(item))
    others = [asset.geobox for asset in assets.values() if asset.key != reference.key]
    return [geobox for geobox in (reference.geobox, *others) if geobox is not None]


def _measure_chip(geobox: GeoBox, x: int, y: int, bbox: Mapping[str, float]) -> int:
    """Return the chip size with which the middle of a chip's bounds lies in the chip's middle."""
    lon, lat = (bbox["xmin"] + bbox["xmax"]) / 2, (bbox["ymin"] + bbox["ymax"]) / 2
    col, row = ChipGrid(geobox, 1, "pad").pixel_at(lon, lat)
    sizes = (col / (x + 0.5), row / (y + 0.5))
    size = float(np.mean(sizes))
    return max(1, round(size)) if np.isfinite(size) else DEFAULT_CHIP_SIZE


def _footprints(item: pystac.Item, rows: pa.Table, grid: ChipGrid) -> dict[str, pa.Array]:
    x, y = (np.asarray(rows[f"chip_index_{axis}"].to_numpy(), np.int64) for axis in "xy")
    outside = (x < 0) | (x >= grid.x_size) | (y < 0) | (y >= grid.y_size)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise _untold(
            "geometry",
            f"item {item.id!r} has {grid.x_size} x {grid.y_size} chips of {grid.chip_size} px, and "
            f"none at ({x[row]}, {y[row]})",
        )
    made, places = grid.footprints(), pa.array(y * grid.x_size + x)
    bounds = round_outwards(pa.chunked_array([made.bbox.take(places)]), BBOX)
    return {"geometry": made.wkb.take(places), "bbox": bounds.chunk(0)}


def _untold(name: str, problem: str) -> IndexFormatError:
    return IndexFormatError(
        f"Not a chip index: column '{name}' is absent, and its item does not tell it: "
        f"{problem.rstrip('.')}. Give the column, or the items (items=[...] of Chipper and "
        "write_index), or ask for other columns.",
        column=name,
    )
