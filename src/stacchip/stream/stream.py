"""`ChipStream`: many chips, in an order that decodes each block once, or shuffled."""

from __future__ import annotations

import logging
from copy import copy
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from stacchip.chipper import Chipper
from stacchip.errors import UsageError
from stacchip.runtime.memory import MemoryPool
from stacchip.stream.explain import Explanation, explain
from stacchip.stream.filling import Filling
from stacchip.stream.plan.epoch_order import Order, Ordering
from stacchip.stream.plan.visits import Visits, find_visits
from stacchip.stream.plan.wanted_chips import WantedChips
from stacchip.stream.read.loading import LoadedBlocks
from stacchip.stream.read.open_items import Catalog
from stacchip.stream.read.reading import Reading, VisitPlans
from stacchip.stream.report import Cause, StreamReport
from stacchip.stream.shards import Shard
from stacchip.stream.state import StreamState
from stacchip.stream.survey import KindCount, Survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stacchip.chipper import Chip
    from stacchip.errors import Errors, StacchipError
    from stacchip.stream.batch import Allocator, Apart, ChipBatch, Kinds
    from stacchip.stream.plan.areas import Areas

    Rows = NDArray[np.int64]

_log = logging.getLogger(__name__)

_AHEAD_SHARE: Final = 1 / 4
_MOST_AHEAD_BYTES: Final = 256 << 20


