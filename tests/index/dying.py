"""Writers of indexes, to be run in processes of their own, which are killed or fail.

The processes are forked from a server that has imported everything (see `tests/conftest.py`).
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacchip.index import (
    add_headers,
    append_to_index,
    compact_index,
    merge_indexes,
    read_index,
    remove,
    write_index,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

_CONTEXT = multiprocessing.get_context("forkserver")


def merge(index: Path, source: Path) -> None:
    merge_indexes(source, index)


def merge_into_itself(index: Path, source: Path) -> None:
    merge_indexes([index, source], index, duplicates="drop")


def append(index: Path, source: Path) -> None:
    append_to_index(index, source, duplicates="drop")


def append_anew(index: Path, source: Path) -> None:
    append_to_index(index, source, duplicates="replace")


def compact(index: Path) -> None:
    compact_index(index)


def remove_item(index: Path, item_id: str) -> None:
    remove(index, item_id=item_id)


def write(index: Path, source: Path) -> None:
    write_index(read_index(source), index)


def remove_source(index: Path, platform: str) -> None:
    remove(index, platform=platform)


def read_headers(index: Path, assets: list[str]) -> None:
    add_headers(index, assets)


def inside(folder: Path, write: Callable[..., None], name: str, *arguments: Any) -> None:
    """Write an index of this name in a folder."""
    write(folder / name, *arguments)


def index_items(folder: Path, name: str, item: Path) -> None:
    from stacchip.indexer import index_items

    index_items(item, folder / name, stats=False)


def start(write: Callable[..., None], index: Path, *arguments: Any) -> BaseProcess:
    """Start a writer, called with the index and the arguments."""
    process = _CONTEXT.Process(target=write, args=(index, *arguments))
    process.start()
    return process
