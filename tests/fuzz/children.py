"""Children: processes with limits, in which mutants are tried many at a time.

The parent has imported everything, and forks. A child announces each mutant before it tries it, so
that whatever ends the child is put down to that mutant. Every fault is tried again in a child of
its own: what only a crowd shows is said to be so.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .verdicts import CRASH, HANG, MEMORY, UNJUDGED, Verdict, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .kinds import Kind

BATCH: Final = 300
_TIRED_BYTES: Final = 256 << 20  # a child that has grown by this much makes room for a fresh one
_WARM_UP_S: Final = 60.0
_MOST_SILENCES: Final = 2
_ARENAS: Final = -8  # M_ARENA_MAX of glibc's mallopt


@dataclass(frozen=True)
class Bounds:
    """What one mutant may use: memory above that of a child that has read one file, and time."""

    memory_bytes: int = 1 << 30
    seconds: float = 10.0


class Children:
    """Tries mutants of one kind in child processes, one process at a time.

    Args:
        kind: The kind, loaded.
        make: Returns the mutant of a number.
        bounds: The limits of each mutant.
    """

    def __init__(
        self, kind: Kind, make: Callable[[int], bytes], bounds: Bounds | None = None
    ) -> None:
        self._kind = kind
        self._make = make
        self._bounds = bounds or Bounds()

    def try_all(self, numbers: Sequence[int]) -> Iterator[tuple[int, Verdict]]:
        """Yield each number with the verdict on its mutant."""
        rest = list(numbers)
        while rest:
            batch = rest[:BATCH]
            done = 0
            for number, verdict in self._try_batch(batch):
                done += 1
                yield number, self._confirm(number, verdict) if verdict.is_fault else verdict
            rest = rest[done:]

    def _confirm(self, number: int, verdict: Verdict) -> Verdict:
        """Try a fault again by itself; a machine at its limit makes hangs that are none."""
        alone = next((found for _, found in self._try_batch([number])), verdict)
        if alone.is_fault:
            return alone
        if verdict.name in (HANG, MEMORY):
            return alone  # other mutants, or the machine, had used up time or memory
        return replace(verdict, reason=f"{verdict.reason} (only after other mutants)")

    def _try_batch(self, numbers: Sequence[int]) -> Iterator[tuple[int, Verdict]]:
        """Yield verdicts until a child ends: all of them, or those up to the one that ended it."""
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            os.close(reading)
            _live(self._kind, self._make, self._bounds, numbers, writing)
        os.close(writing)
        folder = _folder_of(pid)
        try:
            with os.fdopen(reading, "rb") as pipe:
                yield from self._listen(pid, pipe)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            shutil.rmtree(folder, ignore_errors=True)

    def _listen(self, pid: int, pipe: Any) -> Iterator[tuple[int, Verdict]]:
        current: int | None = None
        is_judging = False
        silences = 0
        for what, rest in self._lines(pipe):
            if what == "begin":
                current, is_judging, silences = int(rest), False, 0
            elif what == "judge":
                is_judging = True
            elif what == "verdict" and current is not None:
                yield current, Verdict(**json.loads(rest))
                current = None
            elif what == "silence" and current is not None:
                yield current, Verdict(UNJUDGED if is_judging else HANG, rest, rest)
                return
            elif what == "silence" and silences < _MOST_SILENCES:
                silences += 1  # between mutants a child only makes the next: the machine is slow
            else:
                raise RuntimeError(f"the fuzzer itself failed: {what} {rest}")
        _, status = os.waitpid(pid, 0)
        if current is not None:
            name = _name_of(status)
            yield current, Verdict(UNJUDGED if is_judging else CRASH, name, name)

    def _lines(self, pipe: Any) -> Iterator[tuple[str, str]]:
        """Yield what a child says, word and rest; "silence" if it says nothing for too long."""
        buffer, seconds = b"", _WARM_UP_S
        while True:
            ready, _, _ = select.select([pipe], [], [], seconds)
            if not ready:
                yield "silence", f"more than {seconds:.0f} s"
                continue
            part = os.read(pipe.fileno(), 65536)
            if not part:
                return
            seconds = self._bounds.seconds
            *lines, buffer = (buffer + part).split(b"\n")
            for line in lines:
                what, _, rest = line.decode().partition(" ")
                yield what, rest


def _name_of(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.WEXITSTATUS(status)}"


def _folder_of(pid: int) -> Path:
    return Path(tempfile.gettempdir()) / f"stacchip-fuzz-{pid}"


def _live(
    kind: Kind,
    make: Callable[[int], bytes],
    bounds: Bounds,
    numbers: Sequence[int],
    pipe: int,
) -> None:
    """Try the mutants, in the child; never returns."""

    def say(what: str, rest: str = "") -> None:
        os.write(pipe, f"{what} {rest}\n".encode())

    try:
        gc.freeze()
        _be_quiet()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        folder = _folder_of(os.getpid())
        folder.mkdir()
        with contextlib.suppress(Exception):  # threads and caches that any first read makes
            kind.attempt(make(-1), folder, lambda: None)
        start = limit_memory(bounds.memory_bytes)
        for number in numbers:
            mutant = make(number)
            say("begin", str(number))
            verdict = _attempt(kind, mutant, folder, lambda: say("judge"))
            say("verdict", json.dumps(asdict(verdict)))
            if address_space() > start + _TIRED_BYTES:
                break
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        with contextlib.suppress(BaseException):
            say("broken", json.dumps(repr(error) + verdict_of(error).detail))
    os._exit(0)


def _attempt(kind: Kind, mutant: bytes, folder: Path, judging: Callable[[], None]) -> Verdict:
    try:
        return kind.attempt(mutant, folder, judging)
    except Exception as error:  # noqa: BLE001 - that is what a verdict is about
        return verdict_of(error)


def _be_quiet() -> None:
    """Let nothing that libraries print reach the terminal."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def limit_memory(more_bytes: int) -> int:
    """Let this process have so much more than now; return what it has now."""
    start = address_space()
    resource.setrlimit(resource.RLIMIT_AS, (start + more_bytes, start + more_bytes))
    return start


def address_space() -> int:
    """Return the size of this process's address space in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def share_arenas() -> None:
    """Let all threads share two arenas: each would reserve 64 MB of address space."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_ARENAS, 2)
