"""Many items into one index: each is indexed by itself, and all are merged at the end."""

from __future__ import annotations

import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stacchip import console
from stacchip.chipper.headers import gather_headers
from stacchip.errors import DuplicateChips, StacchipError
from stacchip.index import merge_indexes, read_index, write_index
from stacchip.index.layout import is_file
from stacchip.items import platform_name
from stacchip.sources import find_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pystac

    from stacchip.indexer import ChipIndexer
    from stacchip.storage import Storage

_AT_ONCE = 4  # an item uses all cores while it decodes, and waits for its store before


@dataclass(frozen=True)
class Failed:
    """What could not be read as an item: where it is, and why."""

    id: str
    error: StacchipError


@dataclass(frozen=True)
class Made:
    """What was indexed.

    Attributes:
        items: How many items.
        chips: How many chips.
        skipped: What was left out: item id and error.
    """

    items: int
    chips: int
    skipped: tuple[tuple[str, StacchipError], ...]


def index_items(
    items: Iterable[pystac.Item | Failed],
    output: str,
    make: Callable[[pystac.Item], ChipIndexer],
    storage: Storage,
    *,
    headers: bool = True,
    errors: Literal["raise", "skip"] = "raise",
) -> Made:
    """Index items, several at a time, and write one index; memory holds a few items.

    Args:
        items: The items, and what could not be read as one.
        output: Folder or parquet file of the index.
        make: The indexer of an item.
        storage: Where files are read from, and the index is written to.
        headers: Whether headers of the items' files are kept.
        errors: `"skip"` leaves out items that fail, and tells which.

    Raises:
        DuplicateChips: An item came twice, and `errors="raise"`; no index is written.
        StacchipError: An item failed otherwise, and `errors="raise"`; no index is written.
    """
    keep_headers = headers and not is_file(output)
    skipped: list[tuple[str, StacchipError]] = []
    done = chips = 0
    with tempfile.TemporaryDirectory(prefix="stacchip-index-") as folder:

        def index_one(number: int, item: pystac.Item | Failed) -> int:
            if isinstance(item, Failed):
                raise item.error
            indexer = make(item)
            table = indexer.create_index()
            gathered = gather_headers([indexer.item], storage=storage) if keep_headers else None
            write_index(table, Path(folder, f"{number:08}"), headers=gathered, storage=storage)
            return int(table.num_rows)

        with (
            ThreadPoolExecutor(_AT_ONCE, "stacchip-index") as pool,
            console.progress("Indexing", total=None) as advance,
        ):
            running: deque[tuple[str, Future[int]]] = deque()

            def finish(at_most: int) -> None:
                nonlocal done, chips
                while len(running) > at_most:
                    item_id, future = running.popleft()
                    try:
                        chips += future.result()
                    except StacchipError as error:
                        if errors == "raise":
                            pool.shutdown(wait=False, cancel_futures=True)
                            raise
                        skipped.append((item_id, error))
                    else:
                        done += 1
                    advance(item_id)

            for number, item in enumerate(_fail_repeats(items)):
                running.append((item.id, pool.submit(index_one, number, item)))
                finish(at_most=2 * _AT_ONCE)
            finish(at_most=0)
        if done:
            _merge(folder, output, storage)
    return Made(done, chips, tuple(skipped))


def _fail_repeats(items: Iterable[pystac.Item | Failed]) -> Iterator[pystac.Item | Failed]:
    """The items; one that has come before has failed, since its chips would be there twice."""
    seen: set[tuple[str, str]] = set()
    for item in items:
        if isinstance(item, Failed):
            yield item
            continue
        platform = platform_name(item, find_source(item))
        if (platform, item.id) in seen:
            error = DuplicateChips(
                f"Item {item.id!r} ({platform}) comes twice. Name it once, or leave out what "
                "comes again with --skip-errors.",
                item_id=item.id,
                platform=platform,
            )
            yield Failed(item.id, error)
            continue
        seen.add((platform, item.id))
        yield item


def _merge(folder: str, output: str, storage: Storage) -> None:
    """The indexes in a folder as one: a folder, or a single file."""
    if is_file(output):
        write_index(read_index(folder, storage=storage), output, storage=storage)
    else:
        merge_indexes(folder, output, storage=storage)
