"""Which of the addresses of an asset is read: its own, or an alternate one.

An item may name several addresses of one file, by the Alternate Assets extension
(https://github.com/stac-extensions/alternate-assets). Its own address is read, unless

- the options of that address name an alternate (`StorageOptions(alternate="s3")`), and the asset
  has it; or
- that address needs a log-in, no way to log in is set up, and the same file lies in a bucket. This
  concerns the USGS: `landsatlook.usgs.gov` answers with a log-in page, and the requester-pays
  bucket `usgs-landsat` has every file under the same path (usgs.gov, "Landsat Commercial Cloud
  Data Access"), which most items name as the alternate `s3`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stacchip.items.naming import is_absolute

if TYPE_CHECKING:
    import pystac

    from stacchip.storage import Storage

LANDSAT_DOWNLOAD: Final = "https://landsatlook.usgs.gov/data/"
LANDSAT_BUCKET: Final = "s3://usgs-landsat/"
_BEHIND_LOG_IN: Final = {
    re.compile(r"(?i:(?:/vsicurl/)?https?://landsatlook\.usgs\.gov(?::\d+)?)/data/"): LANDSAT_BUCKET
}
"""The bucket with the same paths, by the beginning of addresses that need a log-in."""


def alternate_href(asset: pystac.Asset, name: str) -> str | None:
    """Return an alternate address of an asset as it is written; None if it has none of that name.

    Example:
        >>> import pystac
        >>> fields = {"alternate": {"s3": {"href": "s3://bucket/a.tif"}}}
        >>> alternate_href(pystac.Asset("https://a.org/a.tif", extra_fields=fields), "s3")
        's3://bucket/a.tif'
    """
    alternates: Any = asset.extra_fields.get("alternate")
    alternate: Any = alternates.get(name) if isinstance(alternates, Mapping) else None
    href: Any = alternate.get("href") if isinstance(alternate, Mapping) else None
    return href if isinstance(href, str) and href else None


def same_path(href: str) -> str | None:
    """Return where a bucket has the file of an address that needs a log-in; None for any other.

    Example:
        >>> same_path("https://landsatlook.usgs.gov/data/collection02/B4.TIF")
        's3://usgs-landsat/collection02/B4.TIF'
    """
    for start, bucket in _BEHIND_LOG_IN.items():
        if match := start.match(href):
            return bucket + href[match.end() :].partition("?")[0]
    return None


def choose_href(asset: pystac.Asset, href: str, storage: Storage, base: str | None) -> str:
    """Return the address at which the file of an asset is to be read.

    Args:
        asset: The asset.
        href: Its own address, absolute.
        storage: How the file would be reached.
        base: Address of the item; without it, a relative alternate leads nowhere and is not read.
    """

    def find(name: str) -> str | None:
        stated = alternate_href(asset, name)
        return stated if stated and (base is not None or is_absolute(stated)) else None

    if "://" not in href:  # a copy on this machine
        return href
    storage.name_server(None)  # whoever wrote the item may not name it
    options = storage.options_for(href)
    if options.alternate is not None:
        return find(options.alternate) or href
    copy = same_path(href)
    if copy is None or options.headers or callable(storage.sign):
        return href
    return find("s3") or copy
