"""Bytes by URL: local files, HTTP(S), and the object stores of Amazon, Google and Azure.

```python
storage = Storage()
identity = storage.stat("s3://sentinel-cogs/.../B04.tif")
head = storage.read_range("s3://sentinel-cogs/.../B04.tif", 0, 65536, expect=identity)
```
"""

from stacchip.storage.href import (
    child_href,
    is_remote,
    join_href,
    local_path,
    parent_href,
    redact,
    unsign,
)
from stacchip.storage.identity import Blob, Entry, Identity
from stacchip.storage.options import StorageOptions
from stacchip.storage.storage import Storage

__all__ = [
    "Blob",
    "Entry",
    "Identity",
    "Storage",
    "StorageOptions",
    "child_href",
    "is_remote",
    "join_href",
    "local_path",
    "parent_href",
    "redact",
    "unsign",
]
