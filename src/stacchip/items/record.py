"""One STAC item from its JSON: checked, migrated by pystac, without signatures."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pystac

from stacchip.errors import (
    InvalidMetadata,
    LimitExceeded,
    MissingMetadata,
    StacchipError,
    attribute,
)
from stacchip.items.copies import (
    OwnCopy,
    unsign_hrefs,
    unsign_item,  # noqa: F401 - pickles of 0.x name it here
)
from stacchip.items.dates import parse_datetime
from stacchip.items.naming import address_in_api, is_absolute
from stacchip.items.reach import is_given, is_out_of_reach, mark_as_given, mark_origin
from stacchip.storage import is_remote, join_href
from stacchip.storage.documents import require_depth
from stacchip.storage.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from stacchip.errors import Errors
    from stacchip.storage import Limits

_log = logging.getLogger(__name__)

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


def parse_item(
    record: Mapping[str, Any],
    *,
    href: str | None = None,
    base: str | None = None,
    origin: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> pystac.Item:
    """Return a pystac item from its JSON object, of STAC 0.7.0 to 1.1.0; the object is not changed.

    Hrefs stay as they are written, relative ones too. Only signatures are removed, since they are
    made anew when a file is read. And if the file is a local copy of an item of the web, whose self
    link it keeps, an asset's path that begins with "/" is one on that host, unless there is such a
    file on this machine.

    Args:
        record: The item as JSON gives it.
        href: Address of the file of the record. It becomes the item's self href, whatever self link
            there was: relative hrefs in a file are relative to the file.
        base: Address of the file of a collection of records. It becomes the item's self href if the
            item has no absolute self link of its own; a path on the host of `base` is made one.
        origin: Address of the place that gave the record, such as an API or an index; by default
            that of the file. What a remote place says is local to this machine is not believed: not
            a self link, and not `base`. See `stacchip.items.reach`.
        limits: The most that the record may hold.

    Raises:
        MissingMetadata: `id`, `stac_version`, `geometry`, `properties` or every date is absent.
        InvalidMetadata: A field is wrong; the error names it.
        LimitExceeded: It has too many assets, or nests too deeply.

    Example:
        >>> item = parse_item({"type": "Feature", "stac_version": "1.0.0", "id": "a",
        ...     "geometry": None, "properties": {"datetime": "2020-02-19 11:04:56Z"},
        ...     "links": [], "assets": {}})
        >>> item.datetime.isoformat()
        '2020-02-19T11:04:56+00:00'
    """
    _require_depth(record, record.get("id") if isinstance(record, Mapping) else None, limits)
    copy = _check(unsign_hrefs(record), limits)
    is_from_user = (origin or href) is None and (base is None or is_given(record))
    origin = origin or href or base
    if origin is not None and base is not None and is_out_of_reach(base, origin):
        base = None
    _make_own_address_absolute(copy, href or base)
    _drop_local_addresses(copy, origin)
    _make_paths_absolute(copy, href)
    aside = _set_epsg_aside(copy)
    if not any(_is_own_address(link) for link in copy["links"]):
        href = href or base
        # pystac would resolve a relative one from the working directory
        copy["links"] = [link for link in copy["links"] if link.get("rel") != "self"]
    try:
        item = pystac.Item.from_dict(OwnCopy(copy), href=href, preserve_dict=False)
    except Exception as error:
        # any error of pystac and its extensions; the common cases were handled above
        raise InvalidMetadata(
            f"Item {copy['id']!r} cannot be read by pystac {pystac.__version__}: {error!r}. "
            "Mend the record, or its stac_version and stac_extensions.",
            item_id=copy["id"],
            field="stac_version",
        ) from error
    for key, epsg in aside.items():
        fields = item.properties if key is None else item.assets[key].extra_fields
        fields["proj:epsg"] = epsg
    if is_from_user:
        mark_as_given(item)
    else:
        mark_origin(item, origin)
    return item


@dataclass(frozen=True)
class Unreadable:
    """What could not be read as an item.

    Attributes:
        name: Its id or address, redacted.
        error: The reason.
    """

    name: str
    error: StacchipError


def try_record(record: Any, **options: Any) -> pystac.Item | Unreadable:
    """Return `parse_item(record, **options)`, or why it cannot be read."""
    try:
        return parse_item(record, **options)
    except StacchipError as error:
        return Unreadable(str(error.facts.get("item_id") or "an item without an id"), error)


class FoundItems(Iterator[pystac.Item]):
    """An iterator over the items among what was found.

    Args:
        found: Items, and what could not be read as one.
        errors: `"raise"` raises the error of what could not be read; `"skip"` leaves it out, with a
            warning for each and one for all.
        origin: Where the items come from, for the log.

    Attributes:
        found: Everything, for a caller that reports what could not be read in its own way.
    """

    def __init__(
        self,
        found: Iterable[pystac.Item | Unreadable],
        errors: Errors,
        origin: str | None = None,
    ) -> None:
        self.found = iter(found)
        self._items = self._choose(errors, f" of {origin}" if origin else "")

    def __next__(self) -> pystac.Item:
        return next(self._items)

    def _choose(self, errors: Errors, origin: str) -> Iterator[pystac.Item]:
        skipped = 0
        for each in self.found:
            if not isinstance(each, Unreadable):
                yield each
            elif errors == "raise":
                raise each.error
            else:
                skipped += 1
                _log.warning("left out: %s", each.error)
        if skipped:
            _log.warning("%d items%s were left out", skipped, origin)


def parse_items(
    records: Iterable[Any],
    *,
    errors: Errors,
    origin: str,
    api: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[pystac.Item]:
    """Return an iterator over the items of JSON objects: `parse_item` of each.

    Args:
        records: The objects.
        errors: As in `load_items`.
        origin: Where they come from, for the log.
        api: The API that found them: a self link that is a path is one on its host.
        limits: As in `parse_item`.
    """
    tried = (
        try_record(
            record,
            base=None if api is None else address_in_api(record, api),
            origin=api,
            limits=limits,
        )
        for record in records
    )
    return FoundItems(tried, errors, origin)


def _check(record: Any, limits: Limits) -> dict[str, Any]:
    """Return a record that is our own, after checking that it has what every item must have."""
    if not isinstance(record, dict):
        raise InvalidMetadata(
            f"A STAC item is a JSON object, but this is of type {type(record).__name__}: "
            f"{str(record)[:80]!r}. Pass the object of an item, or a FeatureCollection.",
            field="type",
        )
    item_id = record.get("id")
    if not isinstance(item_id, str) or not item_id:
        kind = MissingMetadata if item_id is None else InvalidMetadata
        raise kind(
            f"A STAC item needs an id, a string; this one has {item_id!r}. Add an id.",
            field="id",
        )
    _check_names(record)
    require_name(item_id)
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
        InvalidMetadata: Its id cannot be the name of a file.
        LimitExceeded: It has too many assets, or nests too deeply.
    """
    require_name(item.id)
    _require_few_assets(item.id, item.assets, limits)
    parts: list[Any] = [item.geometry, item.properties, item.extra_fields]
    parts += [asset.extra_fields for asset in item.assets.values()]
    parts += [link.extra_fields for link in item.links]
    _require_depth(parts, item.id, limits)


