"""The report of a stream: what it delivered so far, and what it left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacchip.errors import forget_frames

if TYPE_CHECKING:
    from stacchip.errors import StacchipError
    from stacchip.stream.read.filling_store import Filled


_MOST_REASONS: Final = 1000
_MOST_NAMED: Final = 10


class Cause(NamedTuple):
    """What many chips may be skipped for: one kind of error at one item, or one asset of it.

    Attributes:
        item_id: Id of the item.
        asset: Key of the asset; None if the whole item is at fault.
        error: Name of the kind of error.
    """

    item_id: str
    asset: str | None
    error: str

    @classmethod
    def of(cls, error: StacchipError, item_id: str) -> Cause:
        """Return the cause of an error that a chip of an item met."""
        return cls(item_id, error.facts.get("asset"), type(error).__name__)

    @property
    def place(self) -> str:
        """The item, and the asset if one is at fault, in words."""
        item = f"item {self.item_id!r}"
        return item if self.asset is None else f"{item} (asset {self.asset!r})"


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


@dataclass(frozen=True)
class StoreFilling:
    """What became of chips with which a store was to be filled.

    Attributes:
        chips: Number of chips.
        kept: Number of those that were read and kept; the store had the others, or they failed.
        failed: Number of chips that could not be read.
        first_error: Why the first of these could not.
        decoded_blocks: Number of blocks decoded.
        why_not_kept: Why the store did not keep the rest; None if it has all that can be read.
    """

    chips: int
    kept: int = 0
    failed: int = 0
    first_error: StacchipError | None = None
    decoded_blocks: int = 0
    why_not_kept: str | None = None

    def plus(self, filled: Filled) -> StoreFilling:
        """Return it with what was read since."""
        failures = filled.failures
        for error in failures:
            forget_frames(error)
        return replace(
            self,
            kept=self.kept + filled.kept - min(len(failures), filled.kept),
            failed=self.failed + len(failures),
            first_error=self.first_error or (failures[0] if failures else None),
            decoded_blocks=self.decoded_blocks + filled.decoded_blocks,
        )


@dataclass
class StreamReport:
    """Counts of one pass.

    Attributes:
        delivered: Number of chips delivered.
        skipped: Number of chips that could not be cut (`errors="skip"`).
        reasons: The first thousand of those, with their errors.
        causes: Number of those by `Cause`.
        decoded_blocks: Number of blocks decoded.
        decoded_bytes: Total size of their pixels.
        peak_bytes: The most that decoded blocks took at the same time.
        from_store: Number of chips that came from the store.
        kept: Number of chips that were given to the store to keep.
        why_not_kept: Why the store keeps no more chips; None if it does, or there is none.
    """

    delivered: int = 0
    skipped: int = 0
    reasons: list[Skipped] = field(default_factory=list)
    decoded_blocks: int = 0
    decoded_bytes: int = 0
    peak_bytes: int = 0
    causes: Counter[Cause] = field(default_factory=Counter)
    from_store: int = 0
    kept: int = 0
    why_not_kept: str | None = None

    def skip(self, chipid: str, row: int, error: StacchipError, cause: Cause) -> None:
        """Count a chip that could not be cut, and keep the reason."""
        forget_frames(error)
        self.skipped += 1
        self.causes[cause] += 1
        if len(self.reasons) < _MOST_REASONS:
            self.reasons.append(Skipped(chipid, row, error))

    def describe_skipped(self) -> str:
        """Return how many chips were skipped, for which items and kinds of error, in words."""
        named = [
            f"{count:,} of {cause.place}: {cause.error}"
            for cause, count in self.causes.most_common(_MOST_NAMED)
        ]
        more = len(self.causes) - len(named)
        return (
            f"{self.skipped:,} chips were skipped ({'; '.join(named)}"
            f"{f'; and {more:,} causes more' if more else ''})."
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"causes": Counter(), **state})  # earlier versions had no causes

    def __str__(self) -> str:
        text = (
            f"{self.delivered} chips from {self.decoded_blocks} blocks "
            f"({self.decoded_bytes / 1e6:.0f} MB decoded, {self.peak_bytes / 1e6:.0f} MB at once)"
        )
        if self.from_store or self.kept:
            text += f"; {self.from_store} from the store, {self.kept} kept in it"
        if self.why_not_kept:
            text += f"; no more are kept: {self.why_not_kept}"
        if self.skipped:
            text += f"; {self.skipped} skipped, the first: {self.reasons[0].error}"
        return text
