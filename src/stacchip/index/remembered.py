"""What this process remembers of the items in the tables that it made.

A table carries its items in its metadata, and other libraries lose metadata: pandas and polars all
of it, `pyarrow.concat_tables` that of all tables but the first. The rows still name platform and
item id, so the process that made the tables can say which items these are. This helps within one
process only: another process, or a later run, has no more than the files hold. So the memory is
asked last, and it never guesses: a key under which two different items came by has no item.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from stacchip.items.copies import describe_difference, is_same_item
from stacchip.runtime.per_process import PerProcess
from stacchip.storage import unsign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stacchip.items.keys import ItemKey

__all__ = ["REMEMBERED", "RememberedItems", "remember_signed", "signed_address", "unpack"]

_MOST: Final = 1024  # items; packed, each takes about 4 KB


class RememberedItems:
    """The last items that came by, by platform and id.

    A forked process begins with those of its parent, a spawned one with none.

    Args:
        most: Number of items to keep.

    Example:
        >>> from stacchip.items.keys import ItemKey
        >>> items = RememberedItems(2)
        >>> items.add({ItemKey("naip", "a"): '{"id":"a"}'})
        >>> unpack(items.get(ItemKey("naip", "a")))
        {'id': 'a'}
        >>> items.add({ItemKey("naip", "a"): '{"id":"a","collection":"another"}'})
        >>> items.get(ItemKey("naip", "a")) is None
        True
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # an item as JSON, packed; or how two of them differ
        self._kept: OrderedDict[ItemKey, bytes | str] = OrderedDict()
        # its own in each process: a forked child could inherit a lock that no thread releases
        self._lock: PerProcess[threading.Lock] = PerProcess(threading.Lock)

    def add(self, texts: Mapping[ItemKey, str]) -> None:
        """Remember items.

        Args:
            texts: The items as JSON text, by key. Of too many, the last are remembered.
        """
        for key in list(texts)[-self._most :]:
            packed = zlib.compress(texts[key].encode(), level=1)
            with self._lock.get():
                self._kept[key] = _combine(self._kept.get(key, packed), packed)
                self._kept.move_to_end(key)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)

    def get(self, key: ItemKey) -> bytes | None:
        """Return an item, packed; None if none, or more than one, came by under its key."""
        with self._lock.get():
            kept = self._kept.get(key)
        return kept if isinstance(kept, bytes) else None

    def __len__(self) -> int:
        return len(self._kept)

    def among(self, keys: Iterable[ItemKey]) -> dict[ItemKey, bytes]:
        """Return the items of these keys, packed, as far as they are remembered."""
        found = {key: self.get(key) for key in keys}
        return {key: packed for key, packed in found.items() if packed is not None}

    def differences(self) -> dict[ItemKey, str]:
        """Return the keys under which two different items came by, and how these differ."""
        with self._lock.get():
            return {key: kept for key, kept in self._kept.items() if isinstance(kept, str)}


REMEMBERED: Final = RememberedItems(_MOST)
"""The memory of this process. `stacchip.index.embedded` adds to it."""


def unpack(packed: bytes) -> dict[str, Any]:
    """Return an item that was remembered."""
    item: dict[str, Any] = json.loads(zlib.decompress(packed))
    return item


def _combine(one: bytes | str, other: bytes) -> bytes | str:
    """Return what is kept of an item that comes by again: the later copy, or how two differ."""
    if isinstance(one, str) or one == other:
        return one
    items = unpack(one), unpack(other)
    return other if is_same_item(*items) else describe_difference(*items)


# -- addresses -------------------------------------------------------------------------------------

# the signed addresses that this process was given, by what a table keeps of them
_SIGNED: OrderedDict[str, str] = OrderedDict()
_MOST_SIGNED: Final = 1024


def remember_signed(href: str) -> str:
    """Return an address without signature and password, and remember these in this process.

    Example:
        >>> plain = remember_signed("https://example.com/index?X-Amz-Signature=abc")
        >>> plain, signed_address(plain)
        ('https://example.com/index', 'https://example.com/index?X-Amz-Signature=abc')
    """
    plain = unsign(href)
    if plain != href:
        _SIGNED[plain] = href  # a later signature is valid for longer
        while len(_SIGNED) > _MOST_SIGNED:
            _SIGNED.pop(next(iter(_SIGNED)), None)
    return plain


def signed_address(plain: str) -> str:
    """Return the address that was given for an unsigned one; itself if none was."""
    return _SIGNED.get(plain, plain)
