"""A campaign: corpora are written, mutants of each kind are tried, faults are kept as files."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .children import BATCH, Bounds, Children, share_arenas
from .kinds import dice_of, kind_of
from .verdicts import Tally, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .kinds import Kind

_KEPT_OF_ONE_REASON = 3


@dataclass
class Campaign:
    """Tries mutants of several kinds, in turns.

    Attributes:
        seed: With a kind and a number, it gives a mutant.
        bounds: The limits of each mutant.
        faults: Where mutants with a fault are kept; None keeps none.
        say: Called with each line to tell.
        tally: What came of it.
    """

    seed: int
    bounds: Bounds = field(default_factory=Bounds)
    faults: Path | None = None
    say: Callable[[str], object] = sys.stdout.write
    tally: Tally = field(default_factory=Tally)

    def run(self, kinds: Sequence[str], *, seconds: float, count: int | None) -> None:
        """Try mutants of each kind for its share of the time, or until there were `count` of it."""
        with loaded(kinds) as found:
            until = time.monotonic() + seconds
            for place, kind in enumerate(found):
                left = until - time.monotonic()
                self._run_kind(kind, left / (len(found) - place), count)

    def _run_kind(self, kind: Kind, seconds: float, count: int | None) -> None:
        begin = time.monotonic()
        children = Children(kind, lambda number: self.mutant(kind, number), self.bounds)
        number = 0
        while time.monotonic() < begin + seconds and (count is None or number < count):
            batch = range(number, number + BATCH if count is None else min(count, number + BATCH))
            for each, verdict in children.try_all(batch):
                number = each + 1
                self.tally.add(kind.name, verdict)
                if verdict.is_fault:
                    self._keep(kind, each, verdict)
                if time.monotonic() > begin + seconds:
                    break
        self.tally.seconds[kind.name] += time.monotonic() - begin

    def mutant(self, kind: Kind, number: int) -> bytes:
        """Return the mutant of a number; below 0, a sound file."""
        return kind.mutant(max(0, number), dice_of(kind.name, self.seed, number))

    def _keep(self, kind: Kind, number: int, verdict: Verdict) -> None:
        name = f"{kind.name}:{self.seed}:{number}"
        seen = self.tally.reasons[f"{kind.name} {verdict.name}"][verdict.reason]
        if seen > _KEPT_OF_ONE_REASON:
            return
        self.say(f"{verdict.name.upper()}  {name}  {verdict.reason}")
        if self.faults is None:
            return
        self.faults.mkdir(parents=True, exist_ok=True)
        file = self.faults / f"{name.replace(':', '-')}{kind.suffix}"
        file.write_bytes(self.mutant(kind, number))
        said = {"replay": f"--replay {name}", "verdict": verdict.name, "reason": verdict.reason,
                "detail": verdict.detail}  # fmt: skip
        file.with_name(file.name + ".json").write_text(json.dumps(said, indent=1), encoding="utf-8")


def replay(kind: Kind, mutant: bytes, bounds: Bounds | None = None) -> Verdict:
    """Try one mutant in a child of its own."""

    def make(number: int) -> bytes:
        return mutant if number >= 0 else kind.mutant(0, dice_of(kind.name, 0, 0))

    return next(verdict for _, verdict in Children(kind, make, bounds).try_all([0]))


@contextmanager
def loaded(kinds: Sequence[str]) -> Iterator[list[Kind]]:
    """Give the kinds with their corpora, which are written in processes of their own."""
    share_arenas()
    with tempfile.TemporaryDirectory(prefix="stacchip-corpus-") as folder:
        found = []
        for name in kinds:
            kind = kind_of(name)
            place = Path(folder) / name
            place.mkdir()
            _prepare(kind, place)
            kind.load(place)
            found.append(kind)
        yield found


def _prepare(kind: Kind, folder: Path) -> None:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            kind.prepare(folder)
            code = 0
        except BaseException:  # noqa: BLE001 - the parent raises
            import traceback

            traceback.print_exc()
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"the corpus of {kind.name} could not be written")
