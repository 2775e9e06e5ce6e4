"""Listing a folder of an object store, page by page, to its end or to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacchip.errors import StacchipError, StorageError
from stacchip.storage.redaction import redact
from stacchip.storage.transports import objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import ObjectStore

    from stacchip.storage.href import Location
    from stacchip.storage.identity import Entry
    from stacchip.storage.limits import Limits
    from stacchip.storage.requester import Requester


def list_objects(requester: Requester, location: Location) -> Iterator[Entry]:
    """Yield all objects below a folder, at any depth; a page that fails is asked for again.

    Args:
        requester: Sends the requests.
        location: The folder, in an object store.

    Raises:
        LimitExceeded: There are more than `Limits.listed`.
        StorageError: The store lists objects elsewhere, or the same ones again and again.
    """
    options = requester.options_for(location)
    pages: Iterator[list[tuple[str, Entry]]] | None = None
    after: str | None = None
    count, before = 0, ""

    def next_page(store: ObjectStore) -> list[tuple[str, Entry]] | None:
        nonlocal pages
        pages = pages or objects.list_pages(store, location, after, options.deadline_s)
        try:
            return next(pages, None)
        except BaseException:
            pages = None  # start again after the last key received
            raise

    while (page := requester.ask_store(location, next_page)) is not None:
        count += len(page)
        if (page and page[0][0] == before) or count > options.limits.listed:
            raise _failure_of_listing(location, options.limits, count)
        before = page[0][0] if page else ""
        for key, entry in page:
            after = key
            yield entry


def _failure_of_listing(location: Location, limits: Limits, count: int) -> StacchipError:
    shown = redact(location.href)
    if count > limits.listed:
        return limits.exceeded("listed", f"{shown} lists {count} objects or more", href=shown)
    return StorageError(
        f"{shown}: the store lists the same objects again and again. Check "
        "StorageOptions(endpoint=...).",
        href=shown,
    )
