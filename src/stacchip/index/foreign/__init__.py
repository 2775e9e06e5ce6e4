"""Tables and files of chips that other tools made: what they lack is derived.

geopandas drops the column `bbox`, DuckDB's `PARTITION_BY` the keys, a notebook all but the names of
chips. What can be derived from the rest is derived; the rest is refused with a typed error.

The files, in reading order:

```
tables        the one door: a table of any library to a pyarrow table
names         `chipid`, and the parts it is made of
geometry      footprints in any encoding and CRS to WKB in OGC:CRS84, and their bounds
own_columns   columns that follow from a table's other columns
item_columns  columns that only a chip's item tells
item_lookup   the items that tell them: at hand, or at their address
```
"""
