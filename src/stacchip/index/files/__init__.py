"""The files of an index folder: their names, their order of writing, and what is in them.

The files, in reading order:

```
layout                which files an index is made of, and where they lie
paths                 the columns that folders' names tell
parts                 the names of files that an index gets when it grows
row_ranges            ranges of rows that were removed, and the numbers of those that are left
removed               `_removed.part-*.parquet`: the rows that were removed
manifest              `_index.json`: the names of the files, and which have yet to take them
switch                how an index's files are replaced at one moment
chips_writer          how a file with chips is written
replacing             how new files are written
staging               a folder for new files, and one writer at a time
file_columns          the columns of a parquet file as they are read
page_checks           what is to be read of a parquet file, checked first
arrow_view            what pyarrow is given of a parquet file
parquet               how parquet files are read in parts, near or far
opening               how they are opened
item_addresses        where an index says that its items are: relative in an archive in a folder
contents              `_contents.parquet`: which rows are of which item, and what is known of them
chips_file            a file of chips as rows of an index, whatever tool wrote it
snapshot              the files of an index opened at one moment
item_records          `_items.parquet`: an item and the headers of its files in each row
header_spill          headers on their way to the records, put aside on disk
item_records_lookup   one item after another from an index whose files stay open
item_order            the order of items in a merged index: neighbours in space and time stay near
spill                 rows put aside on disk, to be read again in another order
```

A writer makes new files beside the index in a `Replacement`, which puts them into their places by a
`switch`: `_index.json` says which files are of the index, and where they are meanwhile.
`layout.find_files` refuses a folder whose `_index.json` names a file that is missing.

This folder imports the index's `schema`, `further_columns`, `embedded`, `filters`,
`made_footprints` and `foreign`, items, parquet, and raster for `Header`; the modules of
`stacchip.index` that read and write import it.
"""
