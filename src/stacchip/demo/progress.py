"""How far the writing of the archive is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ProgressCallback = Callable[[str, int, int], None]
"""Called with what is being made, how many of its steps are done, and how many there are."""


@dataclass(frozen=True)
class Progress:
    """The steps of one part of the work.

    Attributes:
        name: What is being made.
        total: How many steps that takes.
        tell: Who wants to know.
    """

    name: str
    total: int
    tell: ProgressCallback | None = None

    def say(self, done: int) -> None:
        """Tell that so many steps are done."""
        if self.tell is not None:
            self.tell(self.name, done, self.total)
