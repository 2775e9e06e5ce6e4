"""Verdicts: what became of one mutant, which of them are faults, and their table."""

from __future__ import annotations

import re
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from stacchip.errors import StacchipError

# what is as it should be
SAME: Final = "same"  # it reads as the oracle reads it
TYPED: Final = "typed"  # a StacchipError, and the oracle has nothing better
STRICTER: Final = "stricter"  # a StacchipError where GDAL gives pixels
UNJUDGED: Final = "unjudged"  # the oracle itself crashed or took too long
# what is a fault
FOREIGN: Final = "foreign"  # an error that is not a StacchipError
DIFFERS: Final = "differs"  # other values than the oracle's, or values where it has an error
CRASH: Final = "crash"  # a signal ended the process
HANG: Final = "hang"  # the time limit passed
MEMORY: Final = "memory"  # the memory limit was met
REFUSED: Final = "refused"  # a sound file was not read

SOUND: Final = (SAME, TYPED, STRICTER, UNJUDGED)
FAULTS: Final = (FOREIGN, DIFFERS, CRASH, HANG, MEMORY, REFUSED)


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant.

    Attributes:
        name: One of the names above.
        reason: Why, without what differs from mutant to mutant: faults of one reason are one.
        detail: The whole of it: the message, and where it was raised.
    """

    name: str
    reason: str = ""
    detail: str = ""

    @property
    def is_fault(self) -> bool:
        return self.name in FAULTS


def verdict_of(error: BaseException) -> Verdict:
    """Judge an error that reading a mutant raised."""
    if isinstance(error, StacchipError):
        return Verdict(TYPED, reason_of(error), str(error))
    lines = traceback.format_exception(error)
    name = MEMORY if _is_memory(error) else FOREIGN
    return Verdict(name, f"{reason_of(error)} [{_place_of(error)}]", "".join(lines)[-3000:])


def reason_of(error: BaseException) -> str:
    """Name an error by its type and its message, without numbers, names and hrefs.

    Example:
        >>> reason_of(ValueError("block 17 of /tmp/a.tif is 'odd'"))
        'ValueError: block N of P is Q'
    """
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "Q", str(error))
    text = re.sub(r"\S*/\S+", "P", text)
    text = re.sub(r"-?\d[\d.,e+]*", "N", text)
    return f"{type(error).__name__}: {text[:100].strip()}"


def _is_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "bad_alloc" in text or "malloc of size" in text


def _place_of(error: BaseException) -> str:
    """Name the line of stacchip's code that was the last on the way to the error."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/stacchip/" in frame.filename
    ]
    if not ours:
        return "?"
    return f"{ours[-1].filename.rpartition('/stacchip/')[2]}:{ours[-1].name}"


@dataclass
class Tally:
    """Counts of verdicts and reasons, by kind."""

    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, verdict: Verdict) -> None:
        self.counts[kind][verdict.name] += 1
        if verdict.name not in (SAME, TYPED):
            self.reasons[f"{kind} {verdict.name}"][verdict.reason] += 1

    @property
    def faults(self) -> int:
        return sum(counts[name] for counts in self.counts.values() for name in FAULTS)

    def table(self) -> str:
        """Say how many mutants of each kind had which verdict, and how many a second were tried."""
        used = [n for n in (*SOUND, *FAULTS) if any(c[n] for c in self.counts.values())]
        rows = [["kind", "mutants", "a second", *used]]
        for kind, counts in self.counts.items():
            tried = sum(counts.values())
            speed = f"{tried / max(self.seconds[kind], 1e-9):.0f}"
            rows.append([kind, str(tried), speed, *(str(counts[name]) for name in used)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )

    def why(self, most: int = 12) -> str:
        """Say what the commonest reasons were, of faults and of what only we refuse."""
        lines = []
        for group, counted in self.reasons.items():
            lines += [f"{group}: {number} x {why}" for why, number in counted.most_common(most)]
        return "\n".join(lines)
