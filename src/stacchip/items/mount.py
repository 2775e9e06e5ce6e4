"""A folder or bucket that has copies of items' files: a mounted bucket, or an archive.

A file is looked for at these places below it, and the first that is there is read:

- `{mount}/{path of the href}`, as in the original: a bucket that is mounted, or copied, with its
  folders. For `s3://bucket/a/b.tif` that is `{mount}/a/b.tif`.
- `{mount}/{platform}/{item_id}/{file name}`, as in an archive (`stacchip.items.archive`).
- `{mount}/{href}`, for a relative href. Many items may share it, so it comes last.

Hrefs come from outside. Their paths are cut to what lies below the mount: `..` goes no higher.
"""

from __future__ import annotations

import contextlib
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from stacchip.errors import AccessDenied, UsageError
from stacchip.items.archive import Archive, keeps_hrefs
from stacchip.items.reach import find_origin, forget_origin, may_name
from stacchip.runtime.concurrently import map_concurrently
from stacchip.storage import child_href, local_path
from stacchip.storage.href import parse_href, split_href

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pystac

    from stacchip.storage import Storage

__all__ = ["AbsentFile", "Mount", "MountedItem"]


class AbsentFile(NamedTuple):
    """A file that was looked for in vain.

    Attributes:
        places: Where it was looked for.
        denied: The refusal of the first place that refused to say whether it is there, if any did.
    """

    places: tuple[str, ...]
    denied: AccessDenied | None = None


@dataclass(frozen=True)
class MountedItem:
    """An item whose assets have the hrefs of their files below a mount.

    Attributes:
        item: A copy of the item.
        absent: By asset key, the files that were looked for in vain.
    """

    item: pystac.Item
    absent: Mapping[str, AbsentFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Mount:
    """A folder or bucket that has copies of items' files.

    Args:
        href: A local path, or the address of a bucket or folder.
    """

    href: str

    def relocate(
        self,
        item: pystac.Item,
        platform: str,
        storage: Storage,
        keys: Collection[str] | None = None,
    ) -> MountedItem:
        """Return an item with the hrefs of its files below this mount.

        An asset without a file here gets the last of its places. If the item was collected without
        its files (`stacchip collect --files link`), it keeps its href.

        Args:
            item: The item.
            platform: Its platform.
            storage: Looks for the files, all at the same time.
            keys: The assets whose files are looked for; all by default. The others get the last of
                their places unseen.

        Raises:
            StorageError: It cannot be said whether a file is there, for a reason that is none of
                the file's own.
            UsageError: The platform or the id of the item leads out of the mount.
        """
        places = {key: self._places(item, key, platform) for key in item.assets}

        wanted = places if keys is None else {key: places[key] for key in places if key in keys}

        def look_at(href: str) -> bool | AccessDenied:
            try:
                return storage.exists(href)
            except AccessDenied as error:  # S3 says so, too, if listing is not allowed
                return error

        every = list(dict.fromkeys(place for several in wanted.values() for place in several))
        seen = dict(zip(every, map_concurrently(look_at, every), strict=True))
        moved, absent = item.clone(), {}
        kept = []
        for key, several in places.items():
            found = next((place for place in several if seen.get(place) is True), None)
            if found is None and keeps_hrefs(item):
                kept.append(key)
                continue
            if found is None and key in wanted:
                refusals = (seen[place] for place in several)
                denied = next((each for each in refusals if isinstance(each, AccessDenied)), None)
                absent[key] = AbsentFile(several, denied)
            if several:
                moved.assets[key].href = _absolute(found or several[-1])
            else:
                kept.append(key)
        _free(moved, kept, storage)
        return MountedItem(moved, absent)

    def _places(self, item: pystac.Item, key: str, platform: str) -> tuple[str, ...]:
        """Return the places of an asset's file, in the order in which they are tried."""
        asset = item.assets[key]
        archived = Archive(self.href).place(platform, item.id)
        _ = archived.item_href  # raises if a name leads out of the mount
        places = [*self._by_path(asset.get_absolute_href() or "")]
        with contextlib.suppress(UsageError):  # an href without a file name
            places.append(archived.asset_href(asset.href))
        places += self._by_path(asset.href)
        return tuple(dict.fromkeys(places))

    def _by_path(self, href: str) -> Iterator[str]:
        for path in _paths_of(href):
            with contextlib.suppress(UsageError):  # a path that cannot name a file
                yield child_href(self.href, path)


def _free(item: pystac.Item, kept: Collection[str], storage: Storage) -> None:
    """Let an item name the files below the mount, unless it may not name those that it keeps."""
    origin = find_origin(item)
    if origin is None or len(kept) == len(item.assets):
        return
    hrefs = {key: item.assets[key].get_absolute_href() or item.assets[key].href for key in kept}
    if may_name(origin, storage, hrefs.values()):
        forget_origin(item)
        for key, href in hrefs.items():
            item.assets[key].href = href


def _absolute(href: str) -> str:
    """Return an href that is not read from an item's own folder."""
    path = local_path(href)
    return href if path is None else str(path.absolute())


def _paths_of(href: str) -> Iterator[str]:
    """Yield the path of an href, relative to a root that `..` does not leave.

    A path of a web address comes decoded, then as it is written.

    Example:
        >>> list(_paths_of("s3://bucket/a/b.tif")), list(_paths_of("https://a.org/../b%20c.tif"))
        (['a/b.tif'], ['b c.tif', 'b%20c.tif'])
    """
    try:
        location = parse_href(href)
    except UsageError:
        return
    path = split_href(location.key).path if location.scheme == "http" else location.key
    for each in dict.fromkeys((unquote(path), path) if location.scheme == "http" else (path,)):
        normal = posixpath.normpath(f"/{each}").lstrip("/")
        if normal:
            yield normal
