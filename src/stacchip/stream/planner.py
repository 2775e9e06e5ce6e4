"""The planner of a stream: which chips come, in what order, and when, for any of its processes."""

from __future__ import annotations

from copy import copy
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from stacchip.chipper.stored_rows import StoredRows
from stacchip.draws import Mix
from stacchip.stream.plan.by_area import AreaSides
from stacchip.stream.plan.course import Batching, Course, what_is_left
from stacchip.stream.plan.epoch_draw import draws_of
from stacchip.stream.plan.epoch_order import Ordering, find_open_areas
from stacchip.stream.plan.shares import UNBRAIDED, Braiding, find_shares
from stacchip.stream.plan.stored_chips import StoredChips
from stacchip.stream.plan.visits import VisitQueue, within_memory
from stacchip.stream.plan.wanted_chips import WantedChips
from stacchip.stream.read.open_items import Catalog
from stacchip.stream.shards import Shard
from stacchip.stream.survey import KindCount, Survey, Surveyed, classes_digest

if TYPE_CHECKING:
    from stacchip.chipper import Chipper
    from stacchip.chipstore import ChipStore
    from stacchip.draws import Draw
    from stacchip.errors import Errors
    from stacchip.index import Selection
    from stacchip.stream.batch import Apart
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.course import CourseReading
    from stacchip.stream.plan.epoch_order import Order
    from stacchip.stream.plan.sequence import ChipSequence
    from stacchip.stream.plan.shares import Left
    from stacchip.stream.plan.visits import Visit
    from stacchip.stream.plan.wanted_chips import Chips
    from stacchip.stream.state import Mixed, Run, StreamState
    from stacchip.stream.survey import Classes

__all__ = ["Cut", "Planner"]

_KEPT_SHARE: Final = 0.75  # of the bytes of pixels (measured: 0.4 to 0.7, of noise 1)
_LARGE: Final = 1 << 17  # chips; fewer take 5 MB in a worker


class Cut(NamedTuple):
    """How chips are cut, which decides of which kinds they are.

    Attributes:
        dtype: Type of the pixels; None for the common type of a chip's bands.
        apart: The asset that is cut into an array of its own, if one is.
    """

    dtype: np.dtype[Any] | None
    apart: Apart | None


