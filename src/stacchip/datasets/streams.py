"""`ChipStreamDataset`: a stream's chips, shared out among ranks and workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from stacchip.datasets.samples import Sample, split, to_tensors
from stacchip.datasets.shared import SharedMemory
from stacchip.errors import UsageError
from stacchip.stream import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from stacchip.datasets.labels import Label
    from stacchip.stream import ChipStream

_STATE = "stream_state"


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
        # shared with workers that outlive an epoch (`persistent_workers=True`)
        self._epoch = cast("Any", torch.tensor(stream.epoch))
        self._epoch.share_memory_()
        self._states: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        stream = self._open_stream()
        shared = None
        if worker is not None and self.batch_size is not None:
            shared = SharedMemory()
            stream.use_memory(shared)
        batches = stream.batches(self.batch_size or 1, mixed=self.mixed, drop_last=self.drop_last)
        for batch in batches:
            sample = to_tensors(batch, self.label)
            if self.batch_size is None:
                (sample,) = split(sample)
            given = sample if self.transform is None else self.transform(sample)
            if self.resumable:
                given[_STATE] = json.dumps(stream.state_dict())
            yield given if shared is None else shared.lend(given)

    def _open_stream(self) -> ChipStream:
        """The stream of this process, where it is to begin."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        own = self.stream.shard
        shard = Shard(own.rank, own.world_size, number, workers, own.uneven)
        stream = self.stream.with_shard(shard)
        stream.set_epoch(int(self._epoch))
        if self._states:
            if self._states["workers"] != workers:
                raise UsageError(
                    f"The state is of {self._states['workers']} workers, and here are {workers}."
                )
            state = self._states["states"].get(str(number))
            if state is not None:
                stream.load_state_dict(state)
        return stream

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: the next iteration gives all its chips. Call it before each."""
        self._epoch.fill_(epoch)
        self._states = {}

    # --- where it stands

    def track(self, loader: Iterable[Any]) -> Iterator[Any]:
        """What a loader of this dataset gives, while `state_dict` follows what was given out.

        ```python
        dataset = ChipStreamDataset(stream, batch_size=64, resumable=True)
        for batch in dataset.track(loader):
            train(batch)
            checkpoint(model, dataset.state_dict())  # counts no batch that waits in a queue
        ```

        Raises:
            UsageError: The dataset was not made with `resumable=True`.
        """
        if not self.resumable:
            raise UsageError("Make the dataset with resumable=True to track where it stands.")
        states = dict(self._states.get("states", {}))
        for batch in loader:
            told = batch.pop(_STATE)
            state = json.loads(told if isinstance(told, str) else told[-1])
            shard = state["settings"]["shard"]
            states[str(shard[2])] = state
            self._states = {"workers": shard[3], "states": states}
            yield batch
        self._states = {}

    def state_dict(self) -> dict[str, Any]:
        """Where the dataset stands, in plain values: after the batches that `track` gave."""
        return {"epoch": int(self._epoch), **json.loads(json.dumps(self._states))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another dataset stood, with as many workers as that one had."""
        self._epoch.fill_(int(state["epoch"]))
        self._states = {name: state[name] for name in ("workers", "states") if name in state}
