"""Names of an item in an index: its platform and its address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stacchip.storage import join_href, unsign

if TYPE_CHECKING:
    import pystac

    from stacchip.sources import Source

UNKNOWN_PLATFORM = "unknown"
_ABSOLUTE = re.compile(r"/|[a-zA-Z][a-zA-Z0-9+.-]*://")


def platform_name(item: pystac.Item, source: Source | None) -> str:
    """Return an item's platform: the name of its source, else its collection, else its satellite.

    The satellite is STAC's `platform`. An item that has none of them has the platform "unknown".

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
    """Return the address of the item, its self href, unsigned; None if it has none.

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


def address_in_api(record: Any, api: str) -> str | None:
    """Return the address of an item whose self link is a path on its API's host; None for others.

    Args:
        record: The item's JSON object, which may be wrong.
        api: The API's landing page.

    Example:
        >>> link = {"rel": "self", "href": "/v1/collections/naip/items/m_1"}
        >>> address_in_api({"links": [link]}, "https://example.com/v1/")
        'https://example.com/v1/collections/naip/items/m_1'
    """
    links = record.get("links") if isinstance(record, Mapping) else None
    for link in links if isinstance(links, list) else ():
        href = link.get("href") if isinstance(link, Mapping) and link.get("rel") == "self" else None
        if isinstance(href, str) and href.startswith("/"):
            return join_href(unsign(api), href)
    return None


def is_absolute(href: str) -> bool:
    """Return True if an href means the same wherever it is read on this machine.

    A path that begins with "/" names a local file. Within a document from elsewhere it does not:
    `join_href` makes such a path absolute.

    Example:
        >>> is_absolute("s3://bucket/item.json"), is_absolute("./item.json")
        (True, False)
    """
    return _ABSOLUTE.match(href) is not None