class Planner:
    """Plans the epochs of a stream.

    It opens some items to find out how chips lie in blocks, once. A copy in another process knows
    what was found. If the chips are in order files, it maps these again.

    Args:
        chipper: Opens items.
        chosen: Which of its rows are wanted.
        errors: As for `ChipStream`.
        order: As for `ChipStream`.
        seed: As for `ChipStream`.
        open_areas: As for `ChipStream`.
        memory_bytes: As for `ChipStream`.
        drawing: Which of the chosen chips an epoch takes; None for each once.
        store: Keeps chips that were cut; None for none.

    Attributes:
        chips: The chosen chips.
        survey: What some of their items tell of all.
        draws: Draws the chips of epochs; None if each has all of them.
    """

    def __init__(
        self,
        chipper: Chipper,
        chosen: Selection,
        errors: Errors,
        *,
        order: Order,
        seed: int,
        open_areas: int | Literal["all"] | None,
        memory_bytes: int,
        drawing: Draw | Mix | None,
        store: ChipStore | None = None,
    ) -> None:
        self._store = store
        self._chipper = chipper
        self._chosen = chosen
        self.chips = _find_chips(chipper, chosen)
        self._catalog = Catalog(chipper, self.chips)
        self.survey = Survey(self.chips, self._catalog, errors)
        self.draws = (
            None if drawing is None else draws_of(self.chips, chipper, chosen, drawing, seed)
        )
        self._order = order
        self._seed = seed
        self._open_areas = open_areas
        self._memory_bytes = memory_bytes
        self._classes: dict[Cut, Classes] = {}
        self._surveyed: dict[tuple[Cut, int], Surveyed] = {}
        self._drawn: dict[tuple[Cut, int], Chips] = {}

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.chips, StoredChips) or self.draws is not None:
            return {**self.__dict__, "_surveyed": {}, "_drawn": {}}
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "draws" not in state:  # of an earlier version, which had no draws
            self.draws, self._drawn, self._surveyed = None, {}, {}
            self._catalog = state["catalog"]
        self.__dict__.setdefault("_store", None)

    # -- the chips of an epoch

    def count(self) -> int:
        """Return the number of chips of an epoch."""
        return len(self.chips) if self.draws is None else len(self.draws)

    def count_different(self, cut: Cut, epoch: int) -> int:
        """Return the number of different chips of an epoch."""
        if self.draws is None or self.draws.quota.is_capped:
            return self.count()
        return int(self.draws.tally(epoch, self.sides(cut)).different.sum())

    def chips_of(self, cut: Cut, epoch: int) -> Chips:
        """Return the chips of an epoch."""
        if self.draws is None:
            return self.chips
        if (cut, epoch) not in self._drawn:
            sides = self.sides(cut)
            areas = "" if sides is None else self._told_of_areas(cut)
            self._drawn.clear()  # one epoch is enough to hold
            self._drawn[cut, epoch] = self.draws.chips_of(epoch, sides, areas)
        return self._drawn[cut, epoch]

    def catalog(self, cut: Cut, epoch: int) -> Catalog:
        """Return the items of the chips of an epoch."""
        return self._catalog if self._parts == 1 else self._catalog.of(self.chips_of(cut, epoch))

    def sides(self, cut: Cut) -> AreaSides | None:
        """Return what tells the areas of chips, if they are drawn by area."""
        if self.draws is None or self.draws.drawing.by != "area":
            return None
        classes = self._classify(cut)
        shapes = self.survey.shapes_of(classes.names)
        return AreaSides(self.chips.groups, classes.of_group, shapes)

    def _told_of_areas(self, cut: Cut) -> str:
        classes = self._classify(cut)
        return classes_digest(classes, self.survey.shapes_of(classes.names))

    def with_draw(self, drawing: Draw | Mix | None, order: Order, seed: int) -> Planner:
        """Return the planner of a stream of the same chips that draws and orders them otherwise."""
        draws = None
        if drawing is not None:
            draws = draws_of(self.chips, self._chipper, self._chosen, drawing, seed)
        other = copy(self)
        own = {"draws": draws, "_order": order, "_seed": seed}
        other.__dict__.update({**own, "_surveyed": {}, "_drawn": {}})
        return other

    @property
    def _parts(self) -> int:
        return 1 if self.draws is None else self.draws.parts

    @property
    def _braiding(self) -> Braiding:
        mix = None if self.draws is None else self.draws.drawing
        if not isinstance(mix, Mix) or self._parts == 1:
            return UNBRAIDED
        strands = self._parts if mix.batches == "stratified" else 1
        shares = tuple(mix.shares.tolist())
        return Braiding(strands, self._parts, shares, mix.stop == "all_once")

    # -- the chips by kinds and areas

    def survey_chips(self, cut: Cut, epoch: int) -> Surveyed:
        """Return the chips of an epoch by classes and areas."""
        key = (cut, 0 if self.draws is None else epoch)
        if key not in self._surveyed:
            classes = self._classify(cut).in_parts(self._parts)
            shapes = self.survey.shapes_of(classes.names)
            chips = self.chips_of(cut, epoch)
            table = chips.tabulate(classes.of_group, shapes, by_row=self._order == "index")
            if self.draws is not None:
                self._surveyed.clear()
            self._surveyed[key] = Surveyed(table, classes)
        return self._surveyed[key]

    def _classify(self, cut: Cut) -> Classes:
        if cut not in self._classes:
            self._classes[cut] = self.survey.classify(*cut)
        return self._classes[cut]

    def count_kinds(self, cut: Cut, mixed: Mixed, epoch: int) -> KindCount:
        """Return how many chips of an epoch are of each kind."""
        if mixed == "pad" and self._braiding.strands == self._parts:
            return KindCount((self.count(),), is_exact=True)
        classes = self._classify(cut).in_parts(self._parts)
        kinds = self._join_kinds(classes, mixed)
        counts = classes._replace(kinds=kinds).chips_by_kind(self.chips_of(cut, epoch))
        strands = self._braiding.strands
        joined = tuple(sum(counts[at : at + strands]) for at in range(0, len(counts), strands))
        return KindCount(joined, classes.are_known or mixed == "pad")

    def _join_kinds(self, classes: Classes, mixed: Mixed) -> tuple[tuple[int, ...], ...]:
        """Return the classes of each sequence: all of a part if batches pad, else of a kind."""
        kinds, parts = classes.kinds, self._parts
        if mixed == "group" or not kinds:
            return kinds
        return tuple(tuple(sorted(chain(*kinds[part::parts]))) for part in range(parts))

    def open_areas(self, cut: Cut) -> int | None:
        """Return how many areas a shuffle draws from at once; None for all."""
        if self._open_areas == "all":
            return None
        if self._open_areas is not None:
            return self._open_areas
        if self._store is not None and self._kept_bytes(cut) <= self._store.limit_bytes:
            return None
        classes = self._classify(cut).in_parts(self._parts)
        shapes = self.survey.shapes_of(classes.names)
        return find_open_areas(shapes, classes.kinds, self._memory_bytes)

    def _kept_bytes(self, cut: Cut) -> float:
        """Estimate the bytes that the chosen chips take in a store.

        It may not depend on what the store holds: so neither does the order of an epoch.
        """
        classes = self._classify(cut)
        counts = np.bincount(classes.of_group, self.chips.counts, len(classes.names))
        shapes = self.survey.shapes_of(classes.names)
        sizes = [
            shape.size_bytes * size**2 / (shape.height * shape.width)
            for shape, (_, size) in zip(shapes, classes.names, strict=True)
        ]
        return float(counts @ np.array(sizes)) * _KEPT_SHARE

    def settings(self, cut: Cut, epoch: int) -> dict[str, Any]:
        """Return what decides the order of an epoch, as plain values."""
        braiding = self._braiding
        return {
            "order": self._order,
            "seed": self._seed,
            "open_areas": self.open_areas(cut) or "all",
            "chips": self.chips_of(cut, epoch).fingerprint,
            "areas": self.survey_chips(cut, epoch).fingerprint,
            "mix": None if braiding is UNBRAIDED else [braiding.strands, list(braiding.shares)],
        }

    # -- an epoch

    def ordering(self, cut: Cut, epoch: int) -> Ordering:
        """Return how an epoch is ordered."""
        open_areas = self.open_areas(cut) if self._order == "shuffle" else 1
        return Ordering(self._order, self._seed, epoch, open_areas)

    def sequences(self, cut: Cut, epoch: int, mixed: Mixed) -> tuple[ChipSequence, ...]:
        """Return the sequence of each kind in an epoch."""
        surveyed = self.survey_chips(cut, epoch)
        kinds = self._join_kinds(surveyed.classes, mixed)
        return self.ordering(cut, epoch).sequences(surveyed.table, kinds)

    def find_course(self, cut: Cut, shard: Shard, batching: Batching, epoch: int) -> Course:
        """Return the batches of a process in a whole epoch, each of one kind."""
        sequences = self.sequences(cut, epoch, "group")
        left = self.ordering(cut, epoch).lanes(sequences)
        shares = find_shares(sequences, left, shard, self._braiding)
        return Course.of(shares, batching, shard.uneven, self._braiding)

    def go_on(self, cut: Cut, shard: Shard, state: StreamState) -> Course:
        """Return the batches of a process in the last run of a state: what those before left."""
        run = state.runs[-1]
        sequences = self.sequences(cut, state.epoch, run.mixed)
        left = self._left_after(cut, state, state.runs[:-1])
        shares = find_shares(sequences, left, shard, self._braiding)
        batching = Batching(run.size, run.drop_last)
        return Course.of(shares, batching, shard.uneven, self._braiding)

    def is_over(self, cut: Cut, state: StreamState) -> bool:
        """Return True if a state leaves nothing of its epoch to any process."""
        return not any(map(len, chain(*self._left_after(cut, state, state.runs))))

    def _left_after(self, cut: Cut, state: StreamState, runs: tuple[Run, ...]) -> Left:
        """Return what is left of an epoch after some runs of a state."""
        mixed: Mixed = state.runs[-1].mixed if state.runs else "group"
        left = self.ordering(cut, state.epoch).lanes(self.sequences(cut, state.epoch, mixed))
        for run in runs:
            shards = Shard(0, run.ranks, 0, run.workers, run.uneven).others()
            steps = [run.steps[shard.worker] for shard in shards]
            batching = Batching(run.size, run.drop_last)
            sequences = self.sequences(cut, state.epoch, run.mixed)
            left = what_is_left(sequences, left, shards, batching, steps, braiding=self._braiding)
        return left

    def queue(self, reading: CourseReading, table: ChipTable) -> VisitQueue:
        """Return the visits of a pass, such that their blocks fit into memory."""

        def size_of(visit: Visit) -> int:
            is_part = self._order == "shuffle" and not table.by_row
            return table.visit_bytes(visit, is_part=is_part)

        return VisitQueue(within_memory(reading.visits(), size_of, self._memory_bytes))


def _find_chips(chipper: Chipper, chosen: Selection) -> Chips:
    """Return the chosen chips: those of a large index on disk lie in order files."""
    rows = chipper.rows
    if isinstance(rows, StoredRows) and len(rows) > _LARGE:
        return StoredChips(rows, chosen)
    return WantedChips.of(rows, chosen, chipper.find_named_item)
