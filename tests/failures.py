"""Writers of which a step fails: a full disk, a quota, a disk that was mounted again read-only."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kills import ALL, files_of
from steps import Step, Watch, in_a_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Failure:
    """What became of a writer of which a step failed.

    Attributes:
        step: The first step that failed.
        error: The error that it raised; None if none.
        files: The files of the folder afterwards, by `kills.files_of`.
    """

    step: str
    error: BaseException | None
    files: dict[str, str]


def failures_of(
    write: Callable[..., Any], folder: Path, *arguments: Any, code: int, every: int = 1
) -> list[Failure]:
    """Run a writer again and again, each time on the same folder, and let another step fail first.

    The steps after it fail, too. On a full disk, files can still be opened and deleted.

    Args:
        write: Called with the folder and the arguments; it can be imported by its name.
        folder: The folder that it writes to. At the end it is as at the beginning.
        *arguments: For the writer.
        code: The error of the system.
        every: Take one of so many steps, unless `kills.ALL` is set.
    """
    failures: list[Failure] = in_a_process(
        _fail_steps, write, folder, arguments, code, 1 if ALL else every
    )
    return failures


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Let no file grow beyond a limit; anyone may do this, and it fails where a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def few_open_files(more: int) -> Iterator[None]:
    """Let this process open so many files more than it has open."""
    taken = {int(place.name) for place in Path("/dev/fd").iterdir()}
    free = (number for number in count() if number not in taken)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(islice(free, more, None)), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _fail_steps(
    answer: Callable[[Any], None],
    write: Callable[..., Any],
    folder: Path,
    arguments: Any,
    code: int,
    every: int,
) -> None:
    kept = folder.with_name(f"{folder.name}-kept")
    shutil.copytree(folder, kept, symlinks=True)
    disk = _Disk(folder, code)
    watch = Watch(folder, disk.fail)
    failures: list[Failure] = []
    while disk.step is not None or not failures:
        disk.fail_at(len(failures) * every)
        watch.is_on = True
        error = _error_of(write, folder, *arguments)
        watch.is_on = False
        if disk.step is None:
            assert error is None, error
            failures.append(Failure("", None, {}))
        else:
            failures.append(Failure(disk.step, error, files_of(folder)))
        shutil.rmtree(folder)
        shutil.copytree(kept, folder, symlinks=True)
    shutil.rmtree(kept)
    answer(failures[:-1])


def _error_of(write: Callable[..., Any], *arguments: Any) -> BaseException | None:
    try:
        write(*arguments)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        error.__cause__ = error.__context__ = None  # what it was raised from may not be picklable
        return error
    return None


class _Disk:
    """A disk on which every step fails from one on."""

    def __init__(self, folder: Path, code: int) -> None:
        self.step: str | None = None
        self._folder = folder
        self._code = code
        self._left = 0

    def fail_at(self, number: int) -> None:
        self.step, self._left = None, number

    def fail(self, step: Step) -> None:
        if self._code in (errno.ENOSPC, errno.EDQUOT) and step.verb not in ("make", "rename"):
            return
        if self._left:
            self._left -= 1
            return
        self.step = self.step or str(step)
        paths = [f"{self._folder}{path}" for path in (step.path, step.target) if path]
        raise OSError(self._code, os.strerror(self._code), *paths[:1], None, *paths[1:])
