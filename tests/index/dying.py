"""Writers in processes of their own, which die when they are told to.

The processes are forked from a server that has imported everything (see `tests/conftest.py`).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacchip.index import merge_indexes, remove

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

_CONTEXT = multiprocessing.get_context("forkserver")


def merge(index: Path, source: Path) -> None:
    merge_indexes(source, index)


def remove_item(index: Path, item_id: str) -> None:
    remove(index, item_id=item_id)


def start(
    write: Callable[..., None], index: Path, *arguments: Any, die_at: int = -1
) -> BaseProcess:
    """Start a writer of an index.

    Args:
        write: The writer, called with the index and the arguments.
        index: Folder of the index.
        *arguments: For the writer.
        die_at: Die before this many-th file is renamed to its place in the folder or deleted there.
    """
    process = _CONTEXT.Process(target=_run, args=(write, index, arguments, die_at))
    process.start()
    return process


def _run(write: Callable[..., None], index: Path, arguments: Any, die_at: int) -> None:
    steps = 0

    def watch(event: str, facts: tuple[Any, ...]) -> None:
        nonlocal steps
        if event in ("os.rename", "os.remove"):
            target = Path(os.fspath(facts[1 if event == "os.rename" else 0]))
            if target.parent == index:
                if steps == die_at:
                    os._exit(9)
                steps += 1

    if die_at >= 0:
        sys.addaudithook(watch)
    write(index, *arguments)
