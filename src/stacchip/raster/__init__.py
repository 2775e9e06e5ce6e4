"""Pixels of a file: headers, blocks and readers of rasters. Nothing here knows STAC.

```python
reader = open_reader("s3://sentinel-cogs/.../B04.tif", Storage())
pixels = reader.read(Window(row=0, col=0, height=256, width=256))
```

Read the files in this order: `reader` (windows of files), `block_requests` (which requests fetch
blocks), `fetch` (sends them), `cache` (blocks that are kept), `blocks` (from bytes to pixels),
`codecs` and `lzw` (decompression), `allowance` (how much large blocks may take at once), `header`,
`parse`, `sample_tags` (what a sample is), `block_table` (where the blocks lie) and `block_places`
(how that is kept), `tiff` (directories and tags) and `file_bytes` (the bytes of a header),
`location` and `sidecars` (what places the pixels), `nodata` (which values stand for no data),
`validity` (which pixels may be used), `resample` and `placement` (pixels on the chip grid),
`marking` (which pixels of a new file are valid), and the folder `gdal` (everything that GDAL does).

What happens when a block is missing:

| the block | what happens | in |
|---|---|---|
| is sparse (length 0) | its pixels are `Header.fill`; no request is made | `blocks` |
| is absent from the table of blocks | `CorruptBlock`, before any request | `block_requests` |
| lies beyond the end of the file | `CorruptBlock`, before any request | `block_requests` |
| is larger than `Limits.block_bytes` | `LimitExceeded`, before any request | `block_requests` |
| is not where it was (404) | `ObjectNotFound` | `stacchip.storage` |
| belongs to another version of the file | `AssetChanged` | `stacchip.storage` |
| cannot be decoded | `CorruptBlock` with file and block | `blocks`, `gdal.file` |
| is damaged in the cache on disk | it is fetched again | `cache` |

A reader raises the first error and cancels the rest. In a stream with `errors="skip"`, the chips
that need the block are left out and counted (`stacchip.stream.read.loading`).

To add a codec, add an entry to `CODECS` in `codecs`. The folder imports `stacchip.storage`,
`stacchip.grid`, `stacchip.runtime` and `stacchip.errors`.
"""

from typing import TYPE_CHECKING

from stacchip.grid.window import Window
from stacchip.runtime.lazy_names import offer_lazily

if TYPE_CHECKING:
    from stacchip.raster.header import Header
    from stacchip.raster.parse import read_header
    from stacchip.raster.reader import (
        Reader,
        WindowRequest,
        open_reader,
        read_valid_windows,
        read_windows,
    )

__all__ = [
    "Header",
    "Reader",
    "Window",
    "WindowRequest",
    "open_reader",
    "read_header",
    "read_valid_windows",
    "read_windows",
]

if not TYPE_CHECKING:  # a source compares with nodata, and needs nothing else of this folder
    __getattr__, __dir__ = offer_lazily(
        __name__,
        {
            "header": ["Header"],
            "parse": ["read_header"],
            "reader": [
                "Reader", "WindowRequest", "open_reader", "read_valid_windows", "read_windows",
            ],
        },
    )  # fmt: skip
