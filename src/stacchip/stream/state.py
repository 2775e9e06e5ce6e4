"""The state of a stream: which chips it has delivered."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Settings that a state has only if they differ from these: states of earlier versions lack them.
_DEFAULTS: Final = {"harmonize": None, "resampling": "nearest"}


@dataclass(frozen=True)
class StreamState:
    """A place in an epoch, as plain values that JSON can hold.

    Chips that were read ahead but not delivered come again.

    Attributes:
        epoch: The epoch.
        next: Position of the first chip that has not been cut.
        held: Positions before it whose chips were cut but not delivered: their batches were not
            full yet.
    """

    epoch: int
    next: int = 0
    held: tuple[int, ...] = ()

    def to_dict(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state as a dictionary.

        Args:
            settings: What determines the sequence of chips and their pixels: order, seed, shard,
                memory, selection, resampling.
        """
        told = {name: value for name, value in settings.items() if not _is_default(name, value)}
        return {**asdict(self), "settings": told, "held": list(self.held)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], settings: Mapping[str, Any]) -> Self:
        """Return the state that `to_dict` wrote.

        Raises:
            UsageError: It belongs to a stream with other settings.
        """
        saved, here = {**_DEFAULTS, **state["settings"]}, {**_DEFAULTS, **settings}
        differing = sorted(name for name in {*saved, *here} if saved.get(name) != here.get(name))
        if differing:
            name = differing[0]
            raise UsageError(
                f"The state belongs to another stream: its {name} is {saved.get(name)!r}, and here "
                f"it is {here.get(name)!r}. Make the stream as it was when the state was saved."
            )
        held = tuple(int(position) for position in state["held"])
        return cls(int(state["epoch"]), int(state["next"]), held)

    def at(self, position: int, held: list[int]) -> StreamState:
        """Return the state when the chips up to a position are cut, and some of them are held."""
        return replace(self, next=position, held=tuple(sorted(held)))

    def remaining(self, count: int) -> NDArray[np.int64]:
        """Return the positions, out of `count`, whose chips have not been delivered."""
        return np.append(np.array(self.held, np.int64), np.arange(self.next, count))


def _is_default(name: str, value: Any) -> bool:
    return name in _DEFAULTS and value == _DEFAULTS[name]