class ChipStream:
    """Delivers the chips of an index, reading and decoding ahead on all cores.

    Chips that share blocks are read together. Each block is decoded once if chips nest in blocks,
    and seldom more than once otherwise; `explain` says how often. The sequence is a function of the
    index, `order`, `seed`, `epoch`, `shard`, `open_areas` and `memory_bytes`, and of nothing else.

    Args:
        index: A `Chipper`, or anything that makes one: a table, a path or URL, an indexer.
        order: `"index"` follows the rows; `"blocks"` goes area by area and is the fastest;
            `"shuffle"` draws at random from many areas.
        seed: Seed of the shuffle.
        epoch: Number of the epoch. Each has a different shuffle; see `set_epoch`.
        open_areas: Number of areas that a shuffle draws from at once, if memory allows. More areas
            mix better, and the first batch waits for half of them.
        memory_bytes: Memory for decoded blocks, in each process: every worker of a DataLoader has
            its own. Batches come on top, and up to 200 MB of encoded blocks.
        shard: The part of the chips to deliver.
        errors: `"skip"` leaves out chips that cannot be cut, and keeps their number and the reasons
            in `report`. An epoch logs each reason once for an item (or an asset of it), and at its
            end the number of chips.
        dtype: Type of the pixels; by default the common type of a chip's bands.
        with_valid: Also deliver which pixels may be used.
        **options: Options of `Chipper`: `assets`, `resampling`, `mountpath`, `storage`, ...

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
        open_areas: int = 24,
        memory_bytes: int = 2 << 30,
        shard: Shard | None = None,
        errors: Errors = "raise",
        dtype: Any = None,
        with_valid: bool = True,
        **options: Any,
    ) -> None:
        if errors not in ("raise", "skip"):
            raise UsageError(f"errors is 'raise' or 'skip', not {errors!r}.")
        unknown = sorted(options.keys() - signature(Chipper).parameters.keys())
        if unknown:
            raise UsageError(f"Neither ChipStream nor Chipper has an option {', '.join(unknown)}.")
        if isinstance(index, Chipper) and options:
            raise UsageError(
                f"Pass {', '.join(options)} to the Chipper that the stream is made of."
            )
        self.chipper = index if isinstance(index, Chipper) else Chipper(index, **options)
        self.order = order
        self.seed = _whole("seed", seed)
        self.open_areas = _whole("open_areas", open_areas)
        self.memory_bytes = _whole("memory_bytes", memory_bytes)
        self.errors = errors
        self.dtype = None if dtype is None else _pixel_type(dtype)
        self.with_valid = with_valid
        self.shard = shard or Shard()
        self.report = StreamReport()
        self._chips = WantedChips.of(self.chipper.rows)
        self._catalog = Catalog(self.chipper, self._chips)
        self._survey = Survey(self._chips, self._catalog, self.memory_bytes, self.errors)
        self._pool: Allocator
        self._make_pools()
        self.set_epoch(epoch)
        self._ordering()  # refuses an unknown order

    # --- the chips and their order

    def __len__(self) -> int:
        """Return the number of the shard's chips in an epoch."""
        return self.shard.size(len(self._chips))

    @property
    def epoch(self) -> int:
        """The epoch whose chips come next."""
        return self._state.epoch

    @property
    def is_restored(self) -> bool:
        """True if a state was loaded, and the next iteration goes on from there."""
        return self._is_restored

    @property
    def areas(self) -> Areas:
        """The groups of chips that share blocks; opens one item of each platform and chip size."""
        return self._survey.areas

    def rows(self) -> Rows:
        """Return the rows of the index in the order of this epoch."""
        return self._ordering().rows(self.areas, self.shard)

    def explain(self) -> Explanation:
        """Return what this epoch will read: requests, bytes, blocks, memory, speed.

        It opens every item of the shard. An item whose headers the index keeps is opened from the
        index, without a request: that a file is gone or has changed is noticed only when it is
        read. With `errors="skip"` it counts the chips of items that cannot be opened, and keeps the
        reason.

        Raises:
            StacchipError: An item cannot be opened, unless `errors="skip"`.
        """
        self._catalog.forget_failures()
        waited_before = self._catalog.waited_s
        plans = VisitPlans(self._find_visits(self.rows()), self._chips, self._catalog)
        explained = explain(plans, self.memory_bytes, self._ahead_bytes, self.errors)
        return replace(explained, opening_s=self._catalog.waited_s - waited_before)

    def groups_of_rows(self) -> Rows:
        """Return a number for each row of the index, equal for rows of one item and chip size."""
        return self._chips.group

    def chips_by_kind(self) -> dict[tuple[str, int], int]:
        """Return the number of chips, over all shards, of each platform and chip size."""
        return self._chips.by_kind

    def count_kinds(self, apart: Apart | None = None) -> KindCount:
        """Return how many chips, over all shards, are of each kind: bands, chip size and type.

        Chips of one kind share batches, whatever their platforms. Up to 64 items are opened, and
        one of each platform and chip size, if that needs no remote store.

        Args:
            apart: An asset that is cut into an array of its own, as `cut_apart` has it.
        """
        return self._survey.count_kinds(self.dtype, apart)

    def with_shard(self, shard: Shard) -> ChipStream:
        """Return a stream that delivers another shard of the same chips, with the same memory."""
        other = copy(self)
        other.shard = shard
        other._pool, other._block_pool = self._pool, self._block_pool  # noqa: SLF001 - of its kind
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
        self,
        size: int,
        *,
        mixed: Literal["group", "pad"] = "group",
        drop_last: bool = False,
    ) -> Iterator[ChipBatch]:
        """Yield the chips in batches.

        Args:
            size: Chips in a batch.
            mixed: What to do with chips that differ in bands, size or type. `"group"` puts each
                kind into batches of its own; those that are not full come at the end. `"pad"`
                gives all chips all bands and the largest size, filled with 0 and not valid.
            drop_last: Leave out batches that are not full.

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
            common = self._survey.find_common_kinds(self.dtype, self._apart)
        return self._give_batches(size, common, drop_last=drop_last)

    def take(self, rows: Sequence[int]) -> list[ChipBatch]:
        """Return the chips of some rows of the index, read together: a batch of each kind.

        Raises:
            StacchipError: A chip cannot be cut, unless `errors="skip"`.
        """
        self._catalog.forget_failures()
        wanted = np.asarray(rows, np.int64)
        filling = self._open_filling(wanted, len(wanted), None)
        full: list[ChipBatch] = []
        try:
            for number, row in enumerate(wanted.tolist()):
                kind = filling.add(number, row, number)
                if kind is not None:
                    full.append(filling.finish(kind))
        finally:
            filling.reading.close()
        return [*full, *(filling.finish(kind) for kind in filling.kinds)]

    def _give_batches(
        self, size: int, common: Kinds | None, *, drop_last: bool
    ) -> Iterator[ChipBatch]:
        state = self._begin()
        sequence = self.rows()
        positions = state.remaining(len(sequence))
        filling = self._open_filling(sequence[positions], size, common)

        def give(kind: Kinds) -> ChipBatch:
            batch = filling.finish(kind)
            drawn = max(state.next, int(positions[number]) + 1)
            # some of those held when the state was saved may not have been cut again yet
            waiting = positions[number + 1 :]
            held = filling.positions + waiting[waiting < state.next].tolist()
            self._state = state.at(drawn, held)
            self._count(filling.reading, len(batch))
            return batch

        try:
            if self._apart is not None and self.errors == "skip":
                self._survey.require_asset(self._apart.asset)
            for number, row in enumerate(sequence[positions].tolist()):
                kind = filling.add(number, row, int(positions[number]))
                if kind is not None:
                    yield give(kind)
            for kind in [] if drop_last else filling.kinds:
                yield give(kind)
            self._state = state.at(len(sequence), [])
            self._count(filling.reading, 0)
        finally:
            filling.reading.close()
            self._sum_up_skipped()

    def _leave_out(self, row: int, error: StacchipError) -> None:
        """Skip a chip that cannot be cut, or raise; each cause is logged once in a pass."""
        if self.errors == "raise":
            raise error
        key = self._chips.key(row)
        cause = Cause.of(error, key.item_id)
        if cause not in self.report.causes:
            _log.warning("Chips of %s are skipped: %s", cause.place, error)
        self.report.skip(key.chipid, row, error, cause)

    def _sum_up_skipped(self) -> None:
        if self.report.skipped:
            _log.warning("%s", self.report.describe_skipped())

    def _count(self, reading: Reading, delivered: int) -> None:
        self.report.delivered += delivered
        self.report.decoded_blocks = reading.blocks.decoded_blocks
        self.report.decoded_bytes = reading.blocks.decoded_bytes
        self.report.peak_bytes = reading.peak_bytes

    # --- the place in the epoch

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: the next iteration delivers all its chips."""
        self._state = StreamState(_whole("epoch", epoch))
        self._is_restored = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state: the place after the chips delivered, whatever was read ahead."""
        return self._state.to_dict(self._settings())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from another stream's state: the next iteration delivers the remaining chips.

        To compare the streams, it opens one item of each platform and chip size, as `areas` does.

        Raises:
            StacchipError: One of those cannot be opened, unless `errors="skip"`.
            UsageError: That stream had other settings.
        """
        self._state = StreamState.from_dict(state, self._settings())
        self._is_restored = True

    def _begin(self) -> StreamState:
        """Return the state to begin with: the one loaded, or the beginning of the epoch."""
        if not self._is_restored:
            self._state = StreamState(self.epoch)
        self._is_restored = False
        self.report = StreamReport()
        return self._state

    def _settings(self) -> dict[str, Any]:
        shard, choice = self.shard, self.chipper.choice
        methods = choice.resampling
        return {
            "order": self.order,
            "seed": self.seed,
            "shard": [shard.rank, shard.world_size, shard.worker, shard.workers, shard.uneven],
            "open_areas": self.open_areas,
            "memory_bytes": self.memory_bytes,
            "assets": None if choice.assets is None else list(choice.assets),
            "asset_blacklist": sorted(choice.blacklist),
            "harmonize": choice.harmonize,
            "resampling": methods if isinstance(methods, str) else dict(methods),
            "chips": self._chips.fingerprint,
            "areas": None if self.order == "index" else self._survey.fingerprint,
        }

    # --- reading

    @property
    def _ahead_bytes(self) -> int:
        return int(min(self.memory_bytes * _AHEAD_SHARE, _MOST_AHEAD_BYTES))

    def _ordering(self) -> Ordering:
        open_bytes = self.memory_bytes - self._ahead_bytes
        return Ordering(self.order, self.seed, self.epoch, self.open_areas, open_bytes)

    def _find_visits(self, rows: Rows) -> Visits:
        return find_visits(rows, self.areas, self.memory_bytes)

    def _open_filling(self, rows: Rows, size: int, common: Kinds | None) -> Filling:
        reading = Reading(
            VisitPlans(self._find_visits(rows), self._chips, self._catalog),
            LoadedBlocks(self._block_pool),
            memory_bytes=self.memory_bytes,
            ahead_bytes=self._ahead_bytes,
            edge=self.chipper.edge,
        )
        return Filling(
            reading,
            self._chips,
            self._pool,
            size=size,
            common=common,
            dtype=self.dtype,
            apart=self._apart,
            with_valid=self.with_valid,
            on_error=self._leave_out,
        )

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "report": StreamReport()}
        del state["_pool"], state["_block_pool"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_pools()

    def _make_pools(self) -> None:
        self._pool = MemoryPool()
        self._block_pool = MemoryPool(self.memory_bytes * 9 // 8)  # sizes are rounded up


def _pixel_type(dtype: Any) -> np.dtype[Any]:
    """Return a type of pixels.

    Raises:
        UsageError: It is none.
    """
    try:
        kind: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise UsageError(f"dtype must be a type of numpy, not {dtype!r}: {error}.") from error
    if kind.kind not in "biufc":
        raise UsageError(f"dtype must be a type of numbers, not {dtype!r}.")
    return kind


def _whole(name: str, value: Any) -> int:
    """Return a count as a plain number, which JSON can hold.

    Raises:
        UsageError: It is not a whole number, or it is negative.
    """
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{name} must be a whole number, not {value!r}.") from error
    if number != value or number < 0:
        raise UsageError(f"{name} must be a whole number from 0 on, not {value!r}.")
    return number
