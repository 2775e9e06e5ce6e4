"""The kinds of things from outside that are fuzzed, and what each of them must be able to do."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .verdicts import Verdict

NAMES: Final = ("tiff", "items", "answers", "parquet")


class Kind(Protocol):
    """One kind of input: sound examples, mutants of them, and a trial that judges one mutant."""

    name: str
    suffix: str

    def prepare(self, folder: Path) -> None:
        """Write the corpus into a folder; runs in a process of its own."""

    def load(self, folder: Path) -> None:
        """Import what trials need, and read the corpus; starts no thread and opens no raster."""

    @property
    def sound(self) -> int:
        """How many sound examples there are: the first mutants are these, unchanged."""

    def mutant(self, number: int, dice: Random) -> bytes:
        """Return a mutant, in the form of a file that `attempt` takes."""

    def attempt(self, mutant: bytes, folder: Path, judging: Callable[[], None]) -> Verdict:
        """Read a mutant and judge what came of it.

        Args:
            mutant: What `mutant` returned.
            folder: An empty folder, or one of an earlier trial in this process.
            judging: Called when our own part is over, and only the oracle is at work.
        """


def kind_of(name: str) -> Kind:
    """Return the kind of a name."""
    if name == "tiff":
        from .tiff import Tiffs

        return Tiffs()
    if name == "parquet":
        from .parquet import Indexes

        return Indexes()
    if name == "items":
        from .items import Items

        return Items()
    if name == "answers":
        from .answers import Answers

        return Answers()
    raise ValueError(f"There is no kind {name!r}; there are {', '.join(NAMES)}.")


def dice_of(kind: str, seed: int, number: int) -> Random:
    """Return the dice of one mutant: the same whenever it is made.

    Example:
        >>> dice_of("tiff", 1, 7).random() == dice_of("tiff", 1, 7).random()
        True
    """
    return Random(f"{kind}:{seed}:{number}")


def weighted(dice: Random, choices: dict[Any, float]) -> Any:
    """Draw one of the choices by their weights."""
    return dice.choices(list(choices), list(choices.values()))[0]
