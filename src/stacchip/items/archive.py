"""Where things lie in the target bucket, and names that cannot leave their place.

```
{platform}/{item_id}/stac_item.json
{platform}/{item_id}/B02.tif ...
index/{platform}/{item_id}/index_{item_id}.parquet
```

Ids and file names come from catalogues, so they are data from outside: `safe_name` lets nothing
through that could climb out of its folder or mean something else to a store, a shell or a URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from stacchip.errors import InvalidMetadata

SAFE = re.compile(r"[A-Za-z0-9_.\-]+")
NAME_BYTES = (
    200  # S3 keys end at 1024 bytes, file names at 255: three names and a suffix fit in both
)
ITEM_NAME = "stac_item.json"


def safe_name(name: object, *, what: str, item_id: str | None = None) -> str:
    """The name itself, where it is one harmless path segment.

    Letters, digits, `_`, `-` and `.` are allowed, at most 200 of them, and no name of dots alone.
    Other names are refused, not repaired: two repaired names could become one.

    Raises:
        InvalidMetadata: The name is empty, too long, or has any other character.

    Example:
        >>> safe_name("S2A_29RKH_20200219_0_L2A", what="item id")
        'S2A_29RKH_20200219_0_L2A'
        >>> safe_name("../../etc", what="item id")
        Traceback (most recent call last):
        stacchip.errors.InvalidMetadata: A catalogue gave '../../etc' as item id, ...
    """
    harmless = (
        isinstance(name, str)
        and len(name) <= NAME_BYTES
        and SAFE.fullmatch(name) is not None
        and name.strip(".") != ""
    )
    if not harmless:
        raise InvalidMetadata(
            f"A catalogue gave {str(name)[:80]!r} as {what}, which cannot be a name in a bucket: "
            f"letters, digits, '_', '-' and '.' only, at most {NAME_BYTES}. Nothing was written.",
            item_id=item_id,
            field=what,
        )
    return str(name)


def file_name(href: str, *, item_id: str | None = None) -> str:
    """The last segment of an href's path, as a safe name.

    Raises:
        InvalidMetadata: It is none.

    Example:
        >>> file_name("https://example.com/a/B02.tif?sig=secret")
        'B02.tif'
    """
    path = unquote(urlsplit(href).path)
    return safe_name(path.rpartition("/")[2], what="file name", item_id=item_id)


@dataclass(frozen=True)
class Layout:
    """The hrefs of one archive.

    Attributes:
        root: `s3://bucket`, `s3://bucket/prefix` or a local folder, without a slash at the end.
    """

    root: str

    def folder(self, platform: str, item_id: str) -> str:
        """The folder of one item, with a slash at the end."""
        return f"{self.root}/{self._place(platform, item_id)}/"

    def asset(self, platform: str, item_id: str, name: str) -> str:
        """The href of one file of an item."""
        return self.folder(platform, item_id) + safe_name(name, what="file name", item_id=item_id)

    def item(self, platform: str, item_id: str) -> str:
        """The href of an item's JSON."""
        return self.folder(platform, item_id) + ITEM_NAME

    def index_folder(self, platform: str, item_id: str) -> str:
        """The folder of an item's index, which holds the item's record beside the chips."""
        return f"{self.root}/index/{self._place(platform, item_id)}"

    def index_name(self, item_id: str) -> str:
        """The name of the file with an item's chips."""
        return f"index_{safe_name(item_id, what='item id')}.parquet"

    def index(self, platform: str, item_id: str) -> str:
        """The href of the file with an item's chips.

        Example:
            >>> Layout("s3://b").index("naip", "m_1")
            's3://b/index/naip/m_1/index_m_1.parquet'
        """
        return f"{self.index_folder(platform, item_id)}/{self.index_name(item_id)}"

    @staticmethod
    def _place(platform: str, item_id: str) -> str:
        item_id = safe_name(item_id, what="item id")
        return f"{safe_name(platform, what='platform', item_id=item_id)}/{item_id}"
