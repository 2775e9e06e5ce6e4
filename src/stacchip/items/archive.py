"""The places of things in an archive of imagery, and names that cannot lead out of them.

An archive is a bucket or a folder that `stacchip collect` fills, in the layout of the original:

```
{platform}/{item_id}/stac_item.json                     the item
{platform}/{item_id}/B02.tif ...                        its assets' files
index/{platform}/{item_id}/index_{item_id}.parquet      its chips
```

Ids and file names come from catalogues, so they are data from outside. No href of an `ItemPlace`
leads out of its archive. What is written also has a `safe_name`, which means nothing else to a
store, a shell or a URL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from stacchip.errors import InvalidMetadata, UsageError
from stacchip.items.load import load_items
from stacchip.items.reach import find_origin, forget_origin, is_out_of_reach
from stacchip.storage import child_href, local_path, redact
from stacchip.storage.href import split_href
from stacchip.storage.redaction import SCHEME

if TYPE_CHECKING:
    import pystac

    from stacchip.storage import Storage

SAFE = re.compile(r"[A-Za-z0-9_.\-]+")
# S3 keys have at most 1024 bytes, file names 255: three names and a suffix fit in both
NAME_BYTES = 200
ITEM_NAME = "stac_item.json"
DEFAULT_CHIP_SIZE = 256
"""The chip size of an item that has no index in the archive."""

BareName = Literal["bucket", "folder"]
"""What a name without scheme and slash is: that depends on the option that takes it."""

# "_" is not allowed in new buckets, but old ones in us-east-1 have it
_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def safe_name(name: object, *, what: str, item_id: str | None = None) -> str:
    """Return the name itself if it is one harmless path segment.

    Letters, digits, `_`, `-` and `.` are allowed, at most 200 of them; a name of dots alone is not.
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
            f"use letters, digits, '_', '-' and '.' only, at most {NAME_BYTES}. "
            "Nothing was written.",
            item_id=item_id,
            field=what,
        )
    return str(name)


def file_name(href: str, *, item_id: str | None = None) -> str:
    """Return the last segment of an href's path, as a safe name.

    Raises:
        InvalidMetadata: It is not a safe name.

    Example:
        >>> file_name("https://example.com/a/B02.tif?sig=secret")
        'B02.tif'
    """
    path = unquote(split_href(href).path)
    return safe_name(path.rpartition("/")[2], what="file name", item_id=item_id)


def keeps_hrefs(item: pystac.Item) -> bool:
    """Return True if an item was collected without its files (`stacchip collect --files link`)."""
    choices = item.properties.get("stacchip:choices")
    return isinstance(choices, Mapping) and choices.get("assets") == "link"


@dataclass(frozen=True)
class Archive:
    """A bucket or folder of collected imagery.

    Args:
        href: Address of the archive: `s3://bucket`, `s3://bucket/prefix`, another URL, or a local
            path. `Archive.named` accepts a bare bucket name, too.

    Example:
        >>> place = Archive.named("clay-v1-data").place("naip", "m_4709963_se")
        >>> place.item_href
        's3://clay-v1-data/naip/m_4709963_se/stac_item.json'
        >>> place.index_href
        's3://clay-v1-data/index/naip/m_4709963_se/index_m_4709963_se.parquet'
    """

    href: str

    def __setstate__(self, state: dict[str, str]) -> None:
        """Take the state of a pickle; those of 0.x may call the address `root`."""
        href = state["href"] if "href" in state else state["root"]
        object.__setattr__(self, "href", href)

    @classmethod
    def named(cls, name: str | os.PathLike[str], *, bare: BareName = "bucket") -> Archive:
        """Return the archive that a user named.

        This is the one rule for every option and argument that names a bucket or a folder:

        - An address with a scheme stays as it is.
        - Text with a slash, or that begins with `~` or `.`, is a local path; `~` is the home
          folder. A `pathlib.Path` always is one.
        - A bare name is a bucket of S3 where the name of the option, variable or argument says so
          (`--bucket`, `STACCHIP_CHIP_BUCKET`, `bucket=`), and a folder elsewhere.

        The result's `href` is an address or a path, so naming it again changes nothing.

        Args:
            name: What the user wrote.
            bare: What a bare name is.

        Raises:
            UsageError: The name is none of these, or `~` has no home folder.

        Example:
            >>> Archive.named("clay-v1-data").href, Archive.named("data/cubes").href
            ('s3://clay-v1-data', 'data/cubes')
            >>> Archive.named("cubes", bare="folder").href
            './cubes'
        """
        text = os.fspath(name) if isinstance(name, str | os.PathLike) else ""
        if not isinstance(text, str) or not text or re.search(r"[\x00-\x1f\x7f]", text):
            raise UsageError(f"{name!r} names neither a bucket nor a folder.")
        if SCHEME.match(text):
            _require_address(text)
            return cls(text)
        if text.startswith("~"):
            try:
                return cls(str(Path(text).expanduser()))
            except RuntimeError as error:
                raise UsageError(f"{text!r} names a folder that is not known: {error}") from error
        if not isinstance(name, str) or "/" in text or text.startswith("."):
            return cls(text)
        if bare == "folder":
            return cls(f"./{text}")
        if not _BUCKET_NAME.fullmatch(text):
            raise UsageError(
                f"{text!r} names neither a bucket nor a folder. Write a bucket's name "
                "(letters, digits, '-' and '.'), an address such as s3://bucket/prefix, or a path "
                "with a slash, such as ./folder."
            )
        return cls(f"s3://{text}")

    def place(self, platform: str, item_id: str) -> ItemPlace:
        """Return the place of an item."""
        return ItemPlace(self.href, platform, item_id)

    def read_item(self, platform: str, item_id: str, storage: Storage) -> pystac.Item:
        """Read an item; its assets have the hrefs of their files in this archive.

        Raises:
            ObjectNotFound: It is not there.
        """
        (item,) = load_items(self.place(platform, item_id).item_href, storage=storage)
        return self.relocate(item, platform)

    def relocate(self, item: pystac.Item, platform: str) -> pystac.Item:
        """Return a copy of the item whose assets have their hrefs in this archive.

        The hrefs are absolute: a relative one would be read from the item's own folder.
        An item that was collected without its files (`stacchip collect --files link`) says so,
        and keeps its hrefs.
        """
        moved = item.clone()
        if keeps_hrefs(item):
            return moved
        place = self.place(platform, item.id)
        origin = find_origin(moved)
        if origin is not None and is_out_of_reach(self.href, origin):
            forget_origin(moved)  # else the local paths would be paths on its host
        for asset in moved.assets.values():
            href = place.asset_href(asset.href)
            path = local_path(href)
            asset.href = href if path is None else str(path.absolute())
            asset.extra_fields.pop("alternate", None)  # other addresses of the original
        return moved


