"""Writers of indexes and cubes in processes of their own, which die when they are told to.

The processes are forked from a server that has imported everything (see `tests/conftest.py`).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacchip.index import add_headers, merge_indexes, read_index, remove, write_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

_CONTEXT = multiprocessing.get_context("forkserver")


def merge(index: Path, source: Path) -> None:
    merge_indexes(source, index)


def remove_item(index: Path, item_id: str) -> None:
    remove(index, item_id=item_id)


def write(index: Path, source: Path) -> None:
    write_index(read_index(source), index)


def remove_source(index: Path, platform: str) -> None:
    remove(index, platform=platform)


def read_headers(index: Path, assets: list[str]) -> None:
    add_headers(index, assets)


def start(
    write: Callable[..., None],
    index: Path,
    *arguments: Any,
    die_at: int = -1,
    at_any_step: bool = False,
) -> BaseProcess:
    """Start a writer of an index.

    Args:
        write: The writer, called with the index and the arguments.
        index: Folder of the index.
        *arguments: For the writer.
        die_at: Die before this many-th file is renamed to its place in the folder or deleted there.
        at_any_step: Count whatever is opened, made, renamed, locked or deleted there instead.
    """
    process = _CONTEXT.Process(target=_run, args=(write, index, arguments, die_at, at_any_step))
    process.start()
    return process


_STEPS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree")


def _run(
    write: Callable[..., None], index: Path, arguments: Any, die_at: int, at_any_step: bool
) -> None:
    steps = 0

    def watch_all(event: str, facts: tuple[Any, ...]) -> None:
        nonlocal steps
        is_there = event in _STEPS and isinstance(facts[0], (str, os.PathLike))
        if is_there and os.fspath(facts[0]).startswith(str(index)):
            if steps == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

    def watch(event: str, facts: tuple[Any, ...]) -> None:
        nonlocal steps
        if event in ("os.rename", "os.remove"):
            target = Path(os.fspath(facts[1 if event == "os.rename" else 0]))
            if target.parent == index:
                if steps == die_at:
                    os._exit(9)
                steps += 1

    if die_at >= 0:
        sys.addaudithook(watch_all if at_any_step else watch)
    write(index, *arguments)
