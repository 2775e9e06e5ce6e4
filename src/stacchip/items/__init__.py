"""STAC items: where they are found, and what their metadata say about their assets.

```python
api = "https://earth-search.aws.element84.com/v1"
for item in search_items(api, collections=["sentinel-2-l2a"], bbox=(-9.1, 28.8, -9.0, 28.9)):
    reference = reference_asset(item, source=find_source(item))
    print(item.id, reference.key, reference.geobox.shape)
```

Only `load_items`, `search_items`, `Archive.read_item` and `Mount.relocate` open anything.

The files, in reading order:

```
load           items of objects, files, URLs, collections, stac-geoparquet
geoparquet     the rows of stac-geoparquet as items
record         one item from its JSON: checked, migrated by pystac, without signatures
record_checks  what a record must have, and how much it may
search         items of a STAC API; api/ sends the requests and follows the pages
copies         items as dictionaries, without signatures; how two copies differ
dates          the date of an item; periods of time, as users write them
naming         the platform and the address of an item in an index
keys           the key of an item, (platform, item id); items by key
media          the assets that hold pixels, by media type, roles and file name
grids/         proj:* fields to a geobox, and whether that can be true
reach          which addresses an item may name, by the place that it came from
alternates     which of the addresses of an asset is read
assets         everything an item says about its assets
file_grids     what files say of their grids, against what their item says
reference      the asset whose grid carries the chips
archive        the places of items, files and indexes in an archive
mount          the files of items below a mounted bucket, or in an archive
```

A quirk of a catalogue belongs in the file that reads the field: a new media type in `media`,
another spelling of a grid in `grids/`, a date in `dates`. A new form of items, such as another
table format, is a branch of `load`.

This folder imports sources (for `platform_name` and the order of bands), storage and grid.
"""

from stacchip.items.archive import Archive
from stacchip.items.assets import AssetInfo, BandInfo, read_assets
from stacchip.items.copies import unsign_item
from stacchip.items.dates import item_datetime
from stacchip.items.file_grids import GridDifference, find_differences
from stacchip.items.grids.projection import read_geobox
from stacchip.items.keys import ItemKey, item_key
from stacchip.items.load import load_items
from stacchip.items.naming import item_href, platform_name
from stacchip.items.record import parse_item
from stacchip.items.reference import (
    best_candidates,
    find_band,
    reference_asset,
    reference_candidates,
)
from stacchip.items.search import search_items

__all__ = [
    "Archive",
    "AssetInfo",
    "BandInfo",
    "GridDifference",
    "ItemKey",
    "best_candidates",
    "find_band",
    "find_differences",
    "item_datetime",
    "item_href",
    "item_key",
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
