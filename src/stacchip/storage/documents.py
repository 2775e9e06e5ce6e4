"""JSON from outside, within limits of size, depth and number (`stacchip.storage.Limits`).

A few megabytes of JSON may become gigabytes of lists, and what nests deeply cannot be copied or
written later on. So a document is measured before it is parsed, and a record before it is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import InvalidMetadata
from stacchip.storage.content import show_start
from stacchip.storage.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.errors import LimitExceeded
    from stacchip.storage.limits import Limits

# Memory of a list, of an object, and of a place in one. Coordinates take 11 times their text.
_LIST_BYTES: Final = 72
_OBJECT_BYTES: Final = 200
_PLACE_BYTES: Final = 32
_GROWTH: Final = 12
_ITEMS: Final = "Pass an item, a FeatureCollection or a stac-geoparquet file."


def parse_document(data: bytes, href: str, limits: Limits, *, remedy: str = _ITEMS) -> Any:
    """Return the value of a JSON document.

    Args:
        data: The document.
        href: Its address, for errors.
        limits: Those of its place.
        remedy: What to do if it is not JSON.

    Raises:
        InvalidMetadata: It is not JSON.
        LimitExceeded: It would take far more memory than its text may, or nests too deeply.

    Example:
        >>> from stacchip.storage import Limits
        >>> parse_document(b'{"id": "a"}', "item.json", Limits())
        {'id': 'a'}
    """
    shown = redact(href)
    if len(data) > limits.document_bytes:
        raise limits.exceeded("document_bytes", f"{shown} has {len(data):,} bytes", href=shown)
    require_growth(data, shown, limits, href=shown)
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise _too_deep(shown, limits) from error
    except ValueError as error:
        reason = str(error)
    else:
        require_depth(value, shown, limits, most_parts=len(data))
        return value
    # not chained: the original carries the whole text, and a pickle of it may hold a signature
    raise InvalidMetadata(
        f"{shown} is not JSON ({reason}); it begins with {show_start(data)!r}. {remedy}",
        field="type",
        href=shown,
    )


def parse_object(data: bytes, href: str, limits: Limits, *, remedy: str) -> dict[str, Any]:
    """Return the value of a JSON document that is an object.

    Args:
        data: The document.
        href: Its address, for errors.
        limits: Those of its place.
        remedy: What to do if it is something else.

    Raises:
        InvalidMetadata: It is not JSON, or not an object.
        LimitExceeded: It would take far more memory than its text may, or nests too deeply.

    Example:
        >>> from stacchip.storage import Limits
        >>> parse_object(b"[]", "plan.json", Limits(), remedy="Delete it.")
        Traceback (most recent call last):
        stacchip.errors.InvalidMetadata: plan.json is a JSON list, not an object. Delete it.
    """
    value = parse_document(data, href, limits, remedy=remedy)
    if isinstance(value, dict):
        return value
    raise InvalidMetadata(
        f"{redact(href)} is a JSON {type(value).__name__}, not an object. {remedy}",
        field="type",
        href=redact(href),
    )


def require_growth(data: bytes, what: str, limits: Limits, *, href: str | None = None) -> None:
    """Refuse JSON that would take far more memory than its text may.

    Args:
        data: The text.
        what: What it is, as the subject of a sentence.
        limits: Those of its place.
        href: Its address, for errors.

    Raises:
        LimitExceeded: It has too many lists, objects and values.
    """
    if len(data) * max(_LIST_BYTES, _OBJECT_BYTES) / _GROWTH <= limits.document_bytes:
        return  # whatever it holds; to count it costs a tenth of reading it
    grown = data.count(b"[") * _LIST_BYTES + data.count(b"{") * _OBJECT_BYTES
    grown += data.count(b",") * _PLACE_BYTES
    if grown / _GROWTH > limits.document_bytes:
        said = f"{what} has {len(data):,} bytes, which take {grown:,} bytes of lists and numbers"
        raise limits.exceeded("document_bytes", said, href=href)


def parse_json(text: str | bytes, most_parts: int) -> Any:
    """Return the value of JSON that a file of an index holds, if it has few parts.

    Args:
        text: The JSON.
        most_parts: The most lists, objects and further values that it may have. A few bytes of text
            become a hundred of lists.

    Raises:
        ValueError: It is not JSON, has more parts, or nests too deeply.

    Example:
        >>> parse_json("[[1, 2], 3]", 4), parse_json(b"[]", 1)
        ([[1, 2], 3], [])
        >>> parse_json("[[1, 2], 3]", 3)
        Traceback (most recent call last):
        ValueError: its JSON has more than 3 parts
    """
    if len(text) > most_parts:  # a short text is not searched: it costs a tenth of reading it
        marks = "[{," if isinstance(text, str) else (b"[", b"{", b",")
        if sum(map(text.count, marks)) > most_parts:  # type: ignore[arg-type]  # of its type
            raise ValueError(f"its JSON has more than {most_parts:,} parts")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its JSON nests too deeply") from error


def require_depth(value: Any, what: str, limits: Limits, *, most_parts: int) -> None:
    """Refuse a value of lists and objects that nest too deeply to be copied and written.

    Args:
        value: The value.
        what: What it is, as the subject of a sentence.
        limits: Those of its place.
        most_parts: The most lists and objects in it: `limits.item_parts` of an item. One in several
            places counts in each, as it will when the value is copied or written.

    Raises:
        LimitExceeded: It nests too deeply, holds itself, or has too many parts.

    Example:
        >>> from stacchip.storage import Limits
        >>> require_depth([[[]]], "The list", Limits(document_depth=2), most_parts=10)
        Traceback (most recent call last):
        stacchip.errors.LimitExceeded: The list nests more than 2 deep, and the limit ...
    """
    level, left = [value], most_parts
    parts: Iterable[Any]
    for _ in range(limits.document_depth):  # level by level, since recursion would end first
        inner: list[Any] = []
        for each in level:
            # lists first: looking for a Mapping costs ten times as much
            if type(each) is not list and isinstance(each, Mapping):
                parts = each.values()
            elif isinstance(each, list | tuple):
                parts = each
            else:
                continue
            # a position of a footprint is a list of numbers: most lists are
            if not _SCALARS.issuperset(map(type, parts)):
                inner += [part for part in parts if type(part) not in _SCALARS]
                if len(inner) > left:
                    raise limits.exceeded(
                        "item_parts", f"{what} has more than {most_parts:,} parts"
                    )
        if not inner:
            return
        level = inner
        left -= len(inner)
    raise _too_deep(what, limits)


# most values are of these types; looking for a Mapping costs ten times as much
_SCALARS: Final = frozenset((int, float, bool, str, type(None)))


def _too_deep(what: str, limits: Limits) -> LimitExceeded:
    return limits.exceeded("document_depth", f"{what} nests more than {limits.document_depth} deep")
