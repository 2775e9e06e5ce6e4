"""`TrackedLoader`: a loader whose dataset knows how far its chips have come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stacchip.datasets.position import Place, Step

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from torch.utils.data import DataLoader

    from stacchip.datasets.stream_dataset import ChipStreamDataset

STATE: Final = "stream_state"
"""The key of a sample under which a worker says how far it has come."""


class TrackedLoader:
    """Gives what a loader gives, and keeps the position of its dataset; see `track`.

    Trainers that save the state of a loader, as Lightning does, save and restore this one's.

    Args:
        loader: The loader.
        dataset: Its dataset.
    """

    def __init__(self, loader: DataLoader[Any], dataset: ChipStreamDataset) -> None:
        self.loader = loader
        self._dataset = dataset

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches; the pass begins with the first."""
        position = self._dataset.position
        start = position.find_start()
        has_come = yield from self._give(start)
        if not has_come and self._dataset.is_over(start):  # the state was that of an epoch's end
            yield from self._give(position.find_start())

    def _give(self, start: Place) -> Generator[Any, None, bool]:
        """Give what is left of an epoch, and return True if that was anything."""
        position = self._dataset.position
        told, place = position.start, start
        has_come = False
        for batch in self.loader:
            has_come = True
            said = batch.pop(STATE)
            step = Step(*json.loads(said if isinstance(said, str) else said[-1]))
            place = (place if step.epoch == place.epoch else Place(step.epoch)).after(step)
            if position.start is told:  # otherwise another epoch was set meanwhile
                position.reach(place)
            yield batch
        if position.start is told:
            position.reach(Place(place.epoch + 1))
        return has_come

    def state_dict(self) -> dict[str, Any]:
        """Return the place after the batches that came, as the dataset does."""
        return self._dataset.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another loader stood, as the dataset does."""
        self._dataset.load_state_dict(state)
