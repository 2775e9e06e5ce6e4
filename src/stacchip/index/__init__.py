"""The chip index: a table with a row for each chip, and its files.

```python
write_index(table, "my-index", headers=gather_headers(items))    # a table from an indexer
table = read_index("my-index", max_cloud=0.1, datetime="2023-05/2023-08")
merge_indexes(["my-index", "s3://bucket/index"], "all")
```

To work with an index:

- `read_index`, `scan_index` read its rows, all at once or in parts; `read_records` its items.
  `scan_records` gives the items one after another. `Selection` says which rows are wanted.
- `write_index` writes it. `gather_headers` reads the headers of the items' files for it, and
  `add_headers` adds them later, so that a reader of pixels need not fetch them.
- `merge_indexes` merges indexes of any size; `concat_indexes` tables in memory. `append_to_index`
  adds to an index, and `remove` takes out a source or an item; both leave its files as they are.
  `compact_index` writes them again.
- `add_column` adds columns of your own to it: weights, splits, labels.
- `validate` checks a table that another tool made; `conform` gives it the columns of `SCHEMA`.
  Both take a table of any library.

An indexer makes an index with `ChipGrid`, `chip_shares`, `count_shares`, `make_footprints`,
`record_grid` and `build_table`.

The files, in reading order:

```
embedded    items in a table's metadata, by platform and id
editions    which records of items the rows of an index were written with
remembered  the items of this process's tables, for tables that lost their metadata
dates       the dates of rows, by which two items of one key or id are noticed
table_rows  rows of a table by their numbers, however wide its columns
schema      the columns, stated once
joint_types  types that hold the values of columns of two types
further_columns  columns that are not ours, such as a label
stored      the columns as files store them: slim bounds, with footprints or without
concat      tables in memory put together with their items
build       an item's grid and shares to its rows
quality     shares of cloud, nodata and others, counted from the QA band or the reference band
filters     which rows are wanted
made_footprints  footprints that an index does not store, made from its items
choosing    the wanted rows of a table in memory
read        an index to a table; no row group without wanted rows is read
nulls       columns in which no row lacks a value
draws       a few rows of an index, drawn at random without a look at the others
record_scan  the records of items one after another
on_disk     an index whose files stay open, and whose rows are read when they are asked for
recorded    the records of the items of an index
centres     centres of chips, also at the antimeridian and the poles
origins     what rows of a few columns lack, from the index that they were read from
absent      platforms and items that a filter names and the index lacks
write       a table to an index
recorded_splits  the rules behind columns that are splits, kept with the index
gathering   chips of many indexes on their way into one
merge       many indexes to one, in bounded memory
append      new files beside those of an index
remove      an index without a source or an item
compact     an index that grew, written again
key_numbers  keys of several columns as numbers, by which rows find each other
added_values  values on their way to the chips that they are of
add_column  columns added to an index on disk
headers     headers of the items' files, for the index to keep
files/      the folder of an index on disk: names, order of writing, parquet, records of items
foreign/    tables and files that other tools made: what they lack is derived
```

An item is known by its platform and id together (`stacchip.items.keys`). On its way into an index,
it passes `build` and `embedded` (its dictionary in the table's metadata), `write` (a record for
each source) and `files/item_records` (the row of `_items.parquet`). There `stacchip.items.copies`
removes its signatures. To add a column, add it to `schema.SCHEMA` and to
`OPTIONAL_COLUMNS`, so that indexes without it can still be read.

This folder imports items, sources, raster, storage and grid. It reads headers, and
only `quality` reads pixels.
"""

from stacchip.grid.chip_grid import ChipGrid, Edge
from stacchip.grid.crs import name_crs
from stacchip.grid.footprints import Footprints, make_footprints
from stacchip.grid.geobox import RecordedGrid, read_grid, record_grid
from stacchip.index.add_column import AddedColumns, add_column
from stacchip.index.append import Appended, append_to_index
from stacchip.index.build import build_table
from stacchip.index.compact import compact_index
from stacchip.index.concat import concat_indexes
from stacchip.index.files.item_records import ItemRecord
from stacchip.index.filters import Filters, Selection, Unmeasured, parse_period
from stacchip.index.headers import add_headers, gather_headers, stream_headers
from stacchip.index.merge import Merged, merge_indexes
from stacchip.index.quality import chip_shares, count_shares, nodata_shares
from stacchip.index.read import (
    index_of,
    read_index,
    read_rows_at,
    read_runs,
    scan_index,
    scan_numbered,
)
from stacchip.index.record_scan import scan_records
from stacchip.index.recorded import read_records
from stacchip.index.remove import remove
from stacchip.index.schema import (
    KEY,
    SCHEMA,
    SHARE_COLUMNS,
    conform,
    embed_items,
    embedded_items,
    validate,
)
from stacchip.index.stored import GeometryForm
from stacchip.index.write import write_headers, write_index

__all__ = [
    "KEY",
    "SCHEMA",
    "SHARE_COLUMNS",
    "AddedColumns",
    "Appended",
    "ChipGrid",
    "Edge",
    "Filters",
    "Footprints",
    "GeometryForm",
    "ItemRecord",
    "Merged",
    "RecordedGrid",
    "Selection",
    "Unmeasured",
    "add_column",
    "add_headers",
    "append_to_index",
    "build_table",
    "chip_shares",
    "compact_index",
    "concat_indexes",
    "conform",
    "count_shares",
    "embed_items",
    "embedded_items",
    "gather_headers",
    "index_of",
    "make_footprints",
    "merge_indexes",
    "name_crs",
    "nodata_shares",
    "parse_period",
    "read_grid",
    "read_index",
    "read_records",
    "read_rows_at",
    "read_runs",
    "record_grid",
    "remove",
    "scan_index",
    "scan_numbered",
    "scan_records",
    "stream_headers",
    "validate",
    "write_headers",
    "write_index",
]
