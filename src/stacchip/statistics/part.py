"""Which part of a whole statistics are: what those that are merged must agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """A job's part of what a run measures.

    Attributes:
        job: Its number, from 0.
        jobs: How many there are.
        platforms: All that the run measures.

    Example:
        >>> Part(0, 3).find_missing({0, 2})
        [1]
    """

    job: int
    jobs: int
    platforms: tuple[str, ...] = ()

    def find_missing(self, there: set[int]) -> list[int]:
        """The run's jobs that are not among these."""
        return [job for job in range(self.jobs) if job not in there]

    def to_dict(self) -> dict[str, Any]:
        """The part in plain values, which JSON takes."""
        return {"job": self.job, "jobs": self.jobs, "platforms": list(self.platforms)}

    @classmethod
    def from_dict(cls, part: dict[str, Any]) -> Part:
        """The part that `to_dict` gave this dictionary of."""
        return cls(part["job"], part["jobs"], tuple(part["platforms"]))
