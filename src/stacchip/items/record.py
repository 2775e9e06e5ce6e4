"""One STAC item from its JSON: checked, migrated by pystac, without signatures."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pystac

from stacchip.errors import (
    InvalidMetadata,
    StacchipError,
)
from stacchip.items.copies import (
    OwnCopy,
    unsign_hrefs,
    unsign_item,  # noqa: F401 - pickles of 0.x name it here
)
from stacchip.items.naming import address_in_api, is_absolute
from stacchip.items.reach import is_given, is_out_of_reach, mark_as_given, mark_origin
from stacchip.items.record_checks import check_record, require_few_parts
from stacchip.storage import is_remote, join_href
from stacchip.storage.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stacchip.errors import Errors
    from stacchip.storage import Limits

_log = logging.getLogger(__name__)


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
    require_few_parts(record, record.get("id") if isinstance(record, Mapping) else None, limits)
    copy = check_record(unsign_hrefs(record), limits)
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
