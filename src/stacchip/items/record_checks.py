"""What every record of an item must have, and how much it may: checked before pystac reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from stacchip.errors import InvalidMetadata, LimitExceeded, MissingMetadata, attribute
from stacchip.items.dates import parse_datetime
from stacchip.storage.documents import require_depth

if TYPE_CHECKING:
    from collections.abc import Collection

    import pystac

    from stacchip.storage import Limits

# control characters, and marks that turn the direction of writing
_NOT_OF_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_CONTAINERS: tuple[tuple[str, type, str], ...] = (
    ("properties", dict, "an object"),
    ("assets", dict, "an object"),
    ("links", list, "an array"),
)
_OF_ASSETS: dict[str, tuple[tuple[type, ...], str]] = {
    "roles": ((list, str, type(None)), "it must be an array"),
    "type": ((str, type(None)), "it must be a media type"),
}


def check_record(record: Any, limits: Limits) -> dict[str, Any]:
    """Return a record that is our own, after checking that it has what every item must have.

    Raises:
        MissingMetadata: It lacks something.
        InvalidMetadata: A field is wrong; the error names it.
        LimitExceeded: It has too many assets.
    """
    if not isinstance(record, dict):
        raise InvalidMetadata(
            f"A STAC item is a JSON object, but this is of type {type(record).__name__}: "
            f"{str(record)[:80]!r}. Pass the object of an item, or a FeatureCollection.",
            field="type",
        )
    item_id = _check_names(record)
    if record.get("type") != "Feature":
        _refuse(item_id, "type", record.get("type"), "a STAC item is a GeoJSON Feature")
    for field in ("stac_version", "geometry", "properties"):
        if field not in record:
            raise MissingMetadata(
                f"Item {item_id!r} has no {field}. Add it; the geometry may be null.",
                item_id=item_id,
                field=field,
            )
    if not isinstance(record["stac_version"], str):
        _refuse(item_id, "stac_version", record["stac_version"], 'it must be text such as "1.1.0"')
    for field, kind_, name in _CONTAINERS:
        if field != "properties" and record.get(field) is None:
            record[field] = kind_()  # absent and null mean the same
        if not isinstance(record[field], kind_):
            _refuse(item_id, field, record[field], f"it must be {name}")
    _require_few_assets(item_id, record["assets"], limits)
    _check_members(item_id, record)
    record["links"] = [link for link in record["links"] if link["href"]]
    return record


def require_sound(item: pystac.Item, limits: Limits) -> None:
    """Refuse an item of pystac with a wrong id, or with more than the limits allow.

    Raises:
        InvalidMetadata: Its id is no text, or cannot be the name of a file.
        MissingMetadata: It has no id.
        LimitExceeded: It has too many assets, or nests too deeply.
    """
    _check_names({"id": item.id, "collection": item.collection_id})
    _require_few_assets(item.id, item.assets, limits)
    parts: list[Any] = [item.geometry, item.properties, item.extra_fields]
    parts += [asset.extra_fields for asset in item.assets.values()]
    parts += [link.extra_fields for link in item.links]
    require_few_parts(parts, item.id, limits)


def require_few_parts(value: Any, item_id: Any, limits: Limits) -> None:
    """Refuse the content of an item that nests too deeply, or has too many parts.

    Raises:
        LimitExceeded: It does; the error names the item.
    """
    try:
        what = "It" if isinstance(item_id, str) else "An item without an id"
        require_depth(value, what, limits, most_parts=limits.item_parts)
    except LimitExceeded as error:
        if not isinstance(item_id, str):
            raise
        raise attribute(error, item_id[:80]) from None


def _require_few_assets(item_id: str, assets: Collection[str], limits: Limits) -> None:
    """Refuse an item with more assets than the limit, which would take minutes to read."""
    if len(assets) > limits.assets:
        error = limits.exceeded("assets", f"It has {len(assets):,} assets")
        raise attribute(error, item_id)


def require_name(item_id: str) -> None:
    r"""Refuse an id that would choose a folder of its own, or command a terminal.

    Raises:
        InvalidMetadata: A part of it is "." or "..", it is an absolute path, or it has control
            characters, or marks that turn the direction of writing.

    Example:
        >>> require_name("../../etc")
        Traceback (most recent call last):
        stacchip.errors.InvalidMetadata: An item has the id '../../etc', which leads out of ...
    """
    is_path = item_id.startswith(("/", "\\")) or {".", ".."} & set(re.split(r"[/\\]", item_id))
    if is_path or _NOT_OF_NAMES.search(item_id):
        why = "leads out of its folder" if is_path else "has characters that are no text"
        raise InvalidMetadata(
            f"An item has the id {item_id[:80]!r}, which {why}. Give it another id.",
            item_id=item_id[:80],
            field="id",
        )


def _check_names(record: Mapping[str, Any]) -> str:
    """Return the id of an item, after checking that files can hold it and its collection's."""
    item_id = record.get("id")
    if not isinstance(item_id, str) or not item_id:
        kind = MissingMetadata if item_id is None else InvalidMetadata
        shown = "none" if item_id is None else repr(item_id)[:80]
        raise kind(
            f"A STAC item needs an id, a string; this one has {shown}. Add an id.", field="id"
        )
    for field in ("id", "collection"):
        try:
            str(record.get(field)).encode()
        except UnicodeEncodeError:
            shown = item_id.encode(errors="backslashreplace").decode()
            _refuse(shown, field, shown, "it must be whole characters")
    require_name(item_id)
    return item_id


def _check_members(item_id: str, record: dict[str, Any]) -> None:
    """Check the members of a record's geometry, assets, links and properties."""
    geometry = record["geometry"]
    if geometry is not None and not (isinstance(geometry, Mapping) and "type" in geometry):
        _refuse(item_id, "geometry", geometry, "it must be a GeoJSON geometry, or null")
    for key, asset in record["assets"].items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            raise InvalidMetadata(
                f"Item {item_id!r}: asset {key!r} has no href. Add one, or leave the asset out.",
                item_id=item_id,
                asset=key,
                field="href",
            )
        for field, (kinds, rule) in _OF_ASSETS.items():
            if not isinstance(asset.get(field), kinds):
                _refuse(item_id, f"assets.{key}.{field}", asset[field], rule)
    for link in record["links"]:
        if not isinstance(link, dict) or not isinstance(link.get("href"), str):
            _refuse(item_id, "links", link, "each link needs a rel and an href")
    _check_dates(item_id, record["properties"])


def _check_dates(item_id: str, properties: dict[str, Any]) -> None:
    """Check that an item has a valid date; pystac needs both a start and an end."""
    if properties.get("datetime") is not None:
        parse_datetime(item_id, "datetime", properties["datetime"])
        return
    for field in ("start_datetime", "end_datetime"):
        value = properties.get(field, properties.get(f"dtr:{field}"))
        if value is None:
            raise MissingMetadata(
                f"Item {item_id!r} has neither a datetime nor both start_datetime and end_datetime "
                f"({field} is absent). Add them.",
                item_id=item_id,
                field="datetime" if field == "start_datetime" else field,
            )
        parse_datetime(item_id, field, value)


def _refuse(item_id: str, field: str, value: Any, rule: str) -> NoReturn:
    raise InvalidMetadata(
        f"Item {item_id!r}: {field} is {str(value)[:80]!r}; {rule}. Mend the record.",
        item_id=item_id,
        field=field,
    )
