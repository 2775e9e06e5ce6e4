"""`ChipStreamDataset`: a stream's chips, shared out among ranks and workers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from stacchip.datasets.length import count_batches
from stacchip.datasets.loader import find_measuring_loader, is_batched_again
from stacchip.datasets.samples import Sample, split, to_tensors
from stacchip.datasets.shared_memory import SharedMemory, lend_when_pickled
from stacchip.errors import UsageError
from stacchip.stream import KindCount, Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from stacchip.datasets.labels import Label
    from stacchip.stream import ChipStream

_STATE = "stream_state"


@dataclass(frozen=True)
class _Place:
    """A place in an epoch, over all workers.

    Attributes:
        epoch: The epoch.
        workers: Number of workers; 0 if no stream has given out a chip yet.
        states: States of the workers' streams, by the number of the worker.
        load: Number of the `load_state_dict` that set the place; 0 if none did.
    """

    epoch: int
    workers: int = 0
    states: Mapping[str, Any] = field(default_factory=dict)
    load: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the place as plain values."""
        place: dict[str, Any] = {"epoch": self.epoch}
        if self.states:
            place |= {"workers": self.workers, "states": json.loads(json.dumps(self.states))}
        return place


class ChipStreamDataset(IterableDataset[Sample]):
    """A stream's chips as dictionaries of tensors, in batches or one by one.

    Each chip comes once over all ranks and workers. The stream's shard says which rank this is. If
    it has only one rank and `torch.distributed` is initialized, the rank comes from there.

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
        shard = stream.shard
        if shard.workers != 1:
            raise UsageError(
                "The stream has the shard of a worker. Give it the shard of the rank: "
                "the dataset shares that out among workers itself."
            )
        if shard.world_size == 1 and distributed.is_available() and distributed.is_initialized():
            rank, world_size = distributed.get_rank(), distributed.get_world_size()
            stream = stream.with_shard(Shard(rank, world_size, uneven=shard.uneven))
        self.stream = stream
        self.batch_size = batch_size
        self.transform = transform
        self.label = label
        self.mixed: Literal["group", "pad"] = mixed
        self.drop_last = drop_last
        self.resumable = resumable
        # epoch and load of the start, in shared memory: workers that outlive an epoch
        # (`persistent_workers=True`) keep the start they were created with
        self._told = cast("Any", torch.zeros(2, dtype=torch.int64)).share_memory_()
        self._loads = 0
        self._shared: SharedMemory | None = None  # a worker's, for all its epochs
        self.set_epoch(stream.epoch)
        if restored is not None:
            states: dict[str, Any] = {"0": restored}
            self.load_state_dict({"epoch": stream.epoch, "workers": 1, "states": states})

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
        own, total = self.stream.shard, len(self.stream.groups_of_rows())
        shares = [
            Shard(own.rank, own.world_size, worker, workers, own.uneven).size(total)
            for worker in range(workers)
        ]
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
        stream = self._open_stream()
        if get_worker_info() is not None and self.batch_size is not None:
            lend_when_pickled()
            self._shared = self._shared or SharedMemory()
            stream.use_memory(self._shared)
        batches = stream.batches(self.batch_size or 1, mixed=self.mixed, drop_last=self.drop_last)
        for batch in batches:
            self.stream.report = stream.report
            sample = to_tensors(batch, self.label)
            if self.batch_size is None:
                (sample,) = split(sample)
            given = sample if self.transform is None else self.transform(sample)
            if self.resumable:
                if not isinstance(given, dict):
                    raise UsageError(
                        "With resumable=True, the stream's state goes into the sample: the "
                        f"transform must return a dictionary, not {type(given).__name__}."
                    )
                given[_STATE] = json.dumps(stream.state_dict())
            yield given
            del batch, sample, given  # its memory is free while the next is made
        self.stream.report = stream.report  # even if all chips were skipped

    def _open_stream(self) -> ChipStream:
        """Return the stream of this process, set to where it begins."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        own = self.stream.shard
        shard = Shard(own.rank, own.world_size, number, workers, own.uneven)
        stream = self.stream.with_shard(shard)
        stream.cut_apart(None if self.label is None else self.label.apart)
        start = self._find_start()
        stream.set_epoch(start.epoch)
        if start.states and start.workers != workers:
            raise UsageError(
                f"The state is of {start.workers} workers, and here are {workers}: use as many."
            )
        if str(number) in start.states:
            stream.load_state_dict(start.states[str(number)])
        return stream

    def _find_start(self) -> _Place:
        """Return where this process begins, even in a worker that was created before."""
        epoch, load = self._told.tolist()
        if load == 0:
            return _Place(epoch)
        if load != self._start.load:
            raise UsageError(
                "The state was loaded after the loader had created its workers, and cannot reach "
                "them: make another DataLoader of the dataset."
            )
        return self._start

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: the next iteration gives all its chips. Call it before each."""
        self._begin_at(_Place(int(epoch)))

    def _begin_at(self, start: _Place) -> None:
        self._start = self._reached = start
        # through numpy: outside `inference_mode`, PyTorch refuses tensors made inside
        self._told.numpy()[:] = start.epoch, start.load

    # --- saving and resuming

    def track(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield what a loader of this dataset gives, and keep `state_dict` up to date with it.

        ```python
        dataset = ChipStreamDataset(stream, batch_size=64, resumable=True)
        for batch in dataset.track(loader):
            train(batch)
            checkpoint(model, dataset.state_dict())  # batches that wait in a queue do not count
        ```

        A loop that is left early and begun again begins at the same place. A loop that comes to
        its end forgets a loaded state, as `set_epoch` does.

        Raises:
            UsageError: The dataset was not made with `resumable=True`.
        """
        if not self.resumable:
            raise UsageError("Make the dataset with resumable=True to track it.")
        start = self._reached = self._start
        states = dict(start.states)
        for batch in loader:
            told = batch.pop(_STATE)
            state = json.loads(told if isinstance(told, str) else told[-1])
            shard = state["settings"]["shard"]
            states[str(shard[2])] = state
            if self._start is start:
                self._reached = _Place(start.epoch, shard[3], states)
            yield batch
        if self._start is start:
            self.set_epoch(start.epoch)
            self._reached = _Place(start.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the place after the batches that `track` gave, as plain values.

        After the last batch, that is the beginning of the next epoch.
        """
        return self._reached.to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another dataset stood, with the same number of workers.

        Load the state before the loader creates its workers. If `persistent_workers=True` has kept
        older ones, the next iteration raises `UsageError`. The state holds until `set_epoch`.
        """
        states = dict(state.get("states", {}))
        self._loads += 1
        load = self._loads if states else 0
        self._begin_at(_Place(int(state["epoch"]), state.get("workers", 0), states, load))
