"""The parts of statistics that the jobs of a run leave in a folder, and their merge."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stacchip.errors import ChipNotFound, UsageError
from stacchip.statistics.platform import Part, PlatformStatistics
from stacchip.storage import child_href, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stacchip.storage import Storage

_STATE = re.compile(r"statistics_.+_\d+\.npz")
_MOST_NAMED = 10  # jobs in one message


@dataclass(frozen=True)
class StatisticsFolder:
    """A folder in which jobs leave their parts, to be merged.

    Args:
        href: Address of the folder.
        storage: How to reach it.
    """

    href: str
    storage: Storage

    def write(self, statistics: PlatformStatistics, part: Part) -> str:
        """Write a job's part, and return its address."""
        statistics.part = part
        name = f"statistics_{statistics.platform.platform}_{part.job}.npz"
        href = child_href(self.href, name)
        self.storage.write(href, statistics.to_bytes())
        return href

    def merge(self) -> list[PlatformStatistics]:
        """Merge all parts, and return the statistics of each platform, by name.

        Raises:
            ChipNotFound: There are no parts.
            IndexFormatError: A file is not a part.
            UsageError: Parts are missing, there twice, or of different runs.
        """
        hrefs = sorted(
            entry.href
            for entry in self.storage.list(self.href)
            if _STATE.fullmatch(entry.href.rpartition("/")[2])
        )
        if not hrefs:
            raise ChipNotFound(f"There are no statistics to merge at {redact(self.href)}.")
        return merge_statistics(self._read_whole(hrefs))

    def _read_whole(self, hrefs: Sequence[str]) -> Iterator[PlatformStatistics]:
        """Yield the parts one by one, and check at the end that none is missing."""
        runs: dict[str, _Run] = {}
        expected: dict[str, Part] = {}  # one part of each platform's run
        for href in hrefs:
            shown = redact(href)
            statistics = PlatformStatistics.from_bytes(
                self.storage.read(href, limit="file_bytes"), href=shown
            )
            name, part = statistics.platform.platform, statistics.part
            if part is None:
                raise UsageError(
                    f"{shown} does not say which job it is of: an earlier version wrote it. "
                    "Delete it and run the jobs again."
                )
            runs.setdefault(name, _Run(part, statistics.measured, shown)).enrol(
                part, statistics.measured, shown
            )
            expected |= dict.fromkeys(set(part.platforms) - set(expected), part) | {name: part}
            yield statistics
        for name, part in sorted(expected.items()):
            there = set(runs[name].hrefs) if name in runs else set()
            missing = part.find_missing(there)
            if missing:
                raise UsageError(
                    f"{redact(self.href)} has {len(there)} of {part.jobs} parts of platform "
                    f"{name!r}: those of jobs {_name_some(missing)} are missing. Run these jobs "
                    "with the same options, then merge."
                )


@dataclass(frozen=True)
class _Run:
    """The parts of one platform that were read so far, all of one run.

    Attributes:
        first: The first part.
        measured: What the first part measured.
        first_href: Address of the first part.
        hrefs: Address of each part, by job.
    """

    first: Part
    measured: dict[str, Any]
    first_href: str
    hrefs: dict[int, str] = field(default_factory=dict)

    def enrol(self, part: Part, measured: dict[str, Any], href: str) -> None:
        """Add a part.

        Raises:
            UsageError: The part is of another run, or its job has a part already.
        """
        ours = {"jobs": self.first.jobs, **self.measured}
        theirs = {"jobs": part.jobs, **measured}
        for name in [*ours, *theirs]:
            if ours.get(name) != theirs.get(name):
                raise UsageError(
                    f"{self.first_href} and {href} are parts of different runs: {name} is "
                    f"{ours.get(name)!r} in one and {theirs.get(name)!r} in the other. Delete the "
                    "parts of one run, or run all jobs again into a folder of their own."
                )
        if part.job in self.hrefs:
            raise UsageError(
                f"{self.hrefs[part.job]} and {href} are both of job {part.job} of {part.jobs}: "
                "delete one."
            )
        self.hrefs[part.job] = href


def _name_some(jobs: Sequence[int]) -> str:
    more = f" and {len(jobs) - _MOST_NAMED} more" if len(jobs) > _MOST_NAMED else ""
    return ", ".join(map(str, jobs[:_MOST_NAMED])) + more


def merge_statistics(parts: Iterable[PlatformStatistics]) -> list[PlatformStatistics]:
    """Merge the statistics of parts into one for each platform, sorted by name.

    A part without chips adds nothing, and its type does not matter, since it has seen no pixel.

    Raises:
        UsageError: Parts of one platform have different bands or types, or there are no parts.
    """
    merged: dict[str, PlatformStatistics] = {}
    for part in parts:
        name = part.platform.platform
        if name not in merged or not merged[name].chips:
            merged[name] = part
        elif part.chips:
            merged[name].merge(part)
    if not merged:
        raise UsageError("There is nothing to merge.")
    return [merged[name] for name in sorted(merged)]
