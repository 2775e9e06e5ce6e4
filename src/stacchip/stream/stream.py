"""`ChipStream`: many chips, in an order that decodes each block once, or shuffled."""

from __future__ import annotations

import logging
from copy import copy
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np

from stacchip.chipper.index_rows import find_position
from stacchip.chipstore import ChipStore
from stacchip.errors import StacchipError, UsageError
from stacchip.runtime.memory import MemoryPool
from stacchip.stream.explain import Explanation, explain, explain_store
from stacchip.stream.filling import Filling
from stacchip.stream.options import open_chosen, pixel_type, whole_number
from stacchip.stream.plan.course import Batching, Course
from stacchip.stream.plan.epoch_order import Order, require_order
from stacchip.stream.plan.segments import Segment
from stacchip.stream.plan.sequence import ChipSequence
from stacchip.stream.plan.shares import Share
from stacchip.stream.plan.wanted_chips import WantedChips
from stacchip.stream.planner import Cut, Planner
from stacchip.stream.read.filling_store import AreaFilling
from stacchip.stream.read.kept_reading import KeptReading
from stacchip.stream.read.loading import LoadedBlocks
from stacchip.stream.read.reading import Reading, VisitPlans
from stacchip.stream.report import Cause, StoreFilling, StreamReport
from stacchip.stream.shards import Shard
from stacchip.stream.state import Run, StreamState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.chipper import Chip
    from stacchip.chipper.index_rows import ChipKey
    from stacchip.draws import Draw, DrawReport, Mix
    from stacchip.errors import Errors
    from stacchip.stream.batch import Allocator, Apart, ChipBatch, Kinds
    from stacchip.stream.filling import BatchesOfKinds
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.course import CourseReading, PlannedBatch
    from stacchip.stream.plan.wanted_chips import Chips
    from stacchip.stream.read.open_items import Catalog
    from stacchip.stream.state import Mixed
    from stacchip.stream.survey import KindCount

    Rows = NDArray[np.int64]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_AHEAD_SHARE: Final = 1 / 4
_MOST_AHEAD_BYTES: Final = 256 << 20
_PLACES_AT_ONCE: Final = 1024
_AREAS_AT_ONCE: Final = 64


