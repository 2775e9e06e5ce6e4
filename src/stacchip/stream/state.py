"""The state of a stream: how far the processes of a training came in an epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stacchip.stream.shards import Uneven

Mixed: TypeAlias = Literal["group", "pad"]

# Settings that a state has only if they differ from these: states of earlier versions lack them.
_DEFAULTS: Final = {"harmonize": None, "mix": None, "resampling": "nearest"}


@dataclass(frozen=True)
class Run:
    """A stretch of an epoch that the same processes went through, and how far they came.

    Attributes:
        ranks: Number of ranks.
        workers: Number of workers of each.
        uneven: As in `Shard`.
        size: Chips in a batch.
        mixed: As in `ChipStream.batches`.
        drop_last: As in `ChipStream.batches`.
        steps: Number of batches that each worker of every rank has delivered.
    """

    ranks: int
    workers: int
    uneven: Uneven
    size: int
    mixed: Mixed
    drop_last: bool
    steps: tuple[int, ...]

    def at(self, steps: Sequence[int]) -> Run:
        """Return the same run, when the workers have delivered so many batches."""
        return replace(self, steps=tuple(map(int, steps)))

    @property
    def at_start(self) -> Run:
        """The same run when no batch is delivered."""
        return self.at([0] * self.workers)


@dataclass(frozen=True)
class StreamState:
    """A place in an epoch, as plain values that JSON can hold.

    It says what all ranks and workers have delivered, so that any number of others can go on with
    the rest. Chips that were read ahead but not delivered come again.

    Attributes:
        epoch: The epoch.
        runs: Those that went through it so far, each over what the one before had left.
    """

    epoch: int
    runs: tuple[Run, ...] = ()

    def to_dict(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state as a dictionary.

        Args:
            settings: What determines the sequence of chips and their pixels: order, seed,
                selection, resampling.
        """
        told = {name: value for name, value in settings.items() if not _is_default(name, value)}
        runs = [{**asdict(run), "steps": list(run.steps)} for run in self.runs if any(run.steps)]
        return {"epoch": self.epoch, "runs": runs, "settings": told}

    @classmethod
    def from_dict(
        cls, state: Mapping[str, Any], settings: Callable[[int], Mapping[str, Any]]
    ) -> Self:
        """Return the state that `to_dict` wrote.

        Args:
            state: The state.
            settings: Returns the settings of the stream that loads it, in an epoch.

        Raises:
            UsageError: It belongs to a stream with other settings, or to an earlier version.
        """
        if "runs" not in state:
            raise UsageError(
                "The state was saved by an earlier version of stacchip. That gave the chips of an "
                "epoch in another order, so that the place in it says nothing here. Begin an epoch "
                f"anew: set_epoch({state.get('epoch', 0)})."
            )
        here = {**_DEFAULTS, **settings(int(state["epoch"]))}
        saved = {**_DEFAULTS, **state["settings"]}
        differing = sorted(name for name in {*saved, *here} if saved.get(name) != here.get(name))
        if differing:
            name = differing[0]
            raise UsageError(
                f"The state belongs to another stream: its {name} is {saved.get(name)!r}, and here "
                f"it is {here.get(name)!r}. Make the stream as it was when the state was saved."
            )
        runs = [Run(**{**run, "steps": tuple(run["steps"])}) for run in state["runs"]]
        return cls(int(state["epoch"]), tuple(runs))

    def go_on(self, run: Run) -> StreamState:
        """Return the state in which such a run goes on: the last one, if it is the same."""
        if self.runs and self.runs[-1].at_start == run.at_start:
            return self
        return replace(self, runs=(*self.runs, run.at_start))

    def at(self, steps: Sequence[int]) -> StreamState:
        """Return the state when the last run's workers have delivered so many batches."""
        return replace(self, runs=(*self.runs[:-1], self.runs[-1].at(steps)))


def _is_default(name: str, value: Any) -> bool:
    return name in _DEFAULTS and value == _DEFAULTS[name]
