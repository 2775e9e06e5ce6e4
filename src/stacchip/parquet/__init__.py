"""Parquet files of anyone, checked before pyarrow reads them.

pyarrow believes what a file says of itself: a wrong footer can end the process, and a few bytes may
stand for more than memory holds. What a file claims is therefore compared with its size and with
the limits of its place first.

The files, in reading order:

```
damage         the error for a damaged file: its name, and what to do
thrift         the structs in which parquet writes footers and headers of pages
columns        the columns that a schema tells
usual_groups   row groups as Arrow lays them out, found all at once
row_groups     the row groups, and where their columns lie
seal           checksums of what parquet's own leave out
footer         a footer, checked before pyarrow reads the file
deltas         texts stored as differences, measured before pyarrow decodes them
pages          headers of pages, checked before pyarrow decodes them
batches        the rows of a file, a few at a time
sealed_writer  files with all of these checksums
```

It imports `storage`, and knows no chips and no items.
"""
