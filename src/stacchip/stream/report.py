"""The report of a stream: what it delivered so far, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stacchip.errors import forget_frames

if TYPE_CHECKING:
    from stacchip.errors import StacchipError


_MOST_REASONS: Final = 1000


@dataclass(frozen=True)
class Skipped:
    """A chip that could not be cut.

    Attributes:
        chipid: Its id.
        row: Its row in the index.
        error: The reason, with `item_id`, `asset` and `href` if they are known.
    """

    chipid: str
    row: int
    error: StacchipError


@dataclass
class StreamReport:
    """Counts of one pass.

    Attributes:
        delivered: Number of chips delivered.
        skipped: Number of chips that could not be cut (`errors="skip"`).
        reasons: The first thousand of those, with their errors.
        decoded_blocks: Number of blocks decoded.
        decoded_bytes: Total size of their pixels.
        peak_bytes: The most that decoded blocks took at the same time.
    """

    delivered: int = 0
    skipped: int = 0
    reasons: list[Skipped] = field(default_factory=list)
    decoded_blocks: int = 0
    decoded_bytes: int = 0
    peak_bytes: int = 0

    def skip(self, chipid: str, row: int, error: StacchipError) -> None:
        """Count a chip that could not be cut, and keep the reason."""
        forget_frames(error)
        self.skipped += 1
        if len(self.reasons) < _MOST_REASONS:
            self.reasons.append(Skipped(chipid, row, error))

    def __str__(self) -> str:
        text = (
            f"{self.delivered} chips from {self.decoded_blocks} blocks "
            f"({self.decoded_bytes / 1e6:.0f} MB decoded, {self.peak_bytes / 1e6:.0f} MB at once)"
        )
        if self.skipped:
            text += f"; {self.skipped} skipped, the first: {self.reasons[0].error}"
        return text
