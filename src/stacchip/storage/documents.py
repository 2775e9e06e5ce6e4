"""JSON from outside, within limits of size, depth and number (`stacchip.storage.Limits`).

A few megabytes of JSON may become gigabytes of lists, and what nests deeply cannot be copied or
written later on. So a document is measured before it is parsed, and a record before it is read.
"""

from __future__ import annotations

import json
import re
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
# a page, its items, and one to spare
_DEPTH_OF_LISTS: Final = 5
# brackets, and texts, whose brackets do not count
_MARKS: Final = re.compile(rb'[\[\]{}]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)
_MOST_MARKS: Final = 1_000_000
_ITEMS: Final = "Pass an item, a FeatureCollection or a stac-geoparquet file."


def parse_document(
    data: bytes, href: str, limits: Limits, *, remedy: str = _ITEMS, of_items: bool = False
) -> Any:
    """Return the value of a JSON document.

    Args:
        data: The document.
        href: Its address, for errors.
        limits: Those of its place.
        remedy: What to do if it is not JSON.
        of_items: True if the caller checks the depth of each part that it reads, such as each item
            of a list, so that one which nests too deeply does not cost the others. What lies far
            below the limit is cut off.

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
        value = _parse(data, limits.document_depth + _DEPTH_OF_LISTS if of_items else None)
    except RecursionError as error:
        raise _too_deep(shown, limits) from error
    except ValueError as error:
        reason = str(error)
    else:
        if not of_items:
            require_depth(value, shown, limits, most_parts=len(data))
        return value
    # not chained: the original carries the whole text, and a pickle of it may hold a signature
    raise InvalidMetadata(
        f"{shown} is not JSON ({reason}); it begins with {show_start(data)!r}. {remedy}",
        field="type",
        href=shown,
    )


def _parse(data: bytes, depth: int | None) -> Any:
    """Return the value of JSON; if it nests too deeply to be read, without what lies below `depth`.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It nests too deeply, and there is no `depth`, or that is too deep.
    """
    try:
        return json.loads(data)
    except RecursionError:
        # looking for the ends of millions of lists takes too long
        if depth is None or data.count(b"[") + data.count(b"{") > _MOST_MARKS:
            raise
    return json.loads(_cut_off(data, depth))


def _cut_off(data: bytes, depth: int) -> bytes:
    """Return JSON with null in place of each list and object that lies below a depth.

    Example:
        >>> _cut_off(b'[1, {"a": [2, "]"]}]', 1)
        b'[1, null]'
    """
    kept, start, level = [], 0, 0
    for mark in _MARKS.finditer(data):
        sign = mark[0]
        if sign in b"[{":
            if level == depth:
                kept.append(data[start : mark.start()])
            level += 1
        elif sign in b"]}":
            level -= 1
            if level == depth:
                start = mark.end()
                kept.append(b"null")
    if level <= depth:
        kept.append(data[start:])
    return b"".join(kept)


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
