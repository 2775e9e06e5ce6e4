"""The errors that stacchip raises, as one tree.

```
StacchipError
├── UsageError (ValueError)               an argument is wrong
├── ItemError (ValueError)                a STAC item lacks something, or contradicts itself
│   ├── MissingMetadata                     a required field is missing
│   └── InvalidMetadata                     a field has an impossible value
├── ItemNotFound (LookupError)            no item is known by that id
├── AssetNotFound (LookupError)           the item has no asset of that key
├── SourceNotFound (LookupError)          no source has that name
├── SourceError (ValueError)              a source contradicts itself or another
├── ChipNotFound (LookupError)            the index or grid has no such chip
│   └── ChipOutOfRange (IndexError)         a position is past the end
├── AmbiguousChip (LookupError)           more than one chip matches
├── NothingFound (LookupError)            a search, a filter or a folder leaves nothing to work on
├── IndexFormatError (ValueError)         a table or file is not a chip index
├── DuplicateChips (ValueError)           two rows have the same key
├── GridMismatch (ValueError)             a file's grid contradicts the index's
├── RasterError (OSError)                 the pixels of a file cannot be read or written
│   ├── NotARaster                          the file is not a raster, or its header is broken
│   ├── CorruptBlock                        one block cannot be decoded
│   └── UnsupportedRaster                   the file is sound, but no reader here supports it
├── StorageError (OSError)                bytes could not be read or written
│   ├── ObjectNotFound (FileNotFoundError)  there is nothing at that address
│   ├── AccessDenied (PermissionError)      credentials are missing or were refused
│   ├── DiskFull                            there is no space to write to
│   ├── StorageTimeout (TimeoutError)       the time limit passed
│   └── AssetChanged                        the file is not the version that was read before
│       └── IndexReplaced                     the index is not the one that rows were read from
├── LimitExceeded (ValueError)            something from outside asks for more than a limit allows
├── NotAllowed (PermissionError)          something from outside names what it may not reach
└── UnexpectedError (RuntimeError)        something else failed; its `__cause__` says what
```

Facts are attributes (`item_id`, `asset`, `href`, `block`, `status`), so that a program can act on
them. The message says what was wrong, where, and what to do. Every href in an error has passed
`stacchip.storage.redact`: it carries no signature and no credential.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

Errors = Literal["raise", "skip"]
"""What to do if one of many things fails: raise its error, or skip it and report it."""


class StacchipError(Exception):
    """The base of every error that stacchip raises on purpose.

    Args:
        message: What was wrong, where, and what to do.
        **facts: Facts for programs; each becomes an attribute, and `facts` holds them all.
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
    """Unpickle an error that a worker process raised."""
    return kind(message, **facts)


class UsageError(StacchipError, ValueError):
    """An argument is wrong."""


class ItemError(StacchipError, ValueError):
    """A STAC item lacks something, or contradicts itself: `item_id`, `asset`, `field`."""

    item_id: str | None = None
    asset: str | None = None
    field: str | None = None


class MissingMetadata(ItemError):
    """A required field of an item is missing: `item_id`, `asset`, `field`."""


class InvalidMetadata(ItemError):
    """A field of an item has an impossible value: `item_id`, `asset`, `field`.

    If the item states a whole grid that contradicts the rest of it, `grid` describes that.
    """

    grid: str | None = None


class ItemNotFound(StacchipError, LookupError):
    """No item is known by that id: `item_id`."""

    item_id: str | None = None


class AssetNotFound(StacchipError, LookupError):
    """The item has no asset of that key: `item_id`, `asset`."""

    item_id: str | None = None
    asset: str | None = None


class SourceNotFound(StacchipError, LookupError):
    """No source is registered under that name."""


class SourceError(StacchipError, ValueError):
    """A source contradicts itself, or another of the same name."""


class ChipNotFound(StacchipError, LookupError):
    """The index or grid has no such chip: `item_id`, and `x`, `y` if they are known."""

    item_id: str | None = None


class ChipOutOfRange(ChipNotFound, IndexError):
    """A position is past the end of the chips."""


class AmbiguousChip(StacchipError, LookupError):
    """More than one chip matches."""


class NothingFound(StacchipError, LookupError):
    """A search, a filter or a folder leaves nothing to work on; the message says what exists."""


class IndexFormatError(StacchipError, ValueError):
    """A table or file is not a chip index: `href`, if it is a file."""

    href: str | None = None


