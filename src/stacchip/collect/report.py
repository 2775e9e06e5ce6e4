"""What became of a run: of each item, of each row, and of all rows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stacchip.collect.sample import row_title


@dataclass(frozen=True)
class ItemReport:
    """What became of one item.

    Attributes:
        item_id: Its id in the archive.
        platform: Its folder.
        files_written: Files that were copied or converted now.
        bytes_written: Their size.
        chips: Rows of its index; `None` if everything was there already.
        files_s: Seconds that copying or converting took.
        index_s: Seconds that indexing took.
    """

    item_id: str
    platform: str
    files_written: int = 0
    bytes_written: int = 0
    chips: int | None = None
    files_s: float = 0.0
    index_s: float = 0.0


@dataclass(frozen=True)
class RowReport:
    """What became of one row.

    Attributes:
        number: The row.
        name: Its tile, prefix or number.
        items: Its items that are in the archive now.
        notes: What was wanted and is not in the catalogue.
        errors: What went wrong, without signatures or keys; a row without errors has succeeded.
    """

    number: int
    name: str
    items: tuple[ItemReport, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its number and name."""
        return row_title(self.number, self.name)

    @property
    def there(self) -> int:
        """The number of items that were there already."""
        return sum(item.chips is None for item in self.items)


@dataclass(frozen=True)
class RunReport:
    """What became of all rows.

    Attributes:
        rows: The rows' reports, by number.
    """

    rows: tuple[RowReport, ...]

    @property
    def failed(self) -> tuple[RowReport, ...]:
        """The rows with an error."""
        return tuple(row for row in self.rows if row.errors)

    @property
    def items(self) -> int:
        """The number of items that are in the archive now."""
        return sum(len(row.items) for row in self.rows)

    @property
    def there(self) -> int:
        """The number of these items that were there already."""
        return sum(row.there for row in self.rows)

    @property
    def chips(self) -> int:
        """The number of chips that were indexed."""
        return sum(item.chips or 0 for row in self.rows for item in row.items)

    @property
    def notes(self) -> int:
        """The number of things that were wanted and are not in the catalogue."""
        return sum(len(row.notes) for row in self.rows)

    @property
    def files_written(self) -> int:
        """The number of files that were copied or converted."""
        return sum(item.files_written for row in self.rows for item in row.items)

    @property
    def bytes_written(self) -> int:
        """The size of those files."""
        return sum(item.bytes_written for row in self.rows for item in row.items)


@dataclass(frozen=True)
class PlannedFile:
    """A file that a run would copy: where from, and its size (`None` if it is not known)."""

    item_id: str
    asset: str
    href: str
    size_bytes: int | None


@dataclass(frozen=True)
class RowPlan:
    """What a run would bring of a row.

    Attributes:
        files: The files that it would copy.
        notes: What is there already, or is not in the catalogue.
        there: The number of items that are there already.
    """

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...]
    there: int


def describe_error(error: BaseException) -> str:
    """Return an error as one line without the queries of URLs, which may hold signatures.

    Example:
        >>> describe_error(OSError("https://h/a.tif?sig=abc was refused"))
        'OSError: https://h/a.tif?... was refused'
    """
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {re.sub(r'[?][^ )]*', '?...', text)[:600]}"
