"""The search of `stacchip index`: its options as values, and what is said if it finds nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stacchip.cli.filters import parse_bbox
from stacchip.errors import StacchipError, StorageError, UsageError
from stacchip.items import search_items
from stacchip.items.search import list_collections
from stacchip.runtime.near_names import list_names
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pystac

_REFUSED: Final = (400, 404, 422)
"""What some APIs answer to a search of a collection that they do not have."""


@dataclass(frozen=True)
class Search:
    """A search of a STAC API, as the options of a command line ask for it."""

    api: str
    collections: list[str] | None = None
    bbox: str | None = None
    datetime: str | None = None
    query: str | None = None
    max_items: int | None = None

    def items(self) -> Iterator[pystac.Item]:
        """Return the items that the search finds.

        Raises:
            UsageError: An option cannot be searched for.
        """
        found = search_items(
            self.api,
            collections=self.collections,
            bbox=parse_bbox(self.bbox),
            datetime=self.datetime,
            query=_parse_query(self.query),
            max_items=self.max_items,
        )
        return self._explained(found)

    def _explained(self, found: Iterator[pystac.Item]) -> Iterator[pystac.Item]:
        """Yield items; if the API refuses a search of a collection it lacks, say what it has."""
        try:
            yield from found
        except StorageError as error:
            if self.collections and error.status in _REFUSED:
                error.message += f" {self._what_exists()}"
            raise

    def explain_nothing(self) -> str:
        """Return what was asked for, and what the catalogue has, for a search without items."""
        asked = ", ".join(f"{name} {value}" for name, value in self._asked())
        return f"{redact(self.api)} has no item for {asked or 'this search'}. {self._what_exists()}"

    def _asked(self) -> Iterator[tuple[str, str]]:
        for collection in self.collections or ():
            yield "--collection", collection
        for name in ("bbox", "datetime", "query"):
            value = getattr(self, name)
            if value is not None:
                yield f"--{name}", value

    def _what_exists(self) -> str:
        try:
            there = list_collections(self.api)
        except StacchipError as error:
            return f"Its collections cannot be listed: {error}"
        wanted = self.collections or []
        missing = [name for name in wanted if name not in there]
        if not there:
            return "It lists no collection."
        if missing or not wanted:
            lacks = f"There is no collection {', '.join(map(repr, missing))}; " if missing else ""
            return f"{lacks}{'it' if lacks else 'It'} has {list_names(there, near=missing)}."
        which = "collections are" if len(wanted) > 1 else "collection is"
        return f"The {which} there; the area, the period or the query may be too narrow."


def _parse_query(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        query = json.loads(text)
    except ValueError:
        query = None
    if not isinstance(query, dict):
        raise UsageError(
            f'--query is a JSON object such as {{"eo:cloud_cover": {{"lt": 20}}}}, not {text!r}.'
        )
    return query
