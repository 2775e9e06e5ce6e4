"""What is to be read of a parquet file, checked before pyarrow decodes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stacchip.parquet.damage import damaged
from stacchip.parquet.pages import decoded_bytes
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.parquet.footer import Footer
    from stacchip.storage.limits import Limits

    ReadAt = Callable[[int, int], bytes]

__all__ = ["PageChecks"]

# Bytes that a byte of a whole file may stand for; in an index, it stands for seven.
_MOST_EXPANSION: Final = 200


@dataclass(frozen=True)
class PageChecks:
    """Checks the headers of a file's pages, each once, and how much memory the pages take.

    Attributes:
        href: The address of the file.
        footer: Its footer.
        limits: The limits of its place.
    """

    href: str
    footer: Footer
    limits: Limits
    # of each row group and leaf whose pages were looked at: the bytes that its values take
    _looked_at: dict[tuple[int, int], int] = field(init=False, default_factory=dict)

    def look(self, read_at: ReadAt, groups: Sequence[int], leaves: Sequence[int]) -> int:
        """Check pages of some row groups and leaves of the schema.

        Args:
            read_at: Returns bytes of the file, from a start, of a length.
            groups: Numbers of row groups.
            leaves: Numbers of leaves.

        Returns:
            The bytes that the rows take.

        Raises:
            IndexFormatError: A header is not the one that was written.
            ValueError: A header is broken.
            LimitExceeded: A row group takes too much memory, or the file far more than its size.
        """
        total = 0
        for group in groups:
            taken = longest = 0
            for leaf in leaves:
                size = self._size_of(read_at, group, leaf)
                taken += size
                # memory for texts grows twofold: while a column is decoded, it takes it twice
                longest = max(longest, 0 if self.footer.columns[leaf].width else size)
                # at once, since it takes time to look at more
                what = f"Row group {group}"
                self._require_few(taken + longest, what, self.limits.table_bytes)
            total += taken
            self.require_plausible(total)
        return total

    def require_plausible(self, size: int) -> None:
        """Refuse to read far more than the file's size.

        Raises:
            LimitExceeded: It is.
        """
        most = max(self.limits.table_bytes, _MOST_EXPANSION * self.footer.size)
        self._require_few(size, "What is read", most)

    def _require_few(self, size: int, what: str, most: int) -> None:
        if size > most:
            name = redact(self.href)
            raise self.limits.exceeded(
                "table_bytes", f"{what} of {name} takes {size} bytes", href=name
            )

    def _size_of(self, read_at: ReadAt, group: int, leaf: int) -> int:
        """Return how many bytes a column of a row group takes."""
        known = self._looked_at.get((group, leaf))
        if known is None:
            footer = self.footer
            chunk = footer.groups.chunk(group, leaf)
            known, checksum = decoded_bytes(read_at, chunk, footer.columns[leaf])
            told = footer.seal
            if told is not None and checksum != told[group * len(footer.columns) + leaf]:
                raise damaged(self.href, "the header of a page is not the one that was written")
            self._looked_at[group, leaf] = known
        return known
