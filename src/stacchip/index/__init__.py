"""The chip index: its columns, the grid and shares behind them, and its files on disk."""

from stacchip.grid.chip_grid import ChipGrid, Edge
from stacchip.grid.crs import name_crs
from stacchip.grid.footprints import Footprints, make_footprints
from stacchip.grid.recorded_grid import RecordedGrid, read_grid, record_grid
from stacchip.index.build import build_table
from stacchip.index.files.item_records import ItemRecord
from stacchip.index.filters import Filters, Selection, parse_period
from stacchip.index.merge import Merged, merge_indexes
from stacchip.index.quality import chip_shares, count_shares
from stacchip.index.read import index_of, read_index, read_records, scan_index
from stacchip.index.remove import remove
from stacchip.index.schema import (
    KEY,
    SCHEMA,
    SHARE_COLUMNS,
    concat_indexes,
    conform,
    embed_items,
    embedded_items,
    validate,
)
from stacchip.index.write import write_headers, write_index

__all__ = [
    "KEY",
    "SCHEMA",
    "SHARE_COLUMNS",
    "ChipGrid",
    "Edge",
    "Filters",
    "Footprints",
    "ItemRecord",
    "Merged",
    "RecordedGrid",
    "Selection",
    "build_table",
    "chip_shares",
    "concat_indexes",
    "conform",
    "count_shares",
    "embed_items",
    "embedded_items",
    "index_of",
    "make_footprints",
    "merge_indexes",
    "name_crs",
    "parse_period",
    "read_grid",
    "read_index",
    "read_records",
    "record_grid",
    "remove",
    "scan_index",
    "validate",
    "write_headers",
    "write_index",
]
