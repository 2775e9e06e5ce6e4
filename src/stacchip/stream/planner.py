"""The planner of a stream: which chips come, in what order, and when, for any of its processes."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacchip.chipper.stored_rows import StoredRows
from stacchip.stream.plan.course import Batching, Course, what_is_left
from stacchip.stream.plan.epoch_order import Ordering, find_open_areas
from stacchip.stream.plan.shares import find_shares
from stacchip.stream.plan.stored_chips import StoredChips
from stacchip.stream.plan.visits import VisitQueue, within_memory
from stacchip.stream.plan.wanted_chips import WantedChips
from stacchip.stream.read.open_items import Catalog
from stacchip.stream.shards import Shard
from stacchip.stream.survey import KindCount, Survey, Surveyed

if TYPE_CHECKING:
    import numpy as np

    from stacchip.chipper import Chipper
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
        open_areas: As for `ChipStream`; None to open as many as `memory_bytes` hold.
        memory_bytes: As for `ChipStream`.

    Attributes:
        chips: The chosen chips.
        catalog: Their items.
        survey: What some of the items tell of all.
    """

    def __init__(
        self,
        chipper: Chipper,
        chosen: Selection,
        errors: Errors,
        *,
        order: Order,
        seed: int,
        open_areas: int | None,
        memory_bytes: int,
    ) -> None:
        self.chips = _find_chips(chipper, chosen)
        self.catalog = Catalog(chipper, self.chips)
        self.survey = Survey(self.chips, self.catalog, errors)
        self._order = order
        self._seed = seed
        self._open_areas = open_areas
        self._memory_bytes = memory_bytes
        self._classes: dict[Cut, Classes] = {}
        self._surveyed: dict[Cut, Surveyed] = {}

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.chips, StoredChips):
            return {**self.__dict__, "_surveyed": {}}
        return self.__dict__

    # -- the chips by kinds and areas

    def survey_chips(self, cut: Cut) -> Surveyed:
        """Return the chips by classes and areas."""
        if cut not in self._surveyed:
            classes = self._classify(cut)
            shapes = self.survey.shapes_of(classes.names)
            table = self.chips.tabulate(classes.of_group, shapes, by_row=self._order == "index")
            self._surveyed[cut] = Surveyed(table, classes)
        return self._surveyed[cut]

    def _classify(self, cut: Cut) -> Classes:
        if cut not in self._classes:
            self._classes[cut] = self.survey.classify(*cut)
        return self._classes[cut]

    def count_kinds(self, cut: Cut, mixed: Mixed) -> KindCount:
        """Return how many chips are of each kind."""
        if mixed == "pad":
            return KindCount((len(self.chips),), is_exact=True)
        classes = self._classify(cut)
        return KindCount(classes.chips_by_kind(self.chips), classes.are_known)

    def open_areas(self, cut: Cut) -> int:
        """Return how many areas a shuffle draws from at once."""
        if self._open_areas is not None:
            return self._open_areas
        surveyed = self.survey_chips(cut)
        return find_open_areas(surveyed.table, surveyed.classes.kinds, self._memory_bytes)

    def settings(self, cut: Cut) -> dict[str, Any]:
        """Return what decides the order of an epoch, as plain values."""
        return {
            "order": self._order,
            "seed": self._seed,
            "open_areas": self.open_areas(cut),
            "chips": self.chips.fingerprint,
            "areas": self.survey_chips(cut).fingerprint,
        }

    # -- an epoch

    def ordering(self, cut: Cut, epoch: int) -> Ordering:
        """Return how an epoch is ordered."""
        open_areas = self.open_areas(cut) if self._order == "shuffle" else 1
        return Ordering(self._order, self._seed, epoch, open_areas)

    def sequences(self, cut: Cut, epoch: int, mixed: Mixed) -> tuple[ChipSequence, ...]:
        """Return the sequence of each kind in an epoch."""
        surveyed = self.survey_chips(cut)
        kinds = surveyed.classes.kinds
        if mixed == "pad" and kinds:
            kinds = (tuple(sorted(chain(*kinds))),)
        return self.ordering(cut, epoch).sequences(surveyed.table, kinds)

    def find_course(self, cut: Cut, shard: Shard, batching: Batching, epoch: int) -> Course:
        """Return the batches of a process in a whole epoch, each of one kind."""
        sequences = self.sequences(cut, epoch, "group")
        left = self.ordering(cut, epoch).lanes(sequences)
        return Course.of(find_shares(sequences, left, shard), batching, shard.uneven)

    def go_on(self, cut: Cut, shard: Shard, state: StreamState) -> Course:
        """Return the batches of a process in the last run of a state: what those before left."""
        run = state.runs[-1]
        sequences = self.sequences(cut, state.epoch, run.mixed)
        shares = find_shares(sequences, self._left_after(cut, state, state.runs[:-1]), shard)
        return Course.of(shares, Batching(run.size, run.drop_last), shard.uneven)

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
            left = what_is_left(sequences, left, shards, batching, steps)
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
