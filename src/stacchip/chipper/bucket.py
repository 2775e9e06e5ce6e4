"""A bucket of collected imagery: where its items and indexes lie.

The layout is the original's:

```
{platform}/{item_id}/stac_item.json                       the item, its assets beside it
index/{platform}/{item_id}/index_{item_id}.parquet        its chips
```
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from stacchip.errors import ObjectNotFound
from stacchip.index import read_index
from stacchip.items import load_items
from stacchip.storage import child_href

if TYPE_CHECKING:
    import pyarrow as pa
    import pystac

    from stacchip.storage import Storage

ITEM_FILE = "stac_item.json"
DEFAULT_CHIP_SIZE = 256


@dataclass(frozen=True)
class Bucket:
    """A bucket, or a folder in its form.

    Args:
        href: Its address: `s3://name`, another URL, or a local path.

    Example:
        >>> bucket = Bucket.named("clay-v1-data")
        >>> bucket.item_href("naip", "m_4709963_se")
        's3://clay-v1-data/naip/m_4709963_se/stac_item.json'
        >>> bucket.index_href("naip", "m_4709963_se")
        's3://clay-v1-data/index/naip/m_4709963_se/index_m_4709963_se.parquet'
    """

    href: str

    @classmethod
    def named(cls, name: str) -> Bucket:
        """A bucket by its bare name, which is S3's, or by its address."""
        return cls(name if "/" in name else f"s3://{name}")

    def item_href(self, platform: str, item_id: str) -> str:
        """Where an item lies."""
        return child_href(self.href, f"{platform}/{item_id}/{ITEM_FILE}")

    def index_href(self, platform: str, item_id: str) -> str:
        """Where an item's index lies."""
        return child_href(self.href, f"index/{platform}/{item_id}/index_{item_id}.parquet")

    def asset_href(self, platform: str, item_id: str, href: str) -> str:
        """Where the copy of an asset lies: under its own file name, beside the item."""
        name = PurePosixPath(unquote(urlsplit(href).path)).name
        return child_href(self.href, f"{platform}/{item_id}/{name}")

    def read_index(self, platform: str, item_id: str, storage: Storage) -> pa.Table | None:
        """The stored index of an item, or None where there is none."""
        try:
            return read_index(self.index_href(platform, item_id), storage=storage)
        except ObjectNotFound:
            return None

    def read_item(self, platform: str, item_id: str, storage: Storage) -> pystac.Item:
        """An item, its assets in this bucket.

        Raises:
            ObjectNotFound: It is not there.
        """
        (item,) = load_items(self.item_href(platform, item_id), storage=storage)
        return self.relocate(item, platform)

    def relocate(self, item: pystac.Item, platform: str) -> pystac.Item:
        """The item with every asset in this bucket; the item given is left as it is.

        An item that was collected without its files (`stacchip collect --assets link`) says so,
        and keeps its hrefs.
        """
        moved = item.clone()
        if item.properties.get("stacchip:choices", {}).get("assets") == "link":
            return moved
        for asset in moved.assets.values():
            asset.href = self.asset_href(platform, item.id, asset.href)
        return moved
