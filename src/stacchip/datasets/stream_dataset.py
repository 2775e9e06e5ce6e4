"""`ChipStreamDataset`: a stream's chips, shared out among ranks and workers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.data import IterableDataset, get_worker_info

from stacchip.datasets.loader import find_measuring_loader, is_batched_again
from stacchip.datasets.position import Place, Position, Step
from stacchip.datasets.ranks import Rank, find_rank, require_tensors
from stacchip.datasets.samples import Sample, split, to_tensors
from stacchip.datasets.shared_memory import SharedMemory, lend_when_pickled
from stacchip.datasets.tracking import STATE, TrackedLoader
from stacchip.errors import UsageError
from stacchip.stream import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from torch.utils.data import DataLoader

    from stacchip.datasets.labels import Label
    from stacchip.stream import ChipStream


_Place = SimpleNamespace  # pickles of 0.x name it


class ChipStreamDataset(IterableDataset[Sample]):
    """A stream's chips as dictionaries of tensors, in batches or one by one.

    Each chip comes once over all ranks and workers. The stream's shard says which rank this is. If
    it has only one rank and `torch.distributed` is initialized when a pass begins, the rank comes
    from there. Each pass is the next epoch, also if the one before was left early.

    Args:
        stream: The stream. Its `memory_bytes` are for one process: each worker of a loader takes as
            much again.
        batch_size: Chips in a batch. Give the loader `batch_size=None` then; batches reach it
            through shared memory without being copied. None gives chips one by one, and the loader
            makes the batches.
        transform: Called with each batch (or chip); the dataset gives what it returns.
        label: Gives samples their labels.
        mixed: As for `ChipStream.batches`.
        drop_last: Leave out batches that are not full: at most one for each worker and kind.
        resumable: Send the stream's state with each batch; see `track`.

    Raises:
        UsageError: The stream's shard is that of a worker. When iterated: the loader would put the
            dataset's batches into batches again.

    Example:
        >>> from stacchip.indexer import NoStatsChipIndexer
        >>> from stacchip.stream import ChipStream
        >>> dataset = ChipStreamDataset(ChipStream(NoStatsChipIndexer(item)), batch_size=5)
        >>> len(dataset.stream), len(dataset)
        (16, 4)
    """

    def __init__(
        self,
        stream: ChipStream,
        *,
        batch_size: int | None = None,
        transform: Callable[[Sample], Any] | None = None,
        label: Label | None = None,
        mixed: Literal["group", "pad"] = "group",
        drop_last: bool = False,
        resumable: bool = False,
    ) -> None:
        restored = stream.state_dict() if stream.is_restored else None
        if stream.shard.workers != 1:
            raise UsageError(
                "The stream has the shard of a worker. Give it the shard of the rank: "
                "the dataset shares that out among workers itself."
            )
        self.stream = stream
        self.batch_size = batch_size
        self.transform = transform
        self.label = label
        self.mixed: Literal["group", "pad"] = mixed
        self.drop_last = drop_last
        self.resumable = resumable
        self.position = Position(stream.epoch)
        self._told_rank: Rank | None = None  # a worker's, which has no process group
        self._shared: SharedMemory | None = None  # a worker's, for all its epochs
        if restored is not None:
            self.position.load(Place(stream.epoch, restored))

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "position" in state:
            self.__dict__.update(state)
            return
        # of an earlier version, whose streams had another order
        if getattr(state["_start"], "states", None):
            raise UsageError(
                "The dataset was saved within an epoch by an earlier version of stacchip, which "
                "had another order. Make it anew, and begin an epoch: set_epoch(n)."
            )
        names = ("batch_size", "transform", "label", "mixed", "drop_last", "resumable")
        options = {name: state[name] for name in names}
        self.__init__(state["stream"], **options)  # type: ignore[misc]
        self.set_epoch(state["_start"].epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_told_rank": self._find_rank()}

    def __len__(self) -> int:
        """Return the number of batches (or chips) that the rank gets in a whole epoch.

        `len(loader)` counts what its workers give together. To find the kinds of chips, the first
        count opens up to 64 items (and one of each platform and chip size), if their headers are in
        the index or their files are local: it opens no remote file. The length is exact, with three
        exceptions. With `errors="skip"`, batches may be left out. If the headers of several
        platforms are unknown, or those of more than 64 items differ in bands or type, a batch may
        come as several. A loaded state leaves less than a whole epoch.
        """
        loader, is_direct = find_measuring_loader()
        workers = max(1, 0 if loader is None else loader.num_workers)
        rank = self._find_rank()
        streams = [self._open_share(rank, worker, workers) for worker in range(workers)]
        epoch = self.position.find_start().epoch  # a draw may give other chips in each
        for stream in streams:
            stream.set_epoch(epoch)
        if self.batch_size is not None:
            return sum(
                each.count_batches(self.batch_size, mixed=self.mixed, drop_last=self.drop_last)
                for each in streams
            )
        if loader is None or loader.batch_size is None or not is_direct:
            return sum(map(len, streams))
        # the loader will divide this by the size of its batches, which each worker makes by itself
        size = loader.batch_size
        return size * sum(
            len(stream) // size if loader.drop_last else -(-len(stream) // size)
            for stream in streams
        )

    def __iter__(self) -> Iterator[Any]:
        if self.batch_size is not None and is_batched_again():
            raise UsageError(
                f"The dataset gives batches of {self.batch_size} chips, and the loader would put "
                "these into batches again. Give the loader batch_size=None; or make the dataset "
                "with batch_size=None, so that it gives chips one by one."
            )
        return self._give()

    def _give(self) -> Iterator[Any]:
        rank = self._find_rank()
        start = self.position.begin()
        has_given = yield from self._give_rest(start, rank)
        is_alone = get_worker_info() is None
        if is_alone and not has_given and self.is_over(start):
            # the state was that of an epoch's end; a worker does not know about the others
            yield from self._give_rest(self.position.begin(), rank)

    def _give_rest(self, start: Place, rank: Rank) -> Generator[Any, None, bool]:
        """Give what is left of an epoch, and return True if that was anything."""
        told, has_given = self.position.start, False
        stream = self._open_stream(start, rank)
        shard = stream.shard
        for batch in stream.batches(
            self.batch_size or 1, mixed=self.mixed, drop_last=self.drop_last
        ):
            self.stream.report = stream.report
            sample = to_tensors(batch, self.label)
            if self.batch_size is None:
                (sample,) = split(sample)
            given = sample if self.transform is None else self.transform(sample)
            if rank.is_dispatched:
                require_tensors(given)
            step = Step(shard.worker, shard.workers, batch.step, start.epoch, shard.world_size)
            if self.resumable:
                _put_step(given, step)
            if self.position.start is told:
                self.position.reach(start.after(step))
            has_given = True
            yield given
            del batch, sample, given  # its memory is free while the next is made
        self.stream.report = stream.report  # even if all chips were skipped
        if get_worker_info() is None and self.position.start is told:
            self.position.reach(Place(start.epoch + 1))
        return has_given

    def _open_stream(self, start: Place, rank: Rank) -> ChipStream:
        """Return the stream of this process, set to where it begins."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        stream = self._open_share(rank, number, workers)
        _set(stream, start)
        if worker is not None and self.batch_size is not None:
            lend_when_pickled()
            self._shared = self._shared or SharedMemory()
            stream.use_memory(self._shared)
        return stream

    def is_over(self, place: Place) -> bool:
        """Return True if a place is the end of its epoch, for all ranks and workers."""
        if place.state is None:
            return False
        stream = self._open_share(self._find_rank(), 0, 1)
        _set(stream, place)
        return stream.is_over

    def _open_share(self, rank: Rank, worker: int, workers: int) -> ChipStream:
        """Return the stream of a worker's share."""
        uneven = self.stream.shard.uneven
        shard = Shard(rank.number, rank.world_size, worker, workers, uneven)
        stream = self.stream.with_shard(shard)
        stream.cut_apart(None if self.label is None else self.label.apart)
        return stream

    def _find_rank(self) -> Rank:
        shard = self.stream.shard
        return find_rank(Rank(shard.rank, shard.world_size), self._told_rank)

    # --- epochs

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be an epoch; the passes after it are the epochs after it.

        Call it before the loop begins: workers that have begun do not hear of it in this pass.
        If a state within that epoch was just loaded, the pass gives the rest of it.
        """
        self.position.set_epoch(int(epoch))

    # --- saving and resuming

    def track(self, loader: DataLoader[Any]) -> TrackedLoader:
        """Return what a loader of this dataset gives, and keep `state_dict` up to date with it.

        ```python
        dataset = ChipStreamDataset(stream, batch_size=64, resumable=True)
        for batch in dataset.track(loader):
            train(batch)
            checkpoint(model, dataset.state_dict())  # batches that wait in a queue do not count
        ```

        Lightning's `Trainer` takes it in place of the loader, and keeps its state in checkpoints.

        Raises:
            UsageError: The dataset was not made with `resumable=True`.
        """
        if not self.resumable:
            raise UsageError("Make the dataset with resumable=True to track it.")
        return TrackedLoader(loader, self)

    def state_dict(self) -> dict[str, Any]:
        """Return the place after the chips that came, as plain values.

        That is the place after the batches that `track` gave, or those of a pass without workers.
        After the last, it is the beginning of the next epoch. In a worker, all workers count as
        being as far as this one.

        The state is that of all ranks, if each has had as many batches. Any rank can save it for
        all, and any number of ranks and workers can go on from it.

        Raises:
            UsageError: Workers gave chips, and nobody tracked them.
        """
        place = self.position.find_reached()
        if not place.steps:
            return dict(place.state or {"epoch": place.epoch})
        worker = get_worker_info()
        steps = place.steps
        if worker is not None:
            steps = dict.fromkeys(range(place.workers), steps[worker.id])
        stream = self._open_share(Rank(0, place.ranks), 0, place.workers)  # those of the pass
        _set(stream, place)
        return stream.state_after(
            steps, self.batch_size or 1, mixed=self.mixed, drop_last=self.drop_last
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where other datasets stood, with any number of ranks and workers.

        Load the state before the loader creates its workers. If `persistent_workers=True` has kept
        older ones, the next iteration raises `UsageError`. The state holds for the next pass.

        Raises:
            UsageError: The state is of an earlier version of stacchip, which had another order.
        """
        place = Place.from_dict(state)
        if place.state is not None:
            _set(self._open_share(self._find_rank(), 0, 1), place)  # refuses what does not fit
        self.position.load(place)


def _set(stream: ChipStream, place: Place) -> None:
    """Let a stream begin where a place's pass began."""
    if place.state is None:
        stream.set_epoch(place.epoch)
    else:
        stream.load_state_dict(place.state)


def _put_step(sample: Any, step: Step) -> None:
    """Send the number of a batch with it.

    Raises:
        UsageError: The sample is no dictionary.
    """
    if not isinstance(sample, dict):
        raise UsageError(
            "With resumable=True, the stream's state goes into the sample: the transform must "
            f"return a dictionary, not {type(sample).__name__}."
        )
    sample[STATE] = json.dumps(step)