class ChipStream:
    """Delivers the chips of an index, reading and decoding ahead on all cores.

    Chips that share blocks are read together. Each block is decoded once if chips nest in blocks,
    and seldom more than once otherwise; `explain` says how often.

    A shuffle is a function of the chips, `seed`, `epoch` and `open_areas`, and of nothing else. It
    is cut into 64 lanes, of which each process of a training reads its part side by side. So ranks
    and workers share out one order whatever their number, and any number can go on with an epoch
    that others have begun (`state_dict`).

    Args:
        index: A `Chipper`, or anything that makes one: a table, a path or URL, an indexer.
        order: `"index"` follows the rows; `"blocks"` goes area by area and is the fastest;
            `"shuffle"` draws at random from many areas.
        seed: Seed of the shuffle.
        epoch: Number of the epoch. Each has a different shuffle; see `set_epoch`.
        open_areas: Number of areas of each kind of chips that a shuffle draws from at once, over
            all processes; it counts as the next smaller power of two. More areas mix better and
            take more memory. By default as many as `memory_bytes` hold, 64 to 256 if areas are not
            very large.
            With a store that is large enough for all chips, the default is `"all"`: the shuffle
            is one permutation of all chips.
        memory_bytes: Memory for decoded blocks, in each process: every worker of a DataLoader has
            its own. Batches come on top, and up to 200 MB of encoded blocks.
        shard: The part of the chips to deliver.
        errors: `"skip"` leaves out chips that cannot be cut, and keeps their number and the reasons
            in `report`. An epoch logs each reason once for an item (or an asset of it), and at its
            end the number of chips. A batch is smaller by the chips that it lacks; with
            `Shard(uneven="pad")` or `"drop"` others of it are repeated.
        dtype: Type of the pixels; by default the common type of a chip's bands.
        with_valid: Also deliver which pixels may be used.
        draw: Which of the chosen chips an epoch takes, and how often: a `stacchip.draws.Draw` or
            `Mix`. By default each comes once. It needs `seed`, and draws anew in each epoch.
        **options: Options of `Chipper`: `assets`, `resampling`, `mountpath`, `storage`, ...; and
            the filters of `stacchip.index.read_index`, which say which chips are wanted:
            `max_cloud`, `max_nodata`, `datetime`, `bbox`, `geometry`, `platform`, `item_id`,
            `chip_size`, `where`, `unmeasured`. Rows keep their numbers in the whole index.

    Raises:
        IndexFormatError: `index` is not an index.
        UsageError: An argument is not allowed.

    Example:
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> stream = ChipStream(NoStatsChipIndexer(item), order="shuffle", shard=Shard(0, 3))
        >>> len(stream)
        5
    """

    _apart: Apart | None = None

    def __init__(
        self,
        index: Any,
        *,
        order: Order = "blocks",
        seed: int = 0,
        epoch: int = 0,
        open_areas: int | Literal["all"] | None = None,
        memory_bytes: int = 2 << 30,
        shard: Shard | None = None,
        errors: Errors = "raise",
        dtype: Any = None,
        with_valid: bool = True,
        draw: Draw | Mix | None = None,
        **options: Any,
    ) -> None:
        if errors not in ("raise", "skip"):
            raise UsageError(f"errors is 'raise' or 'skip', not {errors!r}.")
        require_order(order)
        self.chipper, chosen = open_chosen(index, options)
        if not isinstance(self.chipper.store, ChipStore | None):
            raise UsageError(f"The store of a stream is a ChipStore, not {self.chipper.store!r}.")
        self.order = order
        self.seed = whole_number("seed", seed)
        self.memory_bytes = whole_number("memory_bytes", memory_bytes)
        self.errors = errors
        self.dtype = None if dtype is None else pixel_type(dtype)
        self.with_valid = with_valid
        self.shard = shard or Shard()
        self.report = StreamReport()
        self._planner = Planner(
            self.chipper,
            chosen,
            errors,
            order=order,
            seed=self.seed,
            open_areas=open_areas
            if open_areas in (None, "all")
            else whole_number("open_areas", open_areas),
            memory_bytes=self.memory_bytes,
            drawing=draw,
            store=self.store,
        )
        if not chosen.wants_all and not len(self._chips):
            _log.warning("The filters leave no chip of the %s.", f"{len(self.chipper):,}")
        self._pool: Allocator
        self._make_pools()
        self.set_epoch(epoch)

    # --- the chips and their order

    def __len__(self) -> int:
        """Return the number of the shard's chips in an epoch.

        Among several processes, it depends on the kinds of the chips, for which some items are
        opened.
        """
        if self.shard.world_size == self.shard.workers == 1:
            return self._planner.count()
        return sum(self.shard.size(count) for count in self.count_kinds().chips)

    @property
    def epoch(self) -> int:
        """The epoch whose chips come next."""
        return self._state.epoch

    @property
    def is_restored(self) -> bool:
        """True if a state was loaded, and the next iteration goes on from there."""
        return self._is_restored

    @property
    def open_areas(self) -> int | Literal["all"]:
        """Number of areas that a shuffle draws from at once; opens some items to find it."""
        return self._planner.open_areas(self._cut) or "all"

    @property
    def table(self) -> ChipTable:
        """The chips by the areas in which they share blocks; opens one item of each kind."""
        return self._planner.survey_chips(self._cut, self.epoch).table

    def rows(self) -> Rows:
        """Return the rows of the index in the order of this epoch, as if each were a batch.

        All of them are in memory; `chip_numbers` gives them one after another.
        """
        course = self._find_course(1)
        rows = np.empty(course.steps, np.int64)
        for number, share in enumerate(course.shares):
            steps = course.times(number, np.arange(len(share)))
            rows[steps] = share.sequence.table.rows(share.chips())
        return rows

    def rows_at(self, places: Sequence[int]) -> Rows:
        """Return the rows of some chips by their places among those chosen, as the index has them.

        A draw changes nothing here.

        Args:
            places: Places from 0, or from the end if negative.

        Raises:
            ChipOutOfRange: There is no such place.

        Example:
            >>> from stacchip.indexer import NoStatsChipIndexer
            >>> from pyarrow import compute
            >>> where = compute.field("chip_index_y") == 1
            >>> ChipStream(NoStatsChipIndexer(item), where=where).rows_at([0, -1]).tolist()
            [4, 7]
        """
        count = len(self._chips)
        found = [find_position(int(place), count) for place in places]
        return self._chips.rows_at(np.array(found, np.int64))

    def chip_numbers(self, size: int) -> Iterator[int]:
        """Yield the numbers in `table` of the chips of this epoch, in batches of a size."""
        for batch in self._find_course(size).read().batches():
            yield from (place.chip for place in batch.places)

    def places_in_order(self) -> Iterator[int]:
        """Yield the places, among those chosen, of this epoch's chips in their order.

        They are those that `rows_at` takes.
        """
        numbers = self.chip_numbers(1)
        while some := list(islice(numbers, _PLACES_AT_ONCE)):
            rows = self.table.rows(np.array(some, np.int64))
            yield from self._chips.places_of(rows).tolist()

    def rows_between(self, start: int, stop: int) -> Rows:
        """Return the rows of a part of this epoch's sequence, mixed among themselves.

        The parts of a sequence share few areas. Chips of all kinds are in one sequence.

        Args:
            start: Where the part begins.
            stop: Where it ends.
        """
        (sequence,) = self._planner.sequences(self._cut, self.epoch, "pad")
        ordering = self._planner.ordering(self._cut, self.epoch)
        chips = sequence.between(start, stop)[ordering.places(stop - start)]
        return sequence.table.rows(chips)

    def rows_in_parts(self, size: int, stop: int | None = None) -> Iterator[Rows]:
        """Yield `rows_between` of all parts of a size, one after another; the last may be smaller.

        Args:
            size: Chips of a part.
            stop: Where the last part ends; by default at the end of the sequence.
        """
        (sequence,) = self._planner.sequences(self._cut, self.epoch, "pad")
        ordering = self._planner.ordering(self._cut, self.epoch)
        stop = len(sequence) if stop is None else stop
        places = ordering.places(min(size, stop))
        for start in range(0, stop, size):
            count = min(size, stop - start)
            places = places if len(places) == count else ordering.places(count)
            chips = sequence.between(start, start + count)[places]
            yield sequence.table.rows(chips)

    def fill_store(self, on_chip: Callable[[], None] = lambda: None) -> StoreFilling:
        """Let the store keep all chosen chips that it lacks, area by area, before any epoch.

        Several processes can fill one store: each takes the areas that no other is filling. What is
        kept stays, so that it can be stopped at any time and run again.

        Args:
            on_chip: Called for each chip, also for one that the store had.

        Raises:
            UsageError: The stream has no store.
        """
        if self.store is None:
            raise UsageError("The stream has no store: give it one, ChipStream(..., store=...).")
        self._catalog.forget_failures()
        table, store = self.table, self.store
        store.use_for(self._chips.fingerprint)
        filling = self._area_filling(table, self._catalog, store)
        found = StoreFilling(len(table))
        for start in range(0, len(table.group), _AREAS_AT_ONCE):
            areas = range(start, min(start + _AREAS_AT_ONCE, len(table.group)))
            found = found.plus(filling.fill(areas, on_chip))
            if not store.is_writing:
                return replace(found, why_not_kept=store.why_not_kept)
        return found

    def explain(self) -> Explanation:
        """Return what this epoch will read: requests, bytes, blocks, memory, speed.

        Of a long epoch, it looks at the first chips, and multiplies. It opens their items. An item
        whose headers the index keeps is opened from the index, without a request: that a file is
        gone or has changed is noticed only when it is read. With `errors="skip"` it counts the
        chips of items that cannot be opened, and keeps the reason.

        Raises:
            StacchipError: An item cannot be opened, unless `errors="skip"`.
        """
        catalog = self._catalog
        catalog.forget_failures()
        waited_before = catalog.waited_s
        course = self._find_course(1)
        if self.store is not None and self._is_mixed:
            filling = self._area_filling(self.table, catalog, self.store)
            explained = explain_store(filling, course, self._ahead_bytes, self.errors)
            return replace(explained, opening_s=catalog.waited_s - waited_before)
        visits = self._planner.queue(course.read(), self.table)
        plans = VisitPlans(visits, self.table, catalog, store=self.store)
        explained = explain(plans, course.steps, self.memory_bytes, self._ahead_bytes, self.errors)
        return replace(explained, opening_s=catalog.waited_s - waited_before)

    def report_draw(self) -> DrawReport:
        """Return what the draw gives in this epoch: shares by class, repeats, blocks to decode.

        It opens the items of the first chips, as `explain` does.

        Raises:
            StacchipError: An item cannot be opened, unless `errors="skip"`.
            UsageError: The stream has no draw.
        """
        if self._planner.draws is None:
            raise UsageError("The stream has no draw to report: ChipStream(index, draw=Draw(...)).")
        own = self.explain()
        of_all = self.with_draw(None, order="blocks").explain()
        return self._planner.draws.report(
            self.epoch, self._planner.sides(self._cut), _blocks_a_chip(own), _blocks_a_chip(of_all)
        )

    @property
    def fingerprint(self) -> str:
        """A digest of the chips of this epoch, over all shards, in the order of the index."""
        return self._drawn.fingerprint

    def chips_by_kind(self) -> dict[tuple[str, int], int]:
        """Return the number of chips, over all shards, of each platform and chip size."""
        return self._drawn.by_kind

    def count_different(self) -> int:
        """Return the number of different chips, over all shards, in this epoch.

        It is smaller than the number of chips if a draw takes some of them again.
        """
        return self._planner.count_different(self._cut, self.epoch)

    def count_kinds(self, mixed: Mixed = "group") -> KindCount:
        """Return how many chips, over all shards, are of each kind: bands, chip size and type.

        Chips of one kind share batches, whatever their platforms. Up to 64 items are opened, and
        one of each platform and chip size, if that needs no remote store.

        Args:
            mixed: As in `batches`.
        """
        return self._planner.count_kinds(self._cut, mixed, self.epoch)

    def count_batches(self, size: int, *, mixed: Mixed = "group", drop_last: bool = False) -> int:
        """Return how many batches `batches` yields in a whole epoch, for the same arguments.

        Exact, unless items differ in kind and nothing says so beforehand (`count_kinds`), or
        `errors="skip"` leaves all chips of a batch out and `uneven` is `"exact"`.
        """
        batching = Batching(size, drop_last)
        counts = self.count_kinds(mixed).chips
        return sum(batching.count(self.shard.size(count)) for count in counts)

    def with_shard(self, shard: Shard) -> ChipStream:
        """Return a stream that delivers another shard of the same chips, with the same memory."""
        other = copy(self)
        other.shard = shard
        other._pool, other._block_pool = self._pool, self._block_pool  # noqa: SLF001 - of its kind
        other.set_epoch(self.epoch)
        return other

    def with_draw(
        self, draw: Draw | Mix | None, *, order: Order | None = None, seed: int | None = None
    ) -> ChipStream:
        """Return a stream of the same chosen chips, of which an epoch takes others.

        Args:
            draw: As for `ChipStream`; None for each once.
            order: As for `ChipStream`; by default that of this stream.
            seed: As for `ChipStream`; by default that of this stream.

        Raises:
            UsageError: The chips cannot be drawn so.
        """
        other = copy(self)
        other.order = self.order if order is None else order
        other.seed = self.seed if seed is None else whole_number("seed", seed)
        require_order(other.order)
        planner = self._planner.with_draw(draw, other.order, other.seed)
        other._planner = planner  # noqa: SLF001 - of its kind
        other.report = StreamReport()
        other.set_epoch(self.epoch)
        return other

    def use_memory(self, pool: Allocator) -> None:
        """Allocate further batches from this memory."""
        self._pool = pool

    def cut_apart(self, apart: Apart | None) -> None:
        """Cut an asset into an array of its own, `ChipBatch.apart`, as a label wants it.

        Raises:
            UsageError: The stream's `assets` lack it.
        """
        chosen = self.chipper.choice.assets
        if apart is not None and chosen is not None and apart.asset not in chosen:
            raise UsageError(
                f"The label's asset {apart.asset!r} is not among the assets "
                f"{', '.join(chosen)}: name it in assets=[...]."
            )
        self._apart = apart

    # --- chips

    def __iter__(self) -> Iterator[Chip]:
        """Yield the chips one by one."""
        for batch in self.batches(1):
            yield batch[0]

    def batches(
        self, size: int, *, mixed: Mixed = "group", drop_last: bool = False
    ) -> Iterator[ChipBatch]:
        """Yield the chips in batches.

        Args:
            size: Chips in a batch.
            mixed: What to do with chips that differ in bands, size or type. `"group"` puts each
                kind into batches of its own, which come evenly among those of the others; the last
                of a kind may be smaller. `"pad"` gives all chips all bands and the largest size,
                filled with 0 and not valid.
            drop_last: Leave out batches that are smaller for lack of chips of their kind.

        Raises:
            StacchipError: A chip cannot be cut, unless `errors="skip"`.
            AssetNotFound: No item has the asset that is cut apart.
        """
        if size < 1:
            raise UsageError(f"A batch holds at least one chip, not {size}.")
        if mixed not in ("group", "pad"):
            raise UsageError(f"mixed is 'group' or 'pad', not {mixed!r}.")
        self._catalog.forget_failures()
        common = None
        if mixed == "pad":
            common = self._planner.survey.find_common_kinds(*self._cut)
        return self._give_batches(self._make_run(Batching(size, drop_last), mixed), common)

    def take(self, rows: Sequence[int]) -> list[ChipBatch]:
        """Return the chips of some rows of the index, read together: a batch of each kind.

        Raises:
            StacchipError: A chip cannot be cut, unless `errors="skip"`.
        """
        self._catalog.forget_failures()
        if not len(rows):
            return []
        keys = [self.chipper.rows.key(int(row)) for row in rows]
        chips = WantedChips.of_keys(keys, [int(row) for row in rows])
        shapes = self._planner.survey.shapes_of(group.name for group in chips.groups)
        of_group = np.arange(len(chips.groups))
        table = chips.tabulate(of_group, shapes, by_row=True)
        sequence = ChipSequence(table, tuple(range(len(shapes))))
        course = Course.of([Share(sequence, (Segment(0, len(rows), 0),))], Batching(len(rows)))
        reading = course.read()
        own = self._open_reading(reading, table, self._catalog.of(chips), is_mixed=True)
        filling = self._open_filling(own, table, Batching(len(rows)), None)
        try:
            for batch in reading.batches():
                own.expect(batch.places)
                for number, place in enumerate(batch.places):
                    filling.add(batch.time + number, place)
            return filling.finish(filling.take(), 0, 0)
        finally:
            own.close()

    def _give_batches(self, run: Run, common: Kinds | None) -> Iterator[ChipBatch]:
        state = self._begin(run)
        course = self._planner.go_on(self._cut, self.shard, state)
        reading = course.read(state.runs[-1].steps[self.shard.worker])
        own = self._open_reading(reading, self.table, self._catalog, is_mixed=self._is_mixed)
        filling = self._open_filling(own, self.table, course.batching, common)
        is_equal = self.shard.uneven != "exact"
        filled = _fill(reading, own, filling)
        try:
            if self._apart is not None and self.errors == "skip":
                self._planner.survey.require_asset(self._apart.asset)
            for planned, taken in _one_ahead(filled) if own.cuts_ahead else filled:
                size = len(planned.places) if is_equal else 0
                batches = filling.finish(taken, planned.kind, size)
                for later, batch in enumerate(batches, 1 - len(batches)):
                    # if it comes as several, the last one ends the step
                    step = planned.step + (later == 0)
                    self._state = self._at_step(state, step)
                    self._count(own, len(batch))
                    yield replace(batch, step=step)
                self._state = self._at_step(state, planned.step + 1)
            self._count(own, 0)
        finally:
            own.close()
            self._count(own, 0)
            self._sum_up_skipped()

    def _leave_out(self, key: ChipKey, row: int, error: StacchipError) -> None:
        """Skip a chip that cannot be cut, or raise; each cause is logged once in a pass."""
        if self.errors == "raise":
            raise error
        cause = Cause.of(error, key.item_id)
        if cause not in self.report.causes:
            _log.warning("Chips of %s are skipped: %s", cause.place, error)
        self.report.skip(key.chipid, row, error, cause)

    def _sum_up_skipped(self) -> None:
        if self.report.skipped:
            _log.warning("%s", self.report.describe_skipped())

    def _count(self, reading: Reading | KeptReading, delivered: int) -> None:
        self.report.delivered += delivered
        self.report.decoded_blocks = reading.decoded_blocks
        self.report.decoded_bytes = reading.decoded_bytes
        self.report.peak_bytes = reading.peak_bytes
        self.report.from_store = reading.from_store
        self.report.kept = reading.kept
        self.report.why_not_kept = None if self.store is None else self.store.why_not_kept

    # --- the place in the epoch

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: the next iteration delivers all its chips."""
        self._state = StreamState(whole_number("epoch", epoch))
        self._is_restored = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state: the place after the batches delivered, whatever was read ahead.

        It is that of all ranks and workers, if each has delivered as many batches as this one. It
        can be loaded by any number of others. If all settings are the same, each goes on with its
        own next batch; otherwise they share out what is left. A process that skipped chips has
        delivered them.
        """
        return self._state.to_dict(self._settings(self.epoch))

    def state_after(
        self,
        steps: Mapping[int, int],
        size: int,
        *,
        mixed: Mixed = "group",
        drop_last: bool = False,
    ) -> dict[str, Any]:
        """Return the state when the workers of every rank have delivered so many batches.

        Args:
            steps: Number of batches of the workers (`ChipBatch.step`); those that are absent have
                delivered none since the stream's own state.
            size: As in `batches`.
            mixed: As in `batches`.
            drop_last: As in `batches`.
        """
        run = self._make_run(Batching(size, drop_last), mixed)
        state = self._state.go_on(run)
        known = enumerate(state.runs[-1].steps)
        return state.at([steps.get(*each) for each in known]).to_dict(self._settings(state.epoch))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from another stream's state: the next iteration delivers the remaining chips.

        To compare the streams, it opens some items, as `table` does.

        Raises:
            StacchipError: One of those cannot be opened, unless `errors="skip"`.
            UsageError: That stream had other settings, or the state is of an earlier version.
        """
        self._state = StreamState.from_dict(state, self._settings)
        self._is_restored = True

    @property
    def is_over(self) -> bool:
        """True if the state that was loaded leaves nothing of its epoch to any process."""
        return self._planner.is_over(self._cut, self._state)

    def _begin(self, run: Run) -> StreamState:
        """Return the state to begin with: the one loaded, or the beginning of the epoch."""
        loaded = self._state if self._is_restored else StreamState(self.epoch)
        if loaded.runs and loaded.runs[-1].mixed != run.mixed:
            raise UsageError(
                f"The state is of batches with mixed={loaded.runs[-1].mixed!r}, and here it is "
                f"{run.mixed!r}, which has another order. Iterate as the state was saved."
            )
        self._is_restored = False
        self.report = StreamReport()
        self._state = loaded.go_on(run)
        return self._state

    def _make_run(self, batching: Batching, mixed: Mixed) -> Run:
        shard = self.shard
        return Run(
            shard.world_size, shard.workers, shard.uneven, batching.size, mixed,
            batching.drop_last, (0,) * shard.workers,
        )  # fmt: skip

    def _at_step(self, state: StreamState, step: int) -> StreamState:
        return state.at([step] * self.shard.workers)

    def _settings(self, epoch: int) -> dict[str, Any]:
        choice = self.chipper.choice
        methods = choice.resampling
        return {
            **self._planner.settings(self._cut, epoch),
            "assets": None if choice.assets is None else list(choice.assets),
            "asset_blacklist": sorted(choice.blacklist),
            "harmonize": choice.harmonize,
            "resampling": methods if isinstance(methods, str) else dict(methods),
        }

    # --- reading

    @property
    def _ahead_bytes(self) -> int:
        return int(min(self.memory_bytes * _AHEAD_SHARE, _MOST_AHEAD_BYTES))

    @property
    def _cut(self) -> Cut:
        return Cut(self.dtype, self._apart)

    @property
    def _chips(self) -> Chips:
        return self._planner.chips

    @property
    def _drawn(self) -> Chips:
        return self._planner.chips_of(self._cut, self.epoch)

    @property
    def _catalog(self) -> Catalog:
        return self._planner.catalog(self._cut, self.epoch)

    def _find_course(self, size: int) -> Course:
        """Return the batches of this process in the whole epoch."""
        return self._planner.find_course(self._cut, self.shard, Batching(size), self.epoch)

    @property
    def store(self) -> ChipStore | None:
        """The store that keeps chips; None for none."""
        store = self.chipper.store
        return store if isinstance(store, ChipStore) else None

    def _open_reading(
        self, reading: CourseReading, table: ChipTable, catalog: Catalog, *, is_mixed: bool
    ) -> Reading | KeptReading:
        """Return what cuts the chips of a pass.

        Args:
            reading: The pass.
            table: The chips.
            catalog: Opens their items.
            is_mixed: True if neighbours do not come together.
        """
        if self.store is not None:
            self.store.use_for(self._chips.fingerprint)
        if self.store is not None and is_mixed:
            return KeptReading(self._area_filling(table, catalog, self.store), self.chipper.edge)
        plans = VisitPlans(self._planner.queue(reading, table), table, catalog, store=self.store)
        return Reading(
            plans,
            LoadedBlocks(self._block_pool),
            memory_bytes=self.memory_bytes,
            ahead_bytes=self._ahead_bytes,
            edge=self.chipper.edge,
            store=self.store,
        )

    @property
    def _is_mixed(self) -> bool:
        """True if an epoch is one permutation of all chips."""
        return self.order == "shuffle" and self._planner.open_areas(self._cut) is None

    def _area_filling(self, table: ChipTable, catalog: Catalog, store: ChipStore) -> AreaFilling:
        return AreaFilling(
            store, table, catalog, self._block_pool, self.memory_bytes, self._ahead_bytes
        )

    def _open_filling(
        self,
        reading: Reading | KeptReading,
        table: ChipTable,
        batching: Batching,
        common: Kinds | None,
    ) -> Filling:
        return Filling(
            reading,
            table,
            self.chipper.rows,
            self._pool,
            size=batching.size,
            common=common,
            dtype=self.dtype,
            apart=self._apart,
            with_valid=self.with_valid,
            may_skip=self.errors == "skip",
            on_error=self._leave_out,
        )

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "report": StreamReport()}
        del state["_pool"], state["_block_pool"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_planner" in state:
            self.__dict__.update(state)
            self._make_pools()
            return
        if state["_is_restored"]:
            StreamState.from_dict({"epoch": state["_state"].epoch}, lambda _: {})  # refuses it
        # earlier versions ordered chips otherwise: only what was asked for goes on
        names = ("order", "seed", "memory_bytes", "errors", "dtype", "with_valid", "shard")
        options = {name: state[name] for name in names}
        self.__init__(state["chipper"], epoch=state["_state"].epoch, **options)  # type: ignore[misc]
        self.cut_apart(state.get("_apart"))

    def _make_pools(self) -> None:
        self._pool = MemoryPool()
        self._block_pool = MemoryPool(self.memory_bytes * 9 // 8)  # sizes are rounded up


def _blocks_a_chip(explained: Explanation) -> float:
    return explained.blocks / explained.chips if explained.chips else 0.0


def _fill(
    reading: CourseReading, own: Reading | KeptReading, filling: Filling
) -> Iterator[tuple[PlannedBatch, BatchesOfKinds]]:
    """Yield the batches of a pass, whose chips may still be on their way."""
    for planned in reading.batches():
        own.expect(planned.places)
        for number, place in enumerate(planned.places):
            filling.add(planned.time + number, place)
        own.begin()
        yield planned, filling.take()


def _one_ahead(values: Iterator[T]) -> Iterator[T]:
    """Yield values, each when the next one is there; an error comes after those before it."""
    held: list[T] = []
    error: StacchipError | None = None
    try:
        for value in values:
            yield from held
            held = [value]
    except StacchipError as caught:
        error = caught
    yield from held
    if error is not None:
        raise error
