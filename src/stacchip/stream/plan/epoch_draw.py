"""The chips that an epoch draws, as a function of the chips, the draw, the seed and the epoch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.draws import Draw, Mix
from stacchip.draws.chances import Candidates, Odds, draw_times, find_scales
from stacchip.draws.chosen_rows import ChosenRows
from stacchip.draws.report import Tally, make_report
from stacchip.errors import UsageError
from stacchip.runtime.key_hash import hash_numbers, hash_text
from stacchip.stream.plan.drawn_chips import DrawnChips, DrawnRows
from stacchip.stream.plan.stored_chips import StoredChips, digest_of_order
from stacchip.stream.plan.wanted_chips import WantedChips
from stacchip.stream.plan.weighed_chips import HeldWeights, StoredWeights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from stacchip.chipper import Chipper
    from stacchip.draws import DrawReport
    from stacchip.draws.strata import Quota
    from stacchip.index import Selection
    from stacchip.runtime.key_hash import Hashes
    from stacchip.stream.plan.by_area import AreaSides
    from stacchip.stream.plan.wanted_chips import Chips
    from stacchip.stream.plan.weighed_chips import Weights, WeightsPart

__all__ = ["EpochDraws", "draws_of"]


@dataclass(frozen=True, eq=False)
class EpochDraws:
    """Draws the chips of epochs.

    Attributes:
        drawing: What is asked for.
        seed: The seed.
        chips: The chips to draw from.
        weights: What they weigh.
    """

    drawing: Draw | Mix
    seed: int
    chips: WantedChips | StoredChips
    weights: Weights

    @cached_property
    def quota(self) -> Quota:
        """What an epoch takes.

        Raises:
            UsageError: There are not so many chips.
        """
        return self.drawing.quota(self.weights.totals)

    def __len__(self) -> int:
        return int(self.quota.chips.sum())

    @property
    def parts(self) -> int:
        """How many parts of a mix are read side by side; 1 if their chips are shuffled together."""
        return 1 if self.drawing.batches == "random" else self.drawing.count

    @cached_property
    def _scales(self) -> NDArray[np.float64]:
        find = find_scales
        totals, quota = self.weights.totals, self.quota
        alike = (totals.most * totals.drawable == totals.weight) & (totals.chips > 0)
        if alike[totals.weight > 0].all():  # chips of a stratum have one weight
            odds = Odds(quota.factor * totals.most, quota.group, totals.drawable)
            return find(lambda: [odds], quota.chips, is_capped=quota.is_capped)
        return find(self._odds, quota.chips, is_capped=quota.is_capped)

    def _odds(self) -> Iterator[Odds]:
        for weight, stratum in self.weights.known():
            yield Odds(*self._weigh(weight, stratum), np.ones(len(weight), np.int64))

    def _weigh(
        self, weight: NDArray[np.float32], stratum: NDArray[np.uint32]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the odds of chips, and their groups."""
        return weight * self.quota.factor[stratum], self.quota.group[stratum]

    @cached_property
    def _hash_of_group(self) -> Hashes:
        texts = (f"{g.platform}\0{g.item_id}\0{g.chip_size}" for g in self.chips.groups)
        return np.fromiter(map(hash_text, texts), np.uint64, len(self.chips.groups))

    def _candidates(self, sides: AreaSides | None) -> Iterator[Candidates]:
        for part in self.weights.parts():
            of_group = self._hash_of_group[part.group]
            chip = hash_numbers(of_group, part.x, part.y)
            unit = chip
            if self.drawing.by == "area" and sides is not None:
                unit = hash_numbers(of_group, *sides.areas(part.group, part.x, part.y))
            elif part.place is not None:
                unit = np.where(part.place == 0, chip, part.place)
            yield Candidates(*self._weigh(part.weight, part.stratum), unit, chip)

    def draw(
        self, epoch: int, sides: AreaSides | None
    ) -> Iterator[tuple[WeightsPart, NDArray[np.int64]]]:
        """Yield all chips in parts, and how often each comes.

        Args:
            epoch: The epoch.
            sides: Tells the areas of chips.
        """
        key = hash_text(f"{self.seed}/{epoch if self.drawing.each_epoch else 0}")
        candidates = partial(self._candidates, sides)
        quota = self.quota
        drawn = draw_times(candidates, self._scales, quota.chips, key, is_capped=quota.is_capped)
        return zip(self.weights.parts(), drawn, strict=True)

    def report(
        self, epoch: int, sides: AreaSides | None, blocks: float, blocks_of_all: float
    ) -> DrawReport:
        """Return what an epoch draws.

        Args:
            epoch: The epoch.
            sides: Tells the areas of chips.
            blocks: Blocks that are decoded for a chip.
            blocks_of_all: The same if all chips came in the order of blocks.
        """
        tally = self.tally(epoch, sides)
        weights = self.weights
        return make_report(
            weights.strata, weights.totals, self.quota, tally,
            blocks_per_chip=blocks, blocks_per_chip_of_all=blocks_of_all,
        )  # fmt: skip

    def tally(self, epoch: int, sides: AreaSides | None) -> Tally:
        """Return how many chips of each stratum come."""
        tally = Tally(len(self.quota.group))
        for part, times in self.draw(epoch, sides):
            tally.add(part.stratum, times)
        return tally

    def chips_of(self, epoch: int, sides: AreaSides | None, areas: str) -> Chips:
        """Return the chips of an epoch; with several parts, each group comes once for each.

        Args:
            epoch: The epoch.
            sides: Tells the areas of chips.
            areas: A digest of how large areas are, if chips are drawn by area.
        """
        if not isinstance(self.chips, StoredChips):
            return hold_drawn(self.chips, self.draw(epoch, sides), self.quota.group, self.parts)
        told = (self.drawing.digest, str(self.seed), str(epoch if self.drawing.each_epoch else 0))
        name = digest_of_order("draw", self.chips.name, *told, areas)
        return DrawnChips(self.chips, name, self.parts, partial(self._draw_rows, epoch, sides))

    def _draw_rows(self, epoch: int, sides: AreaSides | None) -> Iterator[DrawnRows]:
        """Yield the chips of an epoch in the order of the index, and of the parts in a run."""
        group = self.quota.group
        for part, times in self.draw(epoch, sides):
            again = np.repeat(np.arange(len(times)), times)
            run = part.run[again] * self.parts
            if self.parts > 1:
                run += group[part.stratum[again]]
            yield DrawnRows(part.row[again], part.x[again], part.y[again], run)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def draws_of(
    chips: Chips, chipper: Chipper, chosen: Selection, drawing: Draw | Mix, seed: int
) -> EpochDraws:
    """Return what draws the chips of epochs, for which the index is read.

    Args:
        chips: The chosen chips.
        chipper: It has the index, and finds items.
        chosen: Which chips are chosen.
        drawing: What is asked for.
        seed: The seed.

    Raises:
        UsageError: A column is absent, or there are not so many chips.
    """
    if not isinstance(drawing, Draw | Mix):
        raise UsageError(f"draw is a Draw or a Mix, not {drawing!r}.")
    rows = ChosenRows(chipper.rows, chosen, chipper.find_named_item)
    weigh = partial(drawing.weigher, rows)
    if isinstance(chips, StoredChips):
        name = digest_of_order("weights", chips.name, drawing.digest)
        weights: Weights = StoredWeights(chips, name, weigh, has_places=drawing.by == "place")
        return EpochDraws(drawing, seed, chips, weights)
    assert isinstance(chips, WantedChips)
    return EpochDraws(drawing, seed, chips, HeldWeights.of(chips, weigh()))