def _require_depth(value: Any, item_id: Any, limits: Limits) -> None:
    """Refuse the content of an item that nests too deeply."""
    try:
        require_depth(value, "It", limits, most_parts=limits.item_parts)
    except LimitExceeded as error:
        raise attribute(error, str(item_id)[:80]) from None


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


def _check_names(record: Mapping[str, Any]) -> None:
    """Refuse names of an item with half of a surrogate pair, which no file can hold."""
    for field in ("id", "collection"):
        try:
            str(record.get(field)).encode()
        except UnicodeEncodeError:
            shown = str(record["id"]).encode(errors="backslashreplace").decode()
            _refuse(shown, field, shown, "it must be whole characters")


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


def _set_epsg_aside(record: dict[str, Any]) -> dict[str | None, Any]:
    """Remove each `proj:epsg` beside a `proj:code`; return them by asset key (None: the item's).

    pystac merges the two when it migrates: it drops `proj:epsg`, and only warns if they differ.
    They are put back afterwards, so that `projection` can report a contradiction.
    """
    places: list[tuple[str | None, dict[str, Any]]] = [(None, record["properties"])]
    places += list(record["assets"].items())
    return {
        key: fields.pop("proj:epsg")
        for key, fields in places
        if fields.get("proj:code") is not None and fields.get("proj:epsg") is not None
    }


def _make_own_address_absolute(record: dict[str, Any], base: str | None) -> None:
    """Resolve a self link that is a path on the host of a remote document."""
    if base is None or not is_remote(base):
        return
    for link in record["links"]:
        if link.get("rel") == "self" and link["href"].startswith("/"):
            link["href"] = join_href(base, link["href"])


def _drop_local_addresses(record: dict[str, Any], origin: str | None) -> None:
    """Drop a self link to this machine in a record from a remote place."""
    if origin is not None:
        record["links"] = [
            link
            for link in record["links"]
            if not (_is_own_address(link) and is_out_of_reach(link["href"], origin))
        ]


def _make_paths_absolute(record: dict[str, Any], href: str | None) -> None:
    """Resolve paths of assets on the host of the self link, in a local copy of an item of the web.

    The path of a file on this machine stays: users who have downloaded the assets write it.
    """
    own = next((link["href"] for link in record["links"] if link.get("rel") == "self"), "")
    if href is None or is_remote(href) or not re.match("https?://", own, re.IGNORECASE):
        return
    for asset in record["assets"].values():
        path = asset["href"]
        if path.startswith("/") and not os.path.exists(path):  # noqa: PTH110 - never raises
            asset["href"] = join_href(own, path)


def _is_own_address(link: dict[str, Any]) -> bool:
    return link.get("rel") == "self" and is_absolute(link["href"])
