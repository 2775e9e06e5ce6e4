"""Positions: where a dataset begins, and how far its chips have come."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from torch.utils.data import get_worker_info

from stacchip.datasets.epochs import Epochs
from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.datasets.epochs import Pass


@dataclass(frozen=True)
class Place:
    """A place in an epoch, over all workers.

    Attributes:
        epoch: The epoch.
        state: State of the stream from which the pass began; None if it began the epoch.
        workers: Number of workers; 0 if none has given out a chip yet.
        ranks: Number of ranks of the pass.
        steps: Number of batches of each worker since then, as far as it has given any.
    """

    epoch: int
    state: Mapping[str, Any] | None = None
    workers: int = 0
    ranks: int = 1
    steps: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Place:
        """Return the place that a state says."""
        is_within = len(state) > 1  # a state that is at the beginning of an epoch has only that
        return cls(int(state["epoch"]), dict(state) if is_within else None)

    def after(self, step: Step) -> Place:
        """Return the place when a worker has given another batch."""
        steps = {**self.steps, step.worker: step.number}
        return replace(self, workers=step.workers, ranks=step.ranks, steps=steps)


class Step(NamedTuple):
    """A batch that a worker has given.

    Attributes:
        worker: The worker.
        workers: Number of workers.
        number: Number of batches that it has given with this one (`ChipBatch.step`).
        epoch: The epoch.
        ranks: Number of ranks.
    """

    worker: int
    workers: int
    number: int
    epoch: int
    ranks: int


class _Reached(NamedTuple):
    process: int
    next_epoch: int
    place: Place


class Position:
    """The place where a dataset's next pass begins, and the place that the latest has reached.

    A pass goes through the rest of an epoch if a place within it was loaded, else through a whole
    one.

    Args:
        epoch: Epoch of the first pass.
    """

    def __init__(self, epoch: int) -> None:
        self._start = Place(epoch)
        self._reached: _Reached | None = None
        self._epochs = Epochs(epoch)

    @property
    def start(self) -> Place:
        """The place that was loaded or set last; another object each time."""
        return self._start

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be this epoch: the rest of it, if a place in it was just loaded."""
        found = self._epochs.find_next()
        if not (self._start.state is not None and found.is_first and self._start.epoch == epoch):
            self.load(Place(epoch))

    def load(self, place: Place) -> None:
        """Let the next pass begin at a place."""
        self._start, self._reached = place, None
        if get_worker_info() is None:
            self._epochs.set(place.epoch, with_state=place.state is not None)
        else:
            self._epochs.resume(place.epoch)

    def find_start(self) -> Place:
        """Return where the next pass begins.

        Raises:
            UsageError: In a worker that cannot know the state that was loaded.
        """
        return self._start_of(self._epochs.find_next())

    def begin(self) -> Place:
        """Begin a pass, and return where.

        Raises:
            UsageError: As for `find_start`.
        """
        start = self._start_of(self._epochs.begin())
        self.reach(start)
        return start

    def _start_of(self, found: Pass) -> Place:
        is_loaded = found.is_first and self._start.epoch == found.epoch
        return self._start if is_loaded else Place(found.epoch)

    def reach(self, place: Place) -> None:
        """Keep the place that the pass has reached."""
        self._reached = _Reached(os.getpid(), self._epochs.find_next().epoch, place)

    def find_reached(self) -> Place:
        """Return the place that the latest pass has reached.

        Raises:
            UsageError: Workers gave the chips, and nobody kept the place.
        """
        found = self._epochs.find_next()
        if self._reached is not None and self._reached[:2] == (os.getpid(), found.epoch):
            return self._reached.place
        if not found.is_first and get_worker_info() is None:
            raise UsageError(
                "Workers have given chips, and only the loop knows how many have come. Make the "
                "dataset with resumable=True and loop over dataset.track(loader); or take a "
                "torchdata.stateful_dataloader.StatefulDataLoader, and its state_dict."
            )
        return self._start_of(found)
