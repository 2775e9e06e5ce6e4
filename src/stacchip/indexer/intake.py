"""The items of a run of `index_items`: each of them once, or why it cannot be indexed.

One wrong item must not cost the others. An item, file or link that cannot be read stands in the
stream as an `Unreadable`, in its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pystac

from stacchip.errors import DuplicateChips, StacchipError, unexpected
from stacchip.items import item_key
from stacchip.items.copies import content_digest
from stacchip.items.load import find_items
from stacchip.items.record import FoundItems, Unreadable
from stacchip.storage import redact

if TYPE_CHECKING:
    from stacchip.items import ItemKey
    from stacchip.storage import Storage


@dataclass
class Intake:
    """The items of a source, read one by one.

    Args:
        source: Anything that `load_items` takes.
        storage: Reads files of items.
        strict: Raise a failure of the source itself; otherwise it ends the items early.

    Attributes:
        repeats: Number of items that came again, and were dropped.
        failure: The error of the source itself, if it ended the items early: what would have come
            after is unknown.
    """

    source: Any
    storage: Storage
    strict: bool
    repeats: int = 0
    failure: StacchipError | None = None
    _seen: dict[ItemKey, tuple[bytes, str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[pystac.Item | Unreadable]:
        """Yield each item once, and an `Unreadable` in the place of what is not a usable item."""
        for part in self._parts(self.source):
            for found in self._open(part):
                each = found if isinstance(found, Unreadable) else self._compare(found)
                if each is None:
                    self.repeats += 1
                else:
                    yield each

    def _parts(self, source: Any) -> Iterator[Any]:
        """Yield the members of a list or generator; anything else is its only part."""
        if not _is_several(source):
            yield source
            return
        try:
            # a search that has met a wrong item goes on with the next
            for part in source.found if isinstance(source, FoundItems) else source:
                yield from self._parts(part)
        except Exception as error:  # noqa: BLE001 - a search of another library may raise any error
            what = "The source of the items"
            named = error if isinstance(error, StacchipError) else unexpected(error, what)
            if self.strict:
                raise named from named.__cause__
            self.failure = self.failure or named

    def _open(self, part: Any) -> Iterator[pystac.Item | Unreadable]:
        """Yield the items of a part; if it fails, the other parts go on."""
        if isinstance(part, Unreadable):
            yield part
            return
        try:
            yield from find_items(part, storage=self.storage)
        except StacchipError as error:
            yield Unreadable(_name(part), error)
        except Exception as error:  # noqa: BLE001 - nothing in a part may end the run
            yield Unreadable(_name(part), unexpected(error, _name(part)))

    def _compare(self, item: pystac.Item) -> pystac.Item | Unreadable | None:
        """Return an item that comes for the first time, None for one that came before."""
        try:
            key, seen = item_key(item), (content_digest(item), _say_which(item))
        except StacchipError as error:
            return Unreadable(item.id, error)
        except Exception as error:  # noqa: BLE001 - as in `_open`
            return Unreadable(item.id, unexpected(error, f"Item {item.id!r}", item_id=item.id))
        known = self._seen.setdefault(key, seen)
        if known is seen:
            return item
        if known[0] == seen[0]:
            return None
        differing = DuplicateChips(
            f"Item {key} comes twice, and the two differ: one is {known[1]}, the other {seen[1]}. "
            "Their chips would have the same keys. Leave one of them out.",
            **key._asdict(),
        )
        return Unreadable(item.id, differing)


def _is_several(source: Any) -> bool:
    """Return True for what holds parts: a list, a generator, a search."""
    is_one = isinstance(source, pystac.Item | str | bytes | os.PathLike | Mapping)
    return isinstance(source, Iterable) and not (is_one or hasattr(source, "__arrow_c_stream__"))


def _name(part: Any) -> str:
    """Return what a part of a source is called where it is reported."""
    if isinstance(part, str | os.PathLike):
        return redact(os.fspath(part))
    return str(part.get("id")) if isinstance(part, Mapping) else type(part).__name__


def _say_which(item: pystac.Item) -> str:
    """Return what tells an item from another of its key: its time, and where it is."""
    hrefs = [asset.get_absolute_href() for asset in item.assets.values()]
    places = [redact(href) for href in (item.get_self_href(), *hrefs[:1]) if href is not None]
    return f"of {item.datetime} ({', '.join(places) or 'without an address'})"
