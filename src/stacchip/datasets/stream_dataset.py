"""`ChipStreamDataset`: a stream's chips, shared out among ranks and workers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from stacchip.datasets.samples import Sample, split, to_tensors
from stacchip.datasets.shared_memory import SharedMemory
from stacchip.errors import UsageError
from stacchip.stream import Shard

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
        workers: How many workers there are, where a stream has given something out.
        states: Those of the workers' streams, by the number of the worker.
        load: By which load it came here; 0 where it was not loaded.
    """

    epoch: int
    workers: int = 0
    states: Mapping[str, Any] = field(default_factory=dict)
    load: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The place in plain values."""
        place: dict[str, Any] = {"epoch": self.epoch}
        if self.states:
            place |= {"workers": self.workers, "states": json.loads(json.dumps(self.states))}
        return place


class ChipStreamDataset(IterableDataset[Sample]):
    """A stream's chips as dictionaries of tensors, in batches or one by one.

    Each chip comes once over all ranks and workers. The stream's shard says which rank this is;
    where it says nothing and `torch.distributed` is initialized, that does.

    Args:
        stream: The stream.
        batch_size: Chips in a batch: give the loader `batch_size=None` then, and batches reach it
            through shared memory without being copied. None gives chips one by one.
        transform: Is given each batch (or chip), and gives what the dataset gives.
        label: Where labels come from.
        mixed: As for `ChipStream.batches`.
        drop_last: Leave out batches that are not full: at most one a worker and kind.
        resumable: Tell with each batch where the stream stands; see `track`.

    Raises:
        UsageError: The stream has a worker's shard already.
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
            raise UsageError("Give the stream the rank's shard: workers are found by the dataset.")
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
        # the start's epoch and load: shared with workers that outlive an epoch
        # (`persistent_workers=True`), which have the start that there was when they were made
        self._told = cast("Any", torch.zeros(2, dtype=torch.int64)).share_memory_()
        self._loads = 0
        self._shared: SharedMemory | None = None  # of a worker, for all epochs that it lives
        self.set_epoch(stream.epoch)
        if restored is not None:
            states: dict[str, Any] = {"0": restored}
            self.load_state_dict({"epoch": stream.epoch, "workers": 1, "states": states})

    def __iter__(self) -> Iterator[Any]:
        stream = self._open_stream()
        shared = None
        if get_worker_info() is not None and self.batch_size is not None:
            shared = self._shared = self._shared or SharedMemory()
            stream.use_memory(shared)
        batches = stream.batches(self.batch_size or 1, mixed=self.mixed, drop_last=self.drop_last)
        for batch in batches:
            self.stream.report = stream.report
            sample = to_tensors(batch, self.label)
            if self.batch_size is None:
                (sample,) = split(sample)
            given = sample if self.transform is None else self.transform(sample)
            if self.resumable:
                given[_STATE] = json.dumps(stream.state_dict())
            yield given if shared is None else shared.lend(given)
        self.stream.report = stream.report  # also where all chips were skipped

    def _open_stream(self) -> ChipStream:
        """The stream of this process, where it is to begin."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        own = self.stream.shard
        shard = Shard(own.rank, own.world_size, number, workers, own.uneven)
        stream = self.stream.with_shard(shard)
        start = self._find_start()
        stream.set_epoch(start.epoch)
        if start.states and start.workers != workers:
            raise UsageError(f"The state is of {start.workers} workers, and here are {workers}.")
        if str(number) in start.states:
            stream.load_state_dict(start.states[str(number)])
        return stream

    def _find_start(self) -> _Place:
        """Where this process is to begin: also as a worker, made when it was elsewhere."""
        epoch, load = self._told.tolist()
        if load == 0:
            return _Place(epoch)
        if load != self._start.load:
            raise UsageError(
                "The state was loaded when the loader's workers were there already, and does not "
                "reach them: make another DataLoader of the dataset."
            )
        return self._start

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: the next iteration gives all its chips. Call it before each."""
        self._begin_at(_Place(int(epoch)))

    def _begin_at(self, start: _Place) -> None:
        self._start = self._reached = start
        # not by PyTorch, which refuses what was made in `inference_mode` outside of it
        self._told.numpy()[:] = start.epoch, start.load

    # --- where it stands

    def track(self, loader: Iterable[Any]) -> Iterator[Any]:
        """What a loader of this dataset gives, while `state_dict` follows what was given out.

        ```python
        dataset = ChipStreamDataset(stream, batch_size=64, resumable=True)
        for batch in dataset.track(loader):
            train(batch)
            checkpoint(model, dataset.state_dict())  # counts no batch that waits in a queue
        ```

        A loop that is left early and begun again begins where it had begun. A loop that came to
        its end lets go of a state that was loaded, as `set_epoch` does.

        Raises:
            UsageError: The dataset was not made with `resumable=True`.
        """
        if not self.resumable:
            raise UsageError("Make the dataset with resumable=True to track where it stands.")
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
        """Where the dataset stands, in plain values: after the batches that `track` gave.

        After the last of them, that is the beginning of the next epoch.
        """
        return self._reached.to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another dataset stood, with as many workers as that one had.

        Load it before the loader makes its workers: where `persistent_workers=True` has kept them,
        the next iteration raises `UsageError`. It holds until `set_epoch`.
        """
        states = dict(state.get("states", {}))
        self._loads += 1
        load = self._loads if states else 0
        self._begin_at(_Place(int(state["epoch"]), state.get("workers", 0), states, load))
