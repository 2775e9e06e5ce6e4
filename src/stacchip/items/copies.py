"""Copies of items: as plain dictionaries, without signatures, and how two of them differ.

A copy that is kept must hold no signature: a signature gives access to anyone who reads it, and
expires. Signatures are made anew when a file is read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import islice
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.storage import redact, unsign
from stacchip.storage.redaction import unsign_text

if TYPE_CHECKING:
    import pystac

# most values are of these types; looking for a Mapping costs ten times as much
_SCALARS = frozenset((int, float, bool, type(None)))
# a signature is in the query, the fragment or the userinfo; most texts have none of them
_search_marks = re.compile("[?#@]|%3[fF]|%40|%23").search


def to_dict(item: pystac.Item | Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as a dictionary, its hrefs as they are written; a shallow copy of a mapping.

    Example:
        >>> to_dict({"id": "a"})
        {'id': 'a'}
    """
    if isinstance(item, Mapping):
        return dict(item)
    content: dict[str, Any] = item.to_dict(include_self_link=True, transform_hrefs=False)
    return content


# -- signatures ------------------------------------------------------------------------------------


def _may_be_signed(text: str) -> bool:
    """Return False for a text without a mark of a signature."""
    # short texts are searched for a character in a tenth of the time
    if "?" in text or "#" in text or "@" in text:
        return True
    return "%" in text and _search_marks(text) is not None


def unsign_hrefs(value: Any) -> Any:
    """Return a JSON value without the signature of any address in it; itself if none has one.

    Whatever it is called (`href`, `signed_url`, `thumbnail`) and wherever it stands, a text that is
    an address, or holds one, is unsigned.

    Example:
        >>> asset = {"href": "https://example.com/B04.tif?versionId=7&X-Amz-Signature=abc"}
        >>> unsign_hrefs({"red": asset})
        {'red': {'href': 'https://example.com/B04.tif?versionId=7'}}
    """
    kind = type(value)
    if kind is dict or (kind is not list and isinstance(value, Mapping)):
        return _unsign_members(value)
    if isinstance(value, str):
        return _unsign_text("", value)
    if isinstance(value, list | tuple):
        if _SCALARS.issuperset(map(type, value)):  # a position, a transform: most lists are
            return value
        plain = [inner if type(inner) in _SCALARS else unsign_hrefs(inner) for inner in value]
        return value if all(map(is_, plain, value)) else plain
    return value


def _unsign_members(value: Mapping[str, Any]) -> Mapping[str, Any]:
    changed = {}
    for key, inner in value.items():
        kind = type(inner)
        # GeoJSON has no hrefs, but a footprint may have thousands of coordinates
        if kind in _SCALARS or key == "geometry" or (kind is str and not _may_be_signed(inner)):
            continue
        new = _unsign_text(key, inner) if isinstance(inner, str) else unsign_hrefs(inner)
        if new is not inner:
            changed[key] = new
    whole = {**value, **changed} if changed else value
    try:
        names = "".join(value)
    except TypeError:  # a name that is no text
        names = "".join(map(str, value))
    return _unsign_keys(whole) if "://" in names else whole


def _unsign_text(key: str, value: str) -> str:
    if not _may_be_signed(value):
        return value
    is_address = ("href" in key or "url" in key) and " " not in value
    plain = unsign(value) if is_address else unsign_text(value)
    return value if plain == value else plain


def _unsign_keys(value: Mapping[str, Any]) -> Mapping[str, Any]:
    signed = [key for key in value if isinstance(key, str) and "://" in key]
    names = {key: plain for key in signed if (plain := unsign_text(key)) != key}
    return {names.get(key, key): inner for key, inner in value.items()} if names else value


def unsign_item(item: pystac.Item) -> pystac.Item:
    """Return the item itself if no address in it is signed, else a copy without signatures.

    Example:
        >>> import pystac
        >>> from datetime import datetime
        >>> item = pystac.Item("a", None, None, datetime(2020, 2, 19), {})
        >>> item.add_asset("B04", pystac.Asset("https://example.com/B04.tif?sig=abc"))
        >>> unsign_item(item).assets["B04"].href, item.assets["B04"].href
        ('https://example.com/B04.tif', 'https://example.com/B04.tif?sig=abc')
    """
    own = [item.properties, item.extra_fields, item.stac_extensions]
    content = [*own, *map(_asset_texts, item.assets.values()), *map(_link_texts, item.links)]
    if unsign_hrefs(content) is content:
        return item
    copy = item.clone()
    ours, theirs = ([link for link in each.links if link.rel != "root"] for each in (item, copy))
    for link, cloned in zip(ours, theirs, strict=True):
        cloned.extra_fields = link.extra_fields  # which pystac forgets
    for place in (copy, *copy.assets.values(), *copy.links):
        for name, value in vars(place).items():
            if name in _TEXTS and isinstance(value, str | dict | list):
                setattr(place, name, unsign_hrefs({_TEXTS[name]: value})[_TEXTS[name]])
    return copy