class DuplicateChips(StacchipError, ValueError):
    """Two rows of an index have the same key."""


class GridMismatch(StacchipError, ValueError):
    """A file's grid contradicts the index's: `item_id`, `asset`, `href`."""

    item_id: str | None = None
    asset: str | None = None
    href: str | None = None


class RasterError(StacchipError, OSError):
    """The pixels of a file cannot be read or written: `href`, `block` as (band, row, column)."""

    href: str | None = None
    block: tuple[int, int, int] | None = None


class NotARaster(RasterError):
    """The file is not a raster, or its header is broken: `href`."""


class CorruptBlock(RasterError):
    """One block of a file cannot be decoded: `href`, `block`."""


class UnsupportedRaster(RasterError):
    """The file is sound, but no reader here supports it: `href`."""


class StorageError(StacchipError, OSError):
    """Bytes could not be read or written: `href`, and the HTTP `status` if there was one."""

    href: str | None = None
    status: int | None = None


class ObjectNotFound(StorageError, FileNotFoundError):
    """There is nothing at that address: `href`."""


class AccessDenied(StorageError, PermissionError):
    """Credentials are missing or were refused: `href`, `status`."""


class DiskFull(StorageError):
    """A disk has no space left, or a quota is used up; `href` is what was being written."""


class StorageTimeout(StorageError, TimeoutError):
    """The time limit passed before the bytes arrived: `href`."""


class AssetChanged(StorageError):
    """The file is not the version that was read before: `href`, `expected`, `found`."""


class IndexReplaced(AssetChanged):
    """The index is no longer the one that rows were read from; open it again: `href`."""


class LimitExceeded(StacchipError, ValueError):
    """A file, an answer or an item asks for more than a limit allows: `limit`, `href`, `item_id`.

    `limit` is the name of a field of `stacchip.storage.Limits`, which can raise it.
    """

    limit: str | None = None
    href: str | None = None
    item_id: str | None = None


class NotAllowed(StacchipError, PermissionError):
    """A file or an item from outside names what only this machine can reach: `href`, `item_id`.

    `StorageOptions(allow_local=True)` allows it.
    """

    href: str | None = None
    item_id: str | None = None


class UnexpectedError(StacchipError, RuntimeError):
    """Something failed in a way that no other error names: `item_id`; `__cause__` is its error."""

    item_id: str | None = None


def is_lasting(error: StacchipError) -> bool:
    """Return True if the same attempt fails again later, and in any other process.

    Most errors of a store may pass: it answers again, or another process has the credentials. A
    file that is gone or replaced, and whatever is wrong with its content, stays so.

    Example:
        >>> is_lasting(ObjectNotFound("gone")), is_lasting(StorageTimeout("no answer"))
        (True, False)
    """
    is_settled = isinstance(error, ObjectNotFound | AssetChanged)
    return is_settled or not isinstance(error, StorageError)


_SECRET_PLACES = re.compile(r"(?<=://)[^/\s@]*@|\?[^\s'\"]+")


def unexpected(error: Exception, what: str, **facts: Any) -> UnexpectedError:
    """Return the typed error of an exception of another library, or of a caller's function.

    It belongs to the doors where one of many things is worked on, so that whatever fails there
    costs only that thing. Where the cause is known, raise the error that names it instead.

    Args:
        error: The exception, which becomes the `__cause__` of the result.
        what: What failed, as the subject of a sentence.
        **facts: As in `StacchipError`.

    Example:
        >>> unexpected(KeyError("https://h/a.tif?sig=abc"), "Item 'S2A'", item_id="S2A").message
        "Item 'S2A' failed unexpectedly: KeyError: 'https://h/a.tif'."
    """
    # an error's text may hold a signed address
    text = _SECRET_PLACES.sub("", str(error)).strip()[:300]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    named = UnexpectedError(f"{what} failed unexpectedly: {said.rstrip('.')}.", **facts)
    named.__cause__ = error
    return named


E = TypeVar("E", bound=StacchipError)


def attribute(error: E, item_id: str, asset: str | None = None) -> E:
    """Return the same error with the item and asset in its message and facts.

    Raise the result `from` the error given. An error that already names its item is returned
    unchanged.

    Args:
        error: An error raised while reading a file.
        item_id: The item of the file.
        asset: The asset of the file; None if the error concerns the whole item.

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
    """Drop the tracebacks of an error that is to be kept: their frames hold arrays and tables.

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
