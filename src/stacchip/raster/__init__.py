"""Pixels on Earth: headers, blocks and readers of rasters. It knows nothing of STAC.

```python
reader = open_reader("s3://sentinel-cogs/.../B04.tif", Storage())
pixels = reader.read(Window(row=0, col=0, height=256, width=256))
```
"""

from stacchip.grid.window import Window
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