# of items, assets and links of pystac; their addresses may be relative, too
_TEXTS = {
    "properties": "", "extra_fields": "", "stac_extensions": "", "title": "", "description": "",
    "_title": "", "href": "href", "_target_href": "href",
}  # fmt: skip


def _asset_texts(asset: pystac.Asset) -> dict[str, Any]:
    return {
        "href": asset.href,
        "fields": asset.extra_fields,
        "words": [asset.title, asset.description],
    }


def _link_texts(link: pystac.Link) -> dict[str, Any]:
    href = link.target if isinstance(link.target, str) else None
    return {"href": href, "fields": link.extra_fields, "words": [link.title]}


def to_json(value: Any) -> str:
    """Return a value of items as compact JSON text in which no href is signed.

    Example:
        >>> to_json({"id": "a", "assets": {"red": {"href": "https://h/B04.tif?sig=abc"}}})
        '{"id":"a","assets":{"red":{"href":"https://h/B04.tif"}}}'
    """
    text = _dump(value)
    # searching an item takes milliseconds; searching its text does not
    return _dump(unsign_hrefs(value)) if _may_be_signed(text) else text


def _dump(value: Any) -> str:
    text = _dump_plainly(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can only write as an escape
        return _dump_plainly(value, ensure_ascii=True)
    return text


def _dump_plainly(value: Any, *, ensure_ascii: bool) -> str:
    return json.dumps(
        value, separators=(",", ":"), ensure_ascii=ensure_ascii, default=_plain_number
    )


def _plain_number(value: Any) -> Any:
    """Return a number of numpy as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored in an index")


# -- the same item ---------------------------------------------------------------------------------


def is_same_item(one: pystac.Item | Mapping[str, Any], other: Any) -> bool:
    """Return True if both are copies of one item.

    Links and the place of origin do not count, since they say where a copy was found. Where the
    files lie does.

    Example:
        >>> is_same_item({"id": "a", "links": []}, {"id": "a"})
        True
    """
    return one is other or _content(one) == _content(other)


def _content(item: pystac.Item | Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of an item without its links."""
    content = to_dict(item)
    content.pop("stacchip:origin", None)  # of `stacchip.items.reach`
    if isinstance(item, Mapping):
        content.pop("links", None)
    else:
        # relative hrefs start from the self link, which is dropped here
        content["links"] = [asset.get_absolute_href() for asset in item.assets.values()]
    return content


def content_digest(item: pystac.Item | Mapping[str, Any]) -> bytes:
    """Return a digest that two items have in common if, and only if, `is_same_item`.

    Example:
        >>> content_digest({"id": "a", "links": []}) == content_digest({"id": "a"})
        True
    """
    text = json.dumps(_content(item), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).digest()


def describe_difference(one: pystac.Item | Mapping[str, Any], other: Any) -> str:
    """Return in words how two items differ: at most three fields, the telling ones first.

    Example:
        >>> describe_difference({"id": "a", "collection": "c1"}, {"id": "a", "collection": "c2"})
        "collection is 'c1' and 'c2'"
    """
    ours, theirs = ({**dict.fromkeys(_TELLING), **_fields(item)} for item in (one, other))
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    told = (f"{name} is {_show(ours.get(name))} and {_show(theirs.get(name))}" for name in names)
    return "; ".join(islice(told, 3))


_TELLING = ("collection", "properties.datetime", "self href")


def _fields(item: pystac.Item | Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an item by their dotted names, and its self href."""
    content = to_dict(item)
    links = content.pop("links", None) or ()
    content.pop("stacchip:origin", None)
    own = [link.get("href") for link in links if link.get("rel") == "self"]
    return {**_flatten(content), "self href": own[0] if own else None}


def _flatten(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            fields |= _flatten(inner, f"{before}{name}.")
        else:
            fields[before + name] = inner
    return fields


def _show(value: Any) -> str:
    """Return a value as an error may show it: short, and without credentials."""
    if value is None:
        return "absent"
    return repr(redact(value) if isinstance(value, str) else unsign_hrefs(value))[:120]
