"""The errors that stacchip raises, as one tree.

```
StacchipError
├── UsageError (ValueError)               an argument that cannot be right
├── ItemError (ValueError)                a STAC item that lacks or contradicts something
│   ├── MissingMetadata                     a field that is needed is absent
│   └── InvalidMetadata                     a field that is there cannot be right
├── ItemNotFound (LookupError)            an item id that nothing at hand resolves
├── AssetNotFound (LookupError)           an asset key that the item does not have
├── SourceNotFound (LookupError)          no source of that name
├── SourceError (ValueError)              a source that contradicts itself or another
├── ChipNotFound (LookupError)            no such chip in the index or grid
│   └── ChipOutOfRange (IndexError)         a position past the end
├── AmbiguousChip (LookupError)           more than one chip answers to what was asked
├── IndexFormatError (ValueError)         a table that is no chip index
├── DuplicateChips (ValueError)           two rows with the same key
├── GridMismatch (ValueError)             a file's grid contradicts the index's
├── RasterError (OSError)                 a file whose pixels cannot be had
│   ├── NotARaster                          it is no raster at all, or its header is broken
│   ├── CorruptBlock                        one block cannot be decoded
│   └── UnsupportedRaster                   it is sound, and no reader of ours knows it
└── StorageError (OSError)                bytes that could not be had
    ├── ObjectNotFound (FileNotFoundError)  nothing is at that address
    ├── AccessDenied (PermissionError)      credentials are missing or refused
    ├── StorageTimeout (TimeoutError)       the wall-clock limit passed
    └── AssetChanged                        the file is not the one whose header is at hand
```

Facts are attributes (`item_id`, `asset`, `href`, `block`, `status`), so that a program can act on
them; the message says what was wrong, where, and what to do. An href in an error has passed
`stacchip.storage.redact`: it carries no signature and no credential.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

Errors = Literal["raise", "skip"]
"""How a function that handles many things treats one that fails: it raises, or leaves it out."""


class StacchipError(Exception):
    """The base of every error that stacchip raises on purpose.

    Args:
        message: What was wrong, where, and what to do.
        **facts: What a program may want to know; each becomes an attribute, and `facts` keeps them.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.facts))


def _rebuild(kind: type[StacchipError], message: str, facts: dict[str, Any]) -> StacchipError:
    """Unpickle an error: worker processes hand theirs to the parent."""
    return kind(message, **facts)


class UsageError(StacchipError, ValueError):
    """An argument that cannot be right."""


class ItemError(StacchipError, ValueError):
    """A STAC item that lacks or contradicts something: `item_id`, `asset`, `field`."""

    item_id: str | None = None
    asset: str | None = None
    field: str | None = None


class MissingMetadata(ItemError):
    """A field of an item that is needed is absent: `item_id`, `asset`, `field`."""


class InvalidMetadata(ItemError):
    """A field of an item is there and cannot be right: `item_id`, `asset`, `field`."""


class ItemNotFound(StacchipError, LookupError):
    """An item id that nothing at hand resolves: `item_id`."""

    item_id: str | None = None


class AssetNotFound(StacchipError, LookupError):
    """An asset key that the item does not have: `item_id`, `asset`."""

    item_id: str | None = None
    asset: str | None = None


class SourceNotFound(StacchipError, LookupError):
    """No source of that name is registered."""


class SourceError(StacchipError, ValueError):
    """A source that contradicts itself or another of the same name."""


class ChipNotFound(StacchipError, LookupError):
    """No such chip in the index or grid: `item_id`, `x`, `y`, where they are known."""

    item_id: str | None = None


class ChipOutOfRange(ChipNotFound, IndexError):
    """A position past the end of the chips."""


class AmbiguousChip(StacchipError, LookupError):
    """More than one chip answers to what was asked."""


class IndexFormatError(StacchipError, ValueError):
    """A table or file that is no chip index: `href`, where it is a file."""

    href: str | None = None


class DuplicateChips(StacchipError, ValueError):
    """Two rows of an index with the same key."""


class GridMismatch(StacchipError, ValueError):
    """A file's grid contradicts the index's: `item_id`, `asset`, `href`."""

    item_id: str | None = None
    asset: str | None = None
    href: str | None = None


class RasterError(StacchipError, OSError):
    """A file whose pixels cannot be had: `href`, and `block` as (band, row, column) of blocks."""

    href: str | None = None
    block: tuple[int, int, int] | None = None


class NotARaster(RasterError):
    """A file that is no raster at all, or whose header is broken: `href`."""


class CorruptBlock(RasterError):
    """One block of a file that cannot be decoded: `href`, `block`."""


class UnsupportedRaster(RasterError):
    """A sound file that no reader of ours knows: `href`."""


class StorageError(StacchipError, OSError):
    """Bytes that could not be had or written: `href`, `status` (HTTP), where there was one."""

    href: str | None = None
    status: int | None = None


class ObjectNotFound(StorageError, FileNotFoundError):
    """Nothing is at that address: `href`."""


class AccessDenied(StorageError, PermissionError):
    """Credentials are missing or were refused: `href`, `status`."""


class StorageTimeout(StorageError, TimeoutError):
    """The wall-clock limit passed before the bytes came: `href`."""


class AssetChanged(StorageError):
    """The file is not the one whose header is at hand: `href`, `expected`, `found`."""


E = TypeVar("E", bound=StacchipError)


def attribute(error: E, item_id: str, asset: str | None = None) -> E:
    """The same error, its message and facts naming item and asset (if it is one's) too.

    Raise it `from` the error given. One that names its item already is given back as it is.

    Example:
        >>> error = attribute(ObjectNotFound("Nothing is at a.tif.", href="a.tif"), "S2A", "red")
        >>> error
        ObjectNotFound("Item 'S2A', asset 'red': Nothing is at a.tif.")
        >>> error.href, error.facts["item_id"]
        ('a.tif', 'S2A')
    """
    if error.facts.get("item_id") is not None:
        return error
    facts = {**error.facts, "item_id": item_id, "asset": asset}
    whose = f"Item {item_id!r}" + (f", asset {asset!r}" if asset is not None else "")
    return type(error)(f"{whose}: {error.message}", **facts)


def forget_frames(error: BaseException) -> None:
    """Drop the tracebacks of an error that is kept: their frames hold arrays and tables.

    Example:
        >>> try:
        ...     raise StorageError("no answer") from OSError("reset")
        ... except StorageError as kept:
        ...     forget_frames(kept)
        ...     kept.__traceback__ is None
        True
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            waiting += [each.__cause__, each.__context__]
