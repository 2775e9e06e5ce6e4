"""The one rule of which addresses an item may name, by the place that it came from.

An item from a remote catalogue is written by others. If it names a file of this machine, a device,
or an address that only this machine can reach, it is refused, unless `StorageOptions.allow_local`
of that place says otherwise. What the user names is not judged: an item of his own, a local file of
items, a mount.

An item comes from its self href, if the server there gave it. Items of a search, or of a remote
index, may have none, or one elsewhere, which anyone can write. These carry the address of that
place in a foreign member, which an index keeps. So does an item that is copied from a remote index
into a local one (`keep_origin`).

An item that the user passes as a dictionary is his own, whatever its self link says: he may have
pointed its assets to his copies.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from stacchip.errors import UsageError, attribute
from stacchip.items.naming import is_absolute
from stacchip.storage import redact, unsign
from stacchip.storage.href import parse_href
from stacchip.storage.local_hosts import is_local_href, local_refusal
from stacchip.storage.origin import Origin, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import pystac

    from stacchip.errors import NotAllowed
    from stacchip.storage import Storage, StorageOptions

ORIGIN: Final = "stacchip:origin"  # a foreign member of the item's GeoJSON (RFC 7946, 6.1)


class _Given(str):
    """The origin of an item that the user gave; as JSON, a plain text, which we believe of no one.

    An item of pystac may hold any text that a catalogue wrote, but no object of this class.
    """


_BY_USER: Final = _Given("user")


def distant(href: str | None, storage: Storage) -> str | None:
    """Return an address if it is of a remote place whose items may name nothing local, else None.

    Example:
        >>> from stacchip.storage import Storage
        >>> distant("https://example.com/items", Storage()), distant("items.json", Storage())
        ('https://example.com/items', None)
    """
    if href is None or not _is_remote(href) or _options_for(href, storage).allow_local:
        return None
    return href


def is_out_of_reach(href: str, origin: str) -> bool:
    """Return True if an address is local to this machine, and the document that names it is not.

    Args:
        href: The address, absolute.
        origin: Address of the document.

    Example:
        >>> far, near = "https://example.com/item.json", "http://127.0.0.1:8000/item.json"
        >>> is_out_of_reach("/data/B04.tif", far), is_out_of_reach("http://[::1]/B04.tif", far)
        (True, True)
        >>> is_out_of_reach("s3://bucket/B04.tif", far), is_out_of_reach(near, near)
        (False, False)
    """
    if not _is_remote(origin):
        return False
    try:
        location = parse_href(href)
    except UsageError:  # nothing can be read there
        return False
    if location.scheme == "file":
        return True
    return location.scheme == "http" and _is_local(location.key) and not _is_local(origin)


def find_origin(item: pystac.Item) -> str | None:
    """Return the address of the remote place that an item came from; None if the user named it."""
    if isinstance(item.extra_fields.get(ORIGIN), _Given):
        return None
    # a record says its own address, but not where it came from
    for href in (item.extra_fields.get(ORIGIN), item.get_self_href()):
        if isinstance(href, str) and _is_remote(href):
            return href
    return None


def mark_origin(item: pystac.Item, origin: str | None) -> None:
    """Let an item know where it came from, if its self href names no place or another server."""
    if origin is None:
        return
    before = item.extra_fields.get(ORIGIN)
    if isinstance(before, str) and is_out_of_reach(origin, before):
        return  # it came from further away
    item.extra_fields.pop(ORIGIN, None)
    own = item.get_self_href()
    if _is_remote(origin) and (own is None or _server(own) != _server(origin)):
        item.extra_fields[ORIGIN] = unsign(origin)


def _server(href: str) -> Origin | None:
    """Return the server of an address; None if it is local, or of a scheme that is not read."""
    try:
        return origin_of(parse_href(href))
    except UsageError:
        return None


def mark_as_given(item: pystac.Item) -> None:
    """Let an item name what is local although its self link is remote: the user gave it so.

    Only an item that does name such things is marked, so that others stay as they are.
    """
    own, before = item.get_self_href(), item.extra_fields.get(ORIGIN, _BY_USER)
    if own is None or before != _BY_USER:  # what a search found is no less remote as a dictionary
        return
    hrefs = (asset.href for asset in item.assets.values() if is_absolute(asset.href))
    if any(is_out_of_reach(href, own) for href in hrefs):
        item.extra_fields[ORIGIN] = _BY_USER


def is_given(record: Mapping[str, Any]) -> bool:
    """Return True if the record of an item, which the user or his index gave, is marked as his."""
    return bool(record.get(ORIGIN) == _BY_USER)


def keep_origin(record: Mapping[str, Any], origin: str | None) -> Mapping[str, Any]:
    """Return the record of an item that may be kept elsewhere, and is still one of its place.

    Args:
        record: The item as JSON gives it.
        origin: Result of `distant` for the place that gave it.

    Example:
        >>> keep_origin({"id": "a"}, "https://example.com/index")
        {'id': 'a', 'stacchip:origin': 'https://example.com/index'}
    """
    if origin is None:
        return record
    before = record.get(ORIGIN)
    if isinstance(before, str) and is_out_of_reach(origin, before):
        return record
    return {**record, ORIGIN: unsign(origin)}


def forget_origin(item: pystac.Item) -> None:
    """Let an item name anything: the user has named the places of its files.

    Its hrefs must be absolute.
    """
    item.extra_fields.pop(ORIGIN, None)
    item.set_self_href(None)


def may_name(origin: str | None, storage: Storage, hrefs: Iterable[str]) -> bool:
    """Return True if items of a place may name all of these addresses, which are absolute."""
    return origin is None or all(refusal(href, origin, storage) is None for href in hrefs)


def refusal(
    href: str,
    origin: str | None,
    storage: Storage,
    *,
    item_id: str | None = None,
    asset: str | None = None,
) -> NotAllowed | None:
    """Return the error for an address that an item or a catalogue may not name; None if it may.

    Args:
        href: The address, absolute.
        origin: The result of `find_origin`, or the address of the catalogue.
        storage: Its options say what is allowed.
        item_id: The item that names it, if one does.
        asset: The asset whose address it is.

    Example:
        >>> from stacchip.storage import Storage
        >>> print(refusal("/etc/a.tif", "https://example.com/a.json", Storage(), item_id="a"))
        Item 'a': https://example.com/a.json names '/etc/a.tif', which is local to this machine: ...
    """
    if origin is None or not is_out_of_reach(href, origin):
        return None
    options = _options_for(origin, storage)
    # a store whose endpoint is on this machine, such as a test's, is local itself
    if options.allow_local or (options.endpoint and _may_reach(options.endpoint, href)):
        return None
    error = local_refusal(f"{redact(origin)} names {redact(href)!r}", redact(href))
    return error if item_id is None else attribute(error, item_id, asset)


def _options_for(place: str, storage: Storage) -> StorageOptions:
    try:
        return storage.options_for(place)
    except UsageError:  # of a scheme that is not read
        return storage.options


def require_allowed(href: str, origin: str | None, storage: Storage, **facts: str) -> str:
    """Return an address that may be read.

    Arguments are those of `refusal`.

    Raises:
        NotAllowed: It may not be named there.
    """
    refused = refusal(href, origin, storage, **facts)
    if refused is not None:
        raise refused
    return href


def _may_reach(endpoint: str, href: str) -> bool:
    return not is_out_of_reach(href, endpoint)


def _is_remote(href: str) -> bool:
    try:
        return parse_href(href).scheme != "file"
    except UsageError:  # of a scheme that is not read
        return True


def _is_local(href: str) -> bool:
    try:
        return _is_local_server("/".join(href.split("/", 3)[:3]))
    except UsageError:  # of a scheme that is not read
        return False


_is_local_server = lru_cache(1024)(is_local_href)  # items name many files of one server