@dataclass(frozen=True)
class ItemPlace:
    """The place of one item in an archive: the hrefs of its files and of its index.

    `folder` and `index_folder` are for writers: they take safe names only. The other hrefs also
    serve readers of archives that something else wrote: a name may have any character, as long as
    it stays inside.

    Attributes:
        archive: Address of the archive.
        platform: The item's platform.
        item_id: The item's id.
    """

    archive: str
    platform: str
    item_id: str

    @property
    def folder(self) -> str:
        """The folder of the item, with a slash at the end.

        Raises:
            InvalidMetadata: A name is not safe to write.
        """
        return child_href(self.archive, *self._safe_names()) + "/"

    @property
    def item_href(self) -> str:
        """The href of the item's JSON.

        Raises:
            UsageError: A name leads out of the archive; so do the hrefs below.
        """
        return child_href(self.archive, self.platform, self.item_id, ITEM_NAME)

    def asset_href(self, href: str) -> str:
        """Return the href of an asset's copy: under its own file name, beside the item.

        Example:
            >>> place = Archive("/data").place("naip", "m_1")
            >>> place.asset_href("https://example.com/a/m_1.tif?sig=abc")
            '/data/naip/m_1/m_1.tif'
        """
        name = PurePosixPath(unquote(split_href(href).path)).name
        return child_href(self.archive, self.platform, self.item_id, name)

    @property
    def index_folder(self) -> str:
        """The folder of the item's index, which holds the item's record beside the chips.

        Raises:
            InvalidMetadata: A name is not safe to write.
        """
        return child_href(self.archive, "index", *self._safe_names())

    @property
    def index_name(self) -> str:
        """The name of the file with the item's chips."""
        return f"index_{self.item_id}.parquet"

    @property
    def index_href(self) -> str:
        """The href of the file with the item's chips."""
        return child_href(self.archive, "index", self.platform, self.item_id, self.index_name)

    def _safe_names(self) -> tuple[str, str]:
        item_id = safe_name(self.item_id, what="item id")
        return safe_name(self.platform, what="platform", item_id=item_id), item_id


def other_reading(name: str, *, bare: BareName) -> str | None:
    """Return the other place that a user may have meant by a name, or None if it is clear.

    A bare name may be a bucket or a folder. A relative path such as `data/cubes` may be a bucket
    with a prefix, if it was given as a bucket.

    Args:
        name: What the user wrote.
        bare: What a bare name is, as for `Archive.named`.

    Example:
        >>> other_reading("cubes", bare="folder"), other_reading("cubes", bare="bucket")
        ('s3://cubes', './cubes')
        >>> other_reading("data/cubes", bare="bucket"), other_reading("./cubes", bare="bucket")
        ('s3://data/cubes', None)
    """
    if SCHEME.match(name) or name.startswith((".", "~", "/")):
        return None
    first, slash, _ = name.partition("/")
    if not _BUCKET_NAME.fullmatch(first):
        return None
    if not slash:
        return f"./{name}" if bare == "bucket" else f"s3://{name}"
    return f"s3://{name.rstrip('/')}" if bare == "bucket" else None


def _require_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        is_address = bool(parts.netloc or (parts.scheme == "file" and parts.path))
    except ValueError:
        is_address = False
    if not is_address:
        raise UsageError(f"{redact(text)!r} is not the address of a bucket or a folder.")


Bucket = Archive  # pickles of 0.x name it so: a Chipper holds one
Layout = Archive  # the name of 0.x in `stacchip.processors.layout`
