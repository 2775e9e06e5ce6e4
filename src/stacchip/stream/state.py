"""Where a stream stands: what it has delivered, and what not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class StreamState:
    """A place in an epoch, as plain values that JSON takes.

    Chips that were read ahead and not given out count as not delivered.

    Attributes:
        epoch: The epoch.
        next: Position of the first chip that has not been drawn.
        held: Positions before it that were drawn and not delivered: chips of batches that were
            not full yet.
    """

    epoch: int
    next: int = 0
    held: tuple[int, ...] = ()

    def to_dict(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The state as a dictionary.

        Args:
            settings: What makes the sequence of chips: order, seed, shard, memory, selection.
        """
        return {**asdict(self), "settings": dict(settings), "held": list(self.held)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], settings: Mapping[str, Any]) -> Self:
        """The state that `to_dict` gave this dictionary of.

        Raises:
            UsageError: It is of a stream with other settings.
        """
        saved = dict(state["settings"])
        differing = sorted(
            name for name in {*saved, *settings} if saved.get(name) != settings.get(name)
        )
        if differing:
            name = differing[0]
            raise UsageError(
                f"The state is of another stream: its {name} is {saved.get(name)!r}, and here it "
                f"is {settings.get(name)!r}. Make the stream as it was when the state was saved."
            )
        held = tuple(int(position) for position in state["held"])
        return cls(int(state["epoch"]), int(state["next"]), held)

    def at(self, position: int, held: list[int]) -> StreamState:
        """The state when the chips up to a position are drawn, and some of them held."""
        return replace(self, next=position, held=tuple(sorted(held)))

    def remaining(self, count: int) -> NDArray[np.int64]:
        """The positions, out of `count`, whose chips have not been delivered."""
        return np.append(np.array(self.held, np.int64), np.arange(self.next, count))
