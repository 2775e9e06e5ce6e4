"""`ChipStreamDataset`: a stream's chips, shared out among ranks and workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.data import IterableDataset, get_worker_info

from stacchip.datasets.length import count_batches
from stacchip.datasets.loader import find_measuring_loader, is_batched_again
from stacchip.datasets.position import Place, Position
from stacchip.datasets.ranks import Rank, find_rank, require_tensors
from stacchip.datasets.samples import Sample, split, to_tensors
from stacchip.datasets.shared_memory import SharedMemory, lend_when_pickled
from stacchip.datasets.tracking import STATE, TrackedLoader
from stacchip.errors import UsageError
from stacchip.stream import KindCount, Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from torch.utils.data import DataLoader

    from stacchip.datasets.labels import Label
    from stacchip.stream import ChipStream


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
        self._position = Position(stream.epoch)
        self._told_rank: Rank | None = None  # a worker's, which has no process group
        self._shared: SharedMemory | None = None  # a worker's, for all its epochs
        if restored is not None:
            self._position.load(Place(stream.epoch, 1, {"0": restored}))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_told_rank": self._find_rank()}

    def __len__(self) -> int:
        """Return the number of batches (or chips) that the rank gets in a whole epoch.

        `len(loader)` counts what its workers give together. To find the kinds of chips, the first
        count opens up to 64 items (and one of each platform and chip size), if their headers are in
        the index or their files are local: it opens no remote file. The length is exact, with four
        exceptions. `errors="skip"` may leave out more. With several kinds of chips in several
        processes (`mixed="group"`), it is the most that an epoch can have. So it is if the headers
        of several platforms are unknown; or, with more than 64 items, if those of a platform and
        chip size differ in bands or type. A loaded state leaves less than a whole epoch.
        """
        loader, is_direct = find_measuring_loader()
        workers = max(1, 0 if loader is None else loader.num_workers)
        total = len(self.stream.groups_of_rows())
        rank = self._find_rank()
        shares = [self._make_shard(rank, worker, workers).size(total) for worker in range(workers)]
        if self.batch_size is not None:
            kinds = KindCount((total,), is_exact=True)
            if self.mixed == "group":
                kinds = self.stream.count_kinds(None if self.label is None else self.label.apart)
            return count_batches(
                shares, kinds.chips, self.batch_size,
                drop_last=self.drop_last, is_exact=kinds.is_exact,
            )  # fmt: skip
        if loader is None or loader.batch_size is None or not is_direct:
            return sum(shares)
        # the loader will divide this by the size of its batches, which each worker makes by itself
        size = loader.batch_size
        return size * count_batches(shares, [total], size, drop_last=loader.drop_last)

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
        start = self._position.begin()
        has_given = yield from self._give_rest(start, rank)
        if start.states and not has_given and get_worker_info() is None:
            # the state was that of an epoch's end; a worker does not know about the others
            yield from self._give_rest(self._position.begin(), rank)

    def _give_rest(self, start: Place, rank: Rank) -> Generator[Any, None, bool]:
        """Give what is left of an epoch, and return True if that was anything."""
        told, has_given = self._position.start, False
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
            state = stream.state_dict()
            if self.resumable:
                _put_state(given, state)
            if self._position.start is told:
                states = {**start.states, str(shard.worker): state}
                self._position.reach(Place(start.epoch, shard.workers, states))
            has_given = True
            yield given
            del batch, sample, given  # its memory is free while the next is made
        self.stream.report = stream.report  # even if all chips were skipped
        if get_worker_info() is None and self._position.start is told:
            self._position.reach(Place(start.epoch + 1))
        return has_given

    def _open_stream(self, start: Place, rank: Rank) -> ChipStream:
        """Return the stream of this process, set to where it begins."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        stream = self.stream.with_shard(self._make_shard(rank, number, workers))
        stream.cut_apart(None if self.label is None else self.label.apart)
        stream.set_epoch(start.epoch)
        if start.states and start.workers != workers:
            raise UsageError(
                f"The state is of {start.workers} workers, and here are {workers}: use as many."
            )
        if str(number) in start.states:
            stream.load_state_dict(start.states[str(number)])
        if worker is not None and self.batch_size is not None:
            lend_when_pickled()
            self._shared = self._shared or SharedMemory()
            stream.use_memory(self._shared)
        return stream

    def _find_rank(self) -> Rank:
        shard = self.stream.shard
        return find_rank(Rank(shard.rank, shard.world_size), self._told_rank)

    def _make_shard(self, rank: Rank, worker: int, workers: int) -> Shard:
        return Shard(rank.number, rank.world_size, worker, workers, self.stream.shard.uneven)

    # --- epochs

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be an epoch; the passes after it are the epochs after it.

        Call it before the loop begins: workers that have begun do not hear of it in this pass.
        If a state within that epoch was just loaded, the pass gives the rest of it.
        """
        self._position.set_epoch(int(epoch))

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
        return TrackedLoader(loader, self._position)

    def state_dict(self) -> dict[str, Any]:
        """Return the place after the chips that came, as plain values.

        That is the place after the batches that `track` gave, or those of a pass without workers.
        After the last, it is the beginning of the next epoch. In a worker it is that of the worker.

        Raises:
            UsageError: Workers gave chips, and nobody tracked them.
        """
        return self._position.find_reached().to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another dataset stood, with the same number of workers.

        Load the state before the loader creates its workers. If `persistent_workers=True` has kept
        older ones, the next iteration raises `UsageError`. The state holds for the next pass.
        """
        self._position.load(Place.from_dict(state))


def _put_state(sample: Any, state: dict[str, Any]) -> None:
    """Send the state of a stream with a sample.

    Raises:
        UsageError: The sample is no dictionary.
    """
    if not isinstance(sample, dict):
        raise UsageError(
            "With resumable=True, the stream's state goes into the sample: the transform must "
            f"return a dictionary, not {type(sample).__name__}."
        )
    sample[STATE] = json.dumps(state)
