"""The steps in which a writer changes what is on the disk, watched in a process of its own.

A step makes a file or folder, opens a file for writing, renames, links, touches or deletes it.
(What a library writes by itself, pyarrow or GDAL, is no step; that it opens a file is.)
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# forked from a server that has imported what takes seconds (see `conftest.py`)
_CONTEXT = multiprocessing.get_context("forkserver")
_LONGEST_S = 200
_NAMES = {
    "os.mkdir": "make",
    "os.rename": "rename",
    "os.remove": "delete",
    "os.rmdir": "delete",
    "os.link": "link",
    "os.symlink": "link",
    "os.truncate": "truncate",
    "os.utime": "touch",
    "os.chmod": "allow",
}
_WITH_FOLDER = ("os.mkdir", "os.remove", "os.rmdir", "os.symlink")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Step:
    """A step of a writer.

    Attributes:
        verb: "make", "open", "rename", "delete", "link", "truncate", "touch" or "allow".
        path: The file or folder, from the watched folder on.
        target: Its new name, if it gets one.
    """

    verb: str
    path: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.path}" + (f" as {self.target}" if self.target else "")


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `function(answer, *arguments)` gave to `answer`; an error is raised.

    The process may be killed afterwards. The function can be imported by its name.
    """
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    assert ours.poll(_LONGEST_S), "the writer hangs"
    is_error, answer = ours.recv()
    process.join(_LONGEST_S)
    assert process.exitcode is not None
    if is_error:
        raise answer
    return answer


def _answer(answers: Any, function: Callable[..., Any], arguments: Any) -> None:
    try:
        function(lambda answer: answers.send((False, answer)), *arguments)
    except BaseException as error:  # noqa: BLE001 - the test raises it
        answers.send((True, error))


class Watch:
    """Calls a function before each step that this process takes below a folder, from now on.

    Args:
        folder: The folder.
        before: The function. If it raises, the step fails with that error.
    """

    def __init__(self, folder: Path, before: Callable[[Step], None]) -> None:
        self._folder = str(folder)
        self._before = before
        self._here = threading.local()
        self.is_on = True
        sys.addaudithook(self._hear)

    def _hear(self, event: str, facts: tuple[Any, ...]) -> None:
        is_step = event in _NAMES or (event == "open" and _is_path(facts[0]) and facts[2] & _WRITES)
        if not is_step or not self.is_on or getattr(self._here, "is_busy", False):
            return
        self._here.is_busy = True
        try:
            step = self._find(event, facts)
            if step is not None:
                self._before(step)
        finally:
            self._here.is_busy = False

    def _find(self, event: str, facts: tuple[Any, ...]) -> Step | None:
        """Return the step of an audit event; None if it is elsewhere."""
        path = self._below(facts[0], facts[-1] if event in _WITH_FOLDER else -1)
        if path is None:
            return None
        if event == "open":
            is_new = facts[2] & os.O_TRUNC or not os.path.lexists(facts[0])
            return Step("make" if is_new else "open", path)
        if event in ("os.rename", "os.link"):
            return Step(_NAMES[event], path, self._below(facts[1]) or os.fsdecode(facts[1]))
        return Step(_NAMES[event], path)

    def _below(self, path: Any, opened: int = -1) -> str | None:
        """Return a path from the folder on; it may be relative to an open folder."""
        if not _is_path(path):
            return None
        start = Path(f"/proc/self/fd/{opened}").readlink() if opened >= 0 else Path.cwd()
        full = Path(start, os.fsdecode(path))
        return str(full)[len(self._folder) :] if full.is_relative_to(self._folder) else None


def _is_path(value: Any) -> bool:
    return isinstance(value, str | bytes | os.PathLike)
