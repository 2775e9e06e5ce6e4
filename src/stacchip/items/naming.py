"""What an item is called in an index: its platform, and where it came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stacchip.storage import unsign

if TYPE_CHECKING:
    import pystac

    from stacchip.sources import Source

UNKNOWN_PLATFORM = "unknown"
_ABSOLUTE = re.compile(r"/|[a-zA-Z][a-zA-Z0-9+.-]*://")


def platform_name(item: pystac.Item, source: Source | None) -> str:
    """The `platform` of an item's chips: its source's name, else its collection, or satellite.

    The satellite is STAC's `platform`. An item that has none of them is of platform "unknown".

    Example:
        >>> import pystac
        >>> from datetime import datetime
        >>> item = pystac.Item("a", None, None, datetime(2020, 2, 19), {"platform": "kompsat-3"})
        >>> platform_name(item, None)
        'kompsat-3'
    """
    if source is not None:
        return source.name
    return str(item.collection_id or item.properties.get("platform") or UNKNOWN_PLATFORM)


def item_href(item: pystac.Item) -> str | None:
    """Where the item can be read again: its self href, unsigned; None where it has none.

    Example:
        >>> import pystac
        >>> from datetime import datetime
        >>> item = pystac.Item("a", None, None, datetime(2020, 2, 19), {})
        >>> item.set_self_href("s3://bucket/a/item.json")
        >>> item_href(item)
        's3://bucket/a/item.json'
    """
    href = item.get_self_href()
    return unsign(href) if href is not None and is_absolute(href) else None


def is_absolute(href: str) -> bool:
    """Whether an href means the same wherever it is read from.

    A path that begins with "/" is a local file's, also in an item from the web: that is what users
    write who have fetched its assets.

    Example:
        >>> is_absolute("s3://bucket/item.json"), is_absolute("./item.json")
        (True, False)
    """
    return _ABSOLUTE.match(href) is not None