def hold_drawn(
    chips: WantedChips,
    drawn: Iterable[tuple[WeightsPart, NDArray[np.int64]]],
    part_of_stratum: NDArray[np.int64],
    parts: int,
) -> WantedChips:
    """Return the chips that an epoch draws from others in memory.

    Args:
        chips: The others. Their groups stay, also those without a chip.
        drawn: How often each comes.
        part_of_stratum: The part of the mix of each stratum.
        parts: The number of parts that are read side by side; each group comes once for each.
    """
    places, part_of = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    start = 0
    for own, times in drawn:
        again = np.repeat(np.arange(len(times)), times)
        places.append(start + again)
        part_of.append(part_of_stratum[own.stratum[again]])
        start += len(times)
    place, part = np.concatenate(places), np.concatenate(part_of)
    if parts > 1:  # in the order that they have in files
        run = np.cumsum(np.diff(chips.group, prepend=-1) != 0)
        order = np.lexsort((part, run[place]))
        place, part = place[order], part[order]
    group = chips.group[place].astype(np.int64) * parts + part * (parts > 1)
    return WantedChips(
        tuple(each for each in chips.groups for _ in range(parts)),
        np.repeat(chips.first_rows, parts),
        group, chips.x[place], chips.y[place], chips.row[place],
    )  # fmt: skip
