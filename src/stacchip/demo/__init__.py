"""A sample archive to try stacchip on: generated, and said to be.

It looks like land, but no sensor has seen it: relief cut by rivers, a coast, fields, woods, towns,
clouds and their shadows, in the bands, resolutions, keys and masks of real products.

```python
items = write_archive(Path("demo"))     # three paths of STAC items
```
"""

from stacchip.demo.archive import write_archive
from stacchip.demo.stac import GENERATED

__all__ = ["GENERATED", "write_archive"]
