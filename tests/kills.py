"""What a writer leaves on the disk if it is killed before any of its steps.

The writer runs once, in a process of its own, and before each step its folder is copied as it is. A
process that is killed there leaves just that: what it has in memory is lost, its locks are free,
and its number is that of no process, since the writer is killed in the end. So one run shows every
kill, and steps before which nothing has changed are looked at once.

A file that is about to be renamed has been written by then, by Python or by a library. A kill in
the middle of that is shown by a copy in which the file is cut off.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steps import Step, Watch, in_a_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = "STACCHIP_TEST_EVERY_STEP" in os.environ
"""Look at every step, not only at some: the whole sweep, which takes minutes."""


@dataclass(frozen=True)
class Left:
    """What a writer leaves if it is killed before a step.

    Attributes:
        folder: A copy of its folder.
        step: The step that it did not take.
    """

    folder: Path
    step: str


def left_by_kills(
    write: Callable[..., Any], folder: Path, *arguments: Any, copies: Path, every: int = 1
) -> list[Left]:
    """Run a writer, and return what it leaves if it is killed before each of its steps.

    The last one is of a writer that is killed after its last step.

    Args:
        write: Called with the folder and the arguments; it can be imported by its name.
        folder: The folder that it writes to; everything below it is watched.
        *arguments: For the writer.
        copies: A folder to make, for the copies.
        every: Return one of so many steps, and the last, unless `ALL` is set.
    """
    copies.mkdir()
    steps = in_a_process(_copy_steps, write, folder, arguments, copies)
    lefts = [Left(copies / str(number), step) for number, step in enumerate(steps)]
    return lefts if ALL else [*lefts[:-1:every], lefts[-1]]


def kill_before(write: Callable[..., Any], folder: Path, *arguments: Any, step: str) -> None:
    """Run a writer in a process of its own, and kill it before a step.

    Args:
        write: Called with the folder and the arguments; it can be imported by its name.
        folder: The folder that it writes to.
        *arguments: For the writer.
        step: A pattern that is found in the step.
    """
    assert in_a_process(_die, write, folder, arguments, step), "it has no such step"


def _die(
    answer: Callable[[Any], None],
    write: Callable[..., Any],
    folder: Path,
    arguments: Any,
    fatal: str,
) -> None:
    def die(step: Step) -> None:
        if re.search(fatal, str(step)):
            answer(True)
            os.kill(os.getpid(), signal.SIGKILL)

    Watch(folder, die)
    write(folder, *arguments)
    answer(False)


def files_of(folder: Path) -> dict[str, str]:
    """Return what is below a folder by name: digests of files, targets of links, folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[f"{name}/"] = ""
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _copy_steps(
    answer: Callable[[Any], None],
    write: Callable[..., Any],
    folder: Path,
    arguments: Any,
    copies: Path,
) -> None:
    """Run a writer, copy the folder before each step, and be killed."""
    taken = _Copies(folder, copies)
    Watch(folder, taken.take)
    write(folder, *arguments)
    taken.take(Step("end", ""))
    answer(taken.steps)
    os.kill(os.getpid(), signal.SIGKILL)


class _Copies:
    """Copies of a folder at different moments."""

    def __init__(self, folder: Path, copies: Path) -> None:
        self.steps: list[str] = []
        self._folder = folder
        self._copies = copies
        self._last: list[Any] | None = None
        self._renamed: set[int] = set()
        self._lock = threading.Lock()

    def take(self, step: Step) -> None:
        with self._lock:
            self._copy(step)
            if step.verb == "rename":
                self._cut(step)

    def _copy(self, step: Step) -> None:
        while (now := _stat_all(self._folder)) != self._last:
            place = self._copies / str(len(self.steps))
            with suppress(shutil.Error, FileNotFoundError):
                shutil.copytree(self._folder, place, symlinks=True)
            if _stat_all(self._folder) == now:
                self._last = now
                self.steps.append(str(step))
            else:  # another thread went on: a copy of two moments is of none
                shutil.rmtree(place, ignore_errors=True)

    def _cut(self, step: Step) -> None:
        """Copy the folder as it was while a file was written that is about to be renamed."""
        facts = (self._folder / step.path.lstrip("/")).lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_ino in self._renamed:
            return
        self._renamed.add(facts.st_ino)
        before, place = (self._copies / str(len(self.steps) - back) for back in (1, 0))
        shutil.copytree(before, place, symlinks=True)
        os.truncate(place / step.path.lstrip("/"), facts.st_size // 2)
        self.steps.append(f"write the second half of {step.path}")


def _stat_all(folder: Path) -> list[Any]:
    """Return what tells whether anything below a folder has changed."""
    found: list[Any] = []
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):
            facts = path.lstat()
            is_folder = stat.S_ISDIR(facts.st_mode)
            found.append((path, is_folder or (facts.st_ino, facts.st_size, facts.st_mtime_ns)))
    return found
