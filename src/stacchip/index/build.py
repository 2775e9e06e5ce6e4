"""The table of the chips of one item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.grid.footprints import BBOX
from stacchip.grid.geobox import RecordedGrid, record_grid
from stacchip.grid.rounded_bounds import round_outwards
from stacchip.index.embedded import embed_items
from stacchip.index.schema import SCHEMA, SHARE_COLUMNS
from stacchip.items.copies import to_dict
from stacchip.items.keys import ItemKey
from stacchip.storage import unsign

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    import pystac
    from numpy.typing import NDArray

    from stacchip.grid.chip_grid import ChipGrid

__all__ = ["build_table"]

_ROUNDING: Final = 1e-5


def build_table(
    item: pystac.Item | Mapping[str, Any],
    grid: ChipGrid,
    *,
    platform: str,
    datetime: dt.datetime,
    shares: Mapping[str, NDArray[np.floating[Any]] | float] | None = None,
    chip_max_nodata: float = 1.0,
    item_href: str | None = None,
    reference: str | None = None,
) -> pa.Table:
    """Return the chip index of one item: one row for each chip, along the rows of the grid.

    Args:
        item: The STAC item, or its dictionary. The table's metadata keeps it, unsigned.
        grid: The item's chips.
        platform: Name of the source.
        datetime: The time of the item, with a time zone.
        shares: Shares in 0..1 by share name (`stacchip.index.SHARE_COLUMNS`): an array
            (grid.y_size, grid.x_size), or one number for all chips. A share that is not given is
            null (not measured).
        chip_max_nodata: Chips with a larger share of nodata are left out. A chip whose share
            was not measured stays.
        item_href: Address of the item.
        reference: Asset key of the reference band; if given, the item keeps the grid of its chips.

    Returns:
        A table of `SCHEMA`, which `pyarrow.parquet.write_table` writes as GeoParquet.

    Raises:
        UsageError: A share is unknown, has another shape or is not within 0..1, or `datetime` is
            naive.

    Example:
        >>> from datetime import datetime, timezone
        >>> from affine import Affine
        >>> from stacchip.grid.chip_grid import ChipGrid
        >>> from stacchip.grid.geobox import make_geobox
        >>> geobox = make_geobox("EPSG:32633", Affine(10, 0, 5e5, 0, -10, 2560), (256, 512))
        >>> item = {"type": "Feature", "id": "a", "assets": {}}
        >>> taken = datetime(2024, 5, 1, 10, 30, tzinfo=timezone.utc)
        >>> table = build_table(item, ChipGrid(geobox, 256), platform="mine", datetime=taken)
        >>> table["chipid"].to_pylist()
        ['a-0-0', 'a-1-0']
    """
    stored = to_dict(item)
    item_id = str(stored["id"])
    if datetime.tzinfo is None:
        raise UsageError(f"Item '{item_id}': its datetime {datetime} has no time zone.")
    y, x = (axis.ravel() for axis in np.indices((grid.y_size, grid.x_size), dtype=np.int32))
    footprints = grid.footprints()
    chips = len(x)
    taken = pa.scalar(datetime, SCHEMA.field("datetime").type)
    columns: dict[str, Any] = {
        "chipid": _chipids(item_id, x, y),
        "platform": _repeat(platform, chips),
        "item_id": _repeat(item_id, chips),
        "date": pa.repeat(taken.cast(pa.date32()), chips),
        "datetime": pa.repeat(taken, chips),
        "chip_index_x": x,
        "chip_index_y": y,
        "chip_size": np.full(chips, grid.chip_size, np.int32),
        "crs": _repeat(grid.crs_name, chips),
        "item_href": _repeat(None if item_href is None else unsign(item_href), chips),
        "geometry": footprints.wkb,
        "bbox": round_outwards(pa.chunked_array([footprints.bbox]), BBOX),
        **_share_columns(shares or {}, grid, item_id),
    }
    table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    keep = pc.less_equal(table["nodata_percentage"], chip_max_nodata)
    table = table.filter(pc.fill_null(keep, fill_value=True))
    if reference is not None:
        stored = record_grid(stored, RecordedGrid(grid.geobox, reference))
    return embed_items(table, {ItemKey(platform, item_id): stored})


def _repeat(value: str | None, times: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), times)


def _chipids(item_id: str, x: NDArray[np.int32], y: NDArray[np.int32]) -> pa.Array:
    """Return `{item_id}-{x}-{y}` of each chip."""
    as_text = (pa.array(axis).cast(pa.string()) for axis in (x, y))
    return pc.binary_join_element_wise(item_id, *as_text, "-")


def _share_columns(
    shares: Mapping[str, NDArray[np.floating[Any]] | float], grid: ChipGrid, item_id: str
) -> dict[str, pa.Array]:
    """Return the columns of shares; a share that is not given is null."""
    unknown = sorted(set(shares) - set(SHARE_COLUMNS))
    if unknown:
        raise UsageError(f"No share is called {unknown}; known are {sorted(SHARE_COLUMNS)}.")
    columns = {column: pa.nulls(grid.size, pa.float32()) for column in SHARE_COLUMNS.values()}
    for name, share in shares.items():
        values = np.asarray(share, np.float32)
        if values.ndim and values.shape != (grid.y_size, grid.x_size):
            raise UsageError(
                f"Item '{item_id}': the share '{name}' has shape {values.shape}, but the grid has "
                f"{(grid.y_size, grid.x_size)} chips (rows, columns)."
            )
        values = _clip(values, f"Item '{item_id}': the share '{name}'")
        values = np.broadcast_to(values, (grid.y_size, grid.x_size)).ravel()
        columns[SHARE_COLUMNS[name]] = pa.array(values, from_pandas=True)
    return columns


def _clip(values: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """Return shares within 0..1: sums in floating point may lie a little outside.

    Raises:
        UsageError: They lie outside by more than that.
    """
    outside = values[(values < -_ROUNDING) | (values > 1 + _ROUNDING)]
    if outside.size:
        raise UsageError(
            f"{what} is {outside[0]:g} for a chip, but shares are 0..1 (0.45 for 45 percent). "
            "NaN stands for a share that was not measured."
        )
    return np.clip(values, 0, 1)
