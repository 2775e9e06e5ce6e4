"""STAC items: where they come from, and what their metadata tell of their assets.

```python
api = "https://earth-search.aws.element84.com/v1"
for item in search_items(api, collections=["sentinel-2-l2a"], bbox=(-9.1, 28.8, -9.0, 28.9)):
    reference = reference_asset(item, source=find_source(item))
    print(item.id, reference.key, reference.geobox.shape)
```

No function here but `load_items` and `search_items` opens anything.
"""

from stacchip.items.archive import Archive
from stacchip.items.assets import AssetInfo, BandInfo, read_assets
from stacchip.items.copies import unsign_item
from stacchip.items.dates import item_datetime
from stacchip.items.load import load_items
from stacchip.items.naming import item_href, platform_name
from stacchip.items.projection import read_geobox
from stacchip.items.record import parse_item
from stacchip.items.reference import find_band, reference_asset, reference_candidates
from stacchip.items.search import search_items

__all__ = [
    "Archive",
    "AssetInfo",
    "BandInfo",
    "find_band",
    "item_datetime",
    "item_href",
    "load_items",
    "parse_item",
    "platform_name",
    "read_assets",
    "read_geobox",
    "reference_asset",
    "reference_candidates",
    "search_items",
    "unsign_item",
]
