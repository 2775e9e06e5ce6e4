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
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.storage import redact, unsign
from stacchip.storage.redaction import unsign_text
from stacchip.storage.secret_names import is_secret_name

if TYPE_CHECKING:
    import pystac

# most values are of these types; looking for a Mapping costs ten times as much
_SCALARS = frozenset((int, float, bool, type(None)))
# A signature is in the query, the fragment, the userinfo or a parameter of the path; most texts
# have none of them. A media type has a space after its ";". A set would take twice the time.
_search_marks = re.compile(r"\?|#|@|;\w|%3[fFbB]|%40|%23").search
# an address in whose path a file or folder has a space in its name
_is_address = re.compile(
    r"(?:/vsi\w+/)?[a-z][a-z0-9+.-]*://[^?#\n]*[?#]\S*", re.IGNORECASE
).fullmatch


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


class OwnCopy(dict[str, Any]):
    """A copy that nobody else holds: pystac, which copies what it migrates, takes it as it is."""

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return dict(self)


def unsign_hrefs(value: Any) -> Any:
    """Return a copy of a JSON value without the signature of any address in it.

    Whatever it is called (`href`, `signed_url`, `thumbnail`) and wherever it stands, a text that is
    an address, or holds one, is unsigned. Nothing of the copy is shared with the value but what is
    no JSON.

    Example:
        >>> asset = {"href": "https://example.com/B04.tif?versionId=7&X-Amz-Signature=abc"}
        >>> unsign_hrefs({"red": asset})
        {'red': {'href': 'https://example.com/B04.tif?versionId=7'}}
    """
    if type(value) is dict:
        return _unsign_members(value)
    if isinstance(value, str):
        return _unsign_text("", value)
    if isinstance(value, list | tuple):
        # a position, a transform: most lists are of numbers
        copy = [
            inner
            if (kind := type(inner)) in _SCALARS
            else inner.copy()
            if kind is list and _SCALARS.issuperset(map(type, inner))
            else unsign_hrefs(inner)
            for inner in value
        ]
        return copy if isinstance(value, list) else tuple(copy)
    return _unsign_members(value) if isinstance(value, Mapping) else value


def _unsign_members(value: Mapping[str, Any]) -> dict[str, Any]:
    copy = dict(value)
    for key, inner in value.items():
        kind = type(inner)
        if kind is str:
            # a mark of a signature; short texts are searched so in a tenth of the time
            if (
                "?" in inner
                or "@" in inner
                or "#" in inner
                or "%" in inner
                or "sig=" in inner
                or (";" in inner and (key != "type" or "://" in inner))  # no media type
            ):
                copy[key] = _unsign_text(str(key), inner)
        elif kind in _SCALARS:
            pass
        elif kind is list and _SCALARS.issuperset(map(type, inner)):
            copy[key] = inner.copy()
        else:
            copy[key] = unsign_hrefs(inner)
            # of a link, or as an extension calls them: `http_headers`
            if isinstance(inner, Mapping) and str(key).lower().endswith("headers"):
                copy[key] = _without_credentials(copy[key])
    try:
        names = "".join(copy)
    except TypeError:  # a name that is no text
        names = "".join(map(str, copy))
    return _unsign_keys(copy) if "://" in names or "?" in names else copy


def _without_credentials(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: text for name, text in headers.items() if not is_secret_name(str(name))}


def _unsign_text(key: str, value: str) -> str:
    if not _may_be_signed(value):
        return value
    is_address = ("href" in key or "url" in key) and (
        " " not in value or _is_address(value)  # with a space in the name of the file
    )
    return unsign(value) if is_address else unsign_text(value)


def _may_be_signed(text: str) -> bool:
    return "sig=" in text or _search_marks(text) is not None


def _unsign_keys(value: dict[str, Any]) -> dict[str, Any]:
    signed = [key for key in value if isinstance(key, str) and ("://" in key or "?" in key)]
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
    if unsign_hrefs(content) == content:
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
    return _dump(unsign_hrefs(value)) if _may_be_signed(text) or 'eaders"' in text else text


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
        content["links"] = [_find_href(asset) for asset in item.assets.values()]
    return content


def _find_href(asset: pystac.Asset) -> str | None:
    try:
        return asset.get_absolute_href()
    except ValueError:  # it leads nowhere, as `http://[::1/` does
        return asset.href


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
