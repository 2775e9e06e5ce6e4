"""`Mix`: an epoch of several sources in set proportions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

import numpy as np

from stacchip.draws.draw import By, count_of_chips, digest_of, plain_values, require_claim
from stacchip.draws.membership import MixWeigher
from stacchip.draws.strata import Quota, share_out
from stacchip.errors import UsageError
from stacchip.index import Selection
from stacchip.splits.shares import is_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stacchip.draws.chosen_rows import ChosenRows
    from stacchip.draws.column_values import Values
    from stacchip.draws.report import DrawReport
    from stacchip.draws.strata import Totals, Weigher

__all__ = ["Batches", "Mix", "Part", "Stop"]

Part: TypeAlias = "Values | Selection"
"""A part of an index: a platform, a condition as text or of pyarrow, or a `Selection`."""
Batches: TypeAlias = Literal["random", "stratified", "per_source"]
Stop: TypeAlias = Literal["first", "all", "all_once"]
_MOST_PARTS: Final = 100
_LEAST: Final = 1e-9  # of a proportion


@dataclass(frozen=True, eq=False)
class Mix:
    """Mixes the chips of several sources in set proportions.

    Args:
        parts: What is mixed, and in which proportions: a dictionary, or a list of pairs. A part is
            the name of a platform (`"naip"`), a condition as text (`"cloud_cover_percentage <
            0.1"`) or as a pyarrow expression, or a `stacchip.index.Selection`. A chip that several
            parts want is of the first; one that none wants does not come.
        batches: `"random"`: chips of all parts are shuffled together. `"stratified"`: each batch
            has the proportions of the mix, as nearly as whole chips can. `"per_source"`: each batch
            has chips of one part.
        stop: When an epoch ends. `"first"`: when the first part has no more chips; none comes
            twice. `"all"`: when each part has given all of its chips; those of small parts come
            again. `"all_once"`: when each chip has come once; the proportions hold until a part is
            at its end.
        chips: The number of chips in an epoch, in place of the one that `stop` gives. With
            `stop="first"` no chip comes twice, with `"all"` chips come again where they must.
        by: As for `Draw`.
        each_epoch: As for `Draw`.

    Raises:
        UsageError: An argument is wrong.

    Example:
        >>> from stacchip import ChipStream
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> mix = Mix({"chip_index_y < 2": 0.75, "chip_index_y >= 2": 0.25}, batches="stratified")
        >>> len(ChipStream(NoStatsChipIndexer(item), draw=mix))
        10
    """

    parts: Mapping[Any, float] | Sequence[tuple[Part, float]]
    batches: Batches = "random"
    stop: Stop = "first"
    chips: int | None = None
    by: By = "chip"
    each_epoch: bool = True

    place_km: ClassVar[float] = 2.56

    def __post_init__(self) -> None:
        if self.batches not in ("random", "stratified", "per_source"):
            raise UsageError(
                f"batches is 'random', 'stratified' or 'per_source', not {self.batches!r}."
            )
        if self.stop not in ("first", "all", "all_once"):
            raise UsageError(f"stop is 'first', 'all' or 'all_once', not {self.stop!r}.")
        if self.by not in ("chip", "area", "place"):
            raise UsageError(f"by is 'chip', 'area' or 'place', not {self.by!r}.")
        object.__setattr__(self, "chips", count_of_chips(self.chips))
        object.__setattr__(self, "each_epoch", require_claim("each_epoch", self.each_epoch))
        pairs = _pairs_of(self.parts)
        object.__setattr__(self, "parts", pairs)
        if not 0 < len(pairs) <= _MOST_PARTS:
            raise UsageError(f"A mix has 1 to {_MOST_PARTS} parts, not {len(pairs)}.")
        for part, proportion in pairs:
            if not is_number(proportion) or not _LEAST <= proportion <= 1 / _LEAST:
                raise UsageError(
                    f"The proportion of {part!r} is above 0, {_LEAST} to {1 / _LEAST:g}; not "
                    f"{proportion!r}."
                )
        if self.stop == "all_once" and (self.chips is not None or self.batches == "random"):
            raise UsageError(
                'With stop="all_once", all chips come, and only batches tell the proportions: '
                'leave chips= out, and choose batches="stratified" or "per_source".'
            )

    @property
    def pairs(self) -> list[tuple[Part, float]]:
        """The parts and their proportions."""
        return _pairs_of(self.parts)

    @property
    def count(self) -> int:
        """The number of parts."""
        return len(self.parts)

    @property
    def digest(self) -> str:
        """A digest of the mix; it holds for this version of pyarrow."""
        told = [
            part.digest if isinstance(part, Selection) else digest_of(part)
            for part, _ in self.pairs
        ]
        return digest_of(
            "mix", told, self.shares.tolist(), self.batches, self.stop, self.chips, self.by,
            self.each_epoch,
        )  # fmt: skip

    @property
    def plain(self) -> dict[str, Any]:
        """The mix as plain values that JSON can hold."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        parts = [
            (part.digest if isinstance(part, Selection) else plain_values(part), float(proportion))
            for part, proportion in self.pairs
        ]
        return {**told, "parts": list(map(list, parts))}

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each part in an epoch; (part,)."""
        proportions = np.array([float(proportion) for _, proportion in self.pairs])
        shares: NDArray[np.float64] = proportions / proportions.sum()
        return shares

    def weigher(self, rows: ChosenRows) -> Weigher:
        """Return what tells the parts of the chips of an index.

        Raises:
            UsageError: A column is absent, or a condition fails.
        """
        place_km = self.place_km if self.by == "place" else None
        return MixWeigher(rows, [part for part, _ in self.pairs], place_km)

    def quota(self, totals: Totals) -> Quota:
        """Return what an epoch takes of so many chips of each part.

        Raises:
            UsageError: A part has no chip, or there are not so many chips.
        """
        shares = self.shares
        there = totals.drawable[: len(shares)]
        if not there.all():
            part, _ = self.pairs[int(np.argmin(there))]
            raise UsageError(f"No chip is of the part {part!r} of the mix.")
        if self.stop == "all_once":
            chips = there
        elif self.stop == "all":
            longest = int(np.ceil((there / shares).max() * (1 - 1e-12)))
            chips = share_out(self.chips or longest, shares)
        else:
            shortest = int((there / shares).min() * (1 + 1e-12))
            chips = share_out(self.chips or max(shortest, 1), shares)
            if self.chips is None:
                chips = np.minimum(chips, there)
            elif (chips > there).any():
                raise UsageError(
                    f"The mix asks for {self.chips:,} chips an epoch, and {shortest:,} can be had "
                    'in these proportions. Ask for fewer, or let chips come again: stop="all".'
                )
        group = np.append(np.arange(len(shares)), 0)
        factor = np.append(np.ones(len(shares)), 0)  # chips of no part
        is_capped = self.stop != "all"
        return Quota(factor, group, chips, is_capped, np.append(chips / chips.sum(), 0))

    def report(self, stream: Any) -> DrawReport:
        """Return what the mix gives in a stream's epoch; see `ChipStream.report_draw`."""
        found: DrawReport = stream.report_draw()
        return found


def _pairs_of(parts: Any) -> list[tuple[Part, float]]:
    """Return parts and proportions as pairs.

    Raises:
        UsageError: They are neither a dictionary nor pairs.
    """
    try:
        pairs = list(parts.items() if isinstance(parts, Mapping) else parts)
        return [(part, proportion) for part, proportion in pairs]
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The parts of a mix are a dictionary of proportions or a list of pairs, not {parts!r}."
        ) from error
