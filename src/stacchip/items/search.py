"""Items from a STAC API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacchip.errors import UsageError
from stacchip.items.record import parse_items
from stacchip.storage import StorageOptions, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pystac

    from stacchip.errors import Errors


def search_items(
    api: str,
    *,
    collections: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    bbox: Sequence[float] | None = None,
    intersects: Mapping[str, Any] | Any = None,
    datetime: Any = None,
    query: Mapping[str, Any] | Sequence[str] | None = None,
    filter: Mapping[str, Any] | str | None = None,  # noqa: A002  STAC's name for it
    filter_lang: str | None = None,
    sortby: Any = None,
    max_items: int | None = None,
    page_size: int = 100,
    options: StorageOptions | None = None,
    errors: Errors = "raise",
) -> Iterator[pystac.Item]:
    """Return an iterator over the items that a STAC API finds, page by page; it may find none.

    Items come as the API gives them, even without the assets that you want. No request is sent
    before the first item is needed.

    Args:
        api: URL of the API, such as `https://earth-search.aws.element84.com/v1`.
        collections: Collection ids.
        ids: Item ids.
        bbox: xmin, ymin, xmax, ymax in WGS84.
        intersects: A GeoJSON geometry, or an object with `__geo_interface__`; not with `bbox`.
        datetime: A date or an interval, as pystac-client takes it: `2020-02-01/2020-02-29`.
        query: For the query extension, best as a dict: `{"eo:cloud_cover": {"lt": 20}}`. (In the
            list form pystac-client sends numbers as strings.)
        filter: For the filter extension: CQL2 JSON or text.
        filter_lang: "cql2-json" or "cql2-text", if it does not follow from `filter`.
        sortby: As pystac-client takes it: `"-properties.datetime"`.
        max_items: Stop after this many items.
        page_size: Items in one request.
        options: Time-outs, attempts, and headers, such as one with an API key; the headers go only
            to the API's own host.
        errors: `"raise"` raises for a wrong item; `"skip"` leaves it out and logs a warning.

    Raises:
        UsageError: The arguments contradict each other, or `datetime` is not a date.
        StorageError: The API cannot be reached, refuses, or does not answer as an API; with its
            HTTP `status`. 429, 500, 502, 503, 504 and lost connections are tried again first, as
            `Retry-After` says.
        MissingMetadata: An item lacks a field.
        InvalidMetadata: An item is wrong.
        LimitExceeded: The search finds more items than `Limits.listed`, or an item is too large.
    """
    if bbox is not None and intersects is not None:
        raise UsageError("Pass bbox or intersects, not both.")
    if max_items is not None and max_items < 1:
        raise UsageError(f"max_items is {max_items}; it must be at least 1 (None: all).")
    arguments = {
        "collections": collections,
        "ids": ids,
        "bbox": bbox,
        "intersects": intersects,
        "datetime": _as_interval(datetime),
        "query": query,
        "filter": filter,
        "filter_lang": filter_lang,
        "sortby": sortby,
        "max_items": max_items,
        "limit": page_size,
    }
    options = options or StorageOptions()
    records = _search(api, arguments, options)
    return parse_items(records, errors=errors, origin=redact(api), api=api, limits=options.limits)


def list_collections(api: str, *, options: StorageOptions | None = None) -> list[str]:
    """Return the ids of the collections of a STAC API, at most 1,000.

    Raises:
        StorageError: The API cannot be reached, refuses, or does not list its collections.
    """
    from stacchip.items.api.client import StacApi  # slow, as below

    return StacApi(api, options or StorageOptions()).list_collections()


def _as_interval(datetime: Any) -> str | None:
    """Return a date or period as APIs take it, checked before any request."""
    if datetime is None:
        return None
    from pystac_client.item_search import ItemSearch  # slow, as below

    try:
        interval: str | None = ItemSearch("", datetime=datetime).get_parameters().get("datetime")
    except Exception as error:
        # pystac-client raises plain Exception
        raise UsageError(
            f"datetime is {datetime!r}, which cannot be searched for: {error}. "
            "Write a date or a period, such as 2024-05 or 2024-05-01/2024-06-15."
        ) from error
    return interval


def _search(
    api: str, arguments: dict[str, Any], options: StorageOptions
) -> Iterator[dict[str, Any]]:
    # slow to import, and not needed to read items from files
    from stacchip.items.api.client import StacApi

    yield from StacApi(api, options).search(**arguments)
