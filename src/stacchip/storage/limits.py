"""Limits on what a file, an answer or an item from outside may make stacchip hold."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from stacchip.errors import LimitExceeded, StacchipError, StorageError, UsageError
from stacchip.storage.redaction import redact


@dataclass(frozen=True)
class Limits:
    """The most that one thing from outside may make stacchip hold in memory.

    What a file, a server or a catalogue says of itself is a claim until it is checked. A sound file
    of imagery stays far below these limits; one that exceeds a limit raises an error that names the
    limit. Raise it for the place that needs it: `StorageOptions(limits=Limits(block_bytes=2**30))`.

    Attributes:
        block_bytes: One block of a file, decoded. A 1024 px block of 8-byte samples takes 8 MiB;
            files that keep a whole scene in one compressed strip need more.
        chip_bytes: The pixels of one asset in one window, decoded.
        file_bytes: A file that can only be read whole: imagery that GDAL reads from a remote
            store, and answers of servers that do not report a size.
        document_bytes: One JSON document, such as an item or a page of a search, decompressed.
        document_depth: How deep lists and objects of a JSON document may nest.
        cube_bytes: One file of cubes, which is read whole.
        listed: The objects below one folder of an object store, or the items of one search.
        item_parts: The lists and objects in the JSON of one item; each position of its footprint is
            one.
        assets: The assets of one item.
        chips: The chips of one item.
        table_bytes: The rows of one row group of a parquet file, decoded, of the columns read; the
            largest column of texts counts twice, since it takes that while it is decoded. A
            million rows of an index take about 400 MB.

    Example:
        >>> Limits(chips=4_000_000)
        Limits(chips=4000000)
    """

    block_bytes: int = 256 << 20
    chip_bytes: int = 512 << 20
    file_bytes: int = 512 << 20
    document_bytes: int = 64 << 20
    document_depth: int = 100
    cube_bytes: int = 4 << 30
    listed: int = 2_000_000
    item_parts: int = 200_000
    assets: int = 10_000
    chips: int = 2_000_000
    table_bytes: int = 768 << 20

    def __repr__(self) -> str:
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return f"Limits({', '.join(f'{f.name}={getattr(self, f.name)}' for f in changed)})"

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise UsageError(f"Limits.{each.name} must be more than 0.")

    def exceeded(self, name: str, what: str, *, href: str | None = None) -> LimitExceeded:
        """Return the error for something that is above a limit.

        Args:
            name: The limit, as a field of this class.
            what: What asks for how much, as the subject of the message: "Block 3 takes 9 GB".
            href: The file, without its secrets.

        Example:
            >>> str(Limits(assets=10).exceeded("assets", "Item 'a' has 11 assets"))[:53]
            "Item 'a' has 11 assets, and the limit 'assets' is 10."
        """
        value = getattr(self, name)
        return LimitExceeded(
            f"{what}, and the limit {name!r} is {value}. If you trust its origin, raise it: "
            f"StorageOptions(limits=Limits({name}=...)).",
            limit=name,
            href=href,
        )


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Bound:
    """The most bytes that one read may take.

    Attributes:
        most_bytes: That many are allowed.
        name: The field of `limits` that says so; "" if the caller does.
        limits: The limits of the place.
    """

    most_bytes: int
    name: str = ""
    limits: Limits = DEFAULT_LIMITS

    def exceeded(self, href: str) -> StacchipError:
        """Return the error for an object that has more bytes.

        Example:
            >>> Bound(9).exceeded("a.bin")
            StorageError('a.bin is larger than the limit of 9 bytes.')
        """
        shown = redact(href)
        if self.name:
            return self.limits.exceeded(self.name, f"{shown} has more bytes", href=shown)
        return StorageError(
            f"{shown} is larger than the limit of {self.most_bytes} bytes.", href=shown
        )
