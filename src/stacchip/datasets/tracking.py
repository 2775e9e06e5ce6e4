"""`TrackedLoader`: a loader whose dataset knows how far its chips have come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stacchip.datasets.position import Place

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from torch.utils.data import DataLoader

    from stacchip.datasets.position import Position

STATE: Final = "stream_state"
"""The key of a sample under which a worker says how far it has come."""


class TrackedLoader:
    """Gives what a loader gives, and keeps the position of its dataset; see `track`.

    Trainers that save the state of a loader, as Lightning does, save and restore this one's.

    Args:
        loader: The loader.
        position: The position of its dataset.
    """

    def __init__(self, loader: DataLoader[Any], position: Position) -> None:
        self.loader = loader
        self._position = position

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches; the pass begins with the first."""
        start = self._position.find_start()
        has_come = yield from self._give(start)
        if start.states and not has_come:  # the state was that of an epoch's end
            yield from self._give(self._position.find_start())

    def _give(self, start: Place) -> Generator[Any, None, bool]:
        """Give what is left of an epoch, and return True if that was anything."""
        told, place = self._position.start, start
        has_come = False
        for batch in self.loader:
            has_come = True
            said = batch.pop(STATE)
            place = _move(place, json.loads(said if isinstance(said, str) else said[-1]))
            if self._position.start is told:  # otherwise another epoch was set meanwhile
                self._position.reach(place)
            yield batch
        if self._position.start is told:
            self._position.reach(Place(place.epoch + 1))
        return has_come

    def state_dict(self) -> dict[str, Any]:
        """Return the place after the batches that came, as the dataset does."""
        return self._position.find_reached().to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another loader stood, as the dataset does."""
        self._position.load(Place.from_dict(state))


def _move(place: Place, state: Mapping[str, Any]) -> Place:
    """Return the place after a worker has moved on to a state."""
    _, _, worker, workers, _ = state["settings"]["shard"]
    epoch = state["epoch"]
    states = place.states if epoch == place.epoch else {}
    return Place(epoch, workers, {**states, str(worker): state})
