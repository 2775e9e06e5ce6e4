"""The items that are open: each is opened once, and the last used are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import CancelledError, Future
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from stacchip.errors import StacchipError
from stacchip.runtime.per_process import PerProcess
from stacchip.runtime.pools import fetchers

if TYPE_CHECKING:
    from collections.abc import Callable

    Name = tuple[str, str]


class Opened(Protocol):
    """An item that is open."""

    @property
    def is_read_by_gdal(self) -> bool:
        """True if GDAL reads one of its files."""


T = TypeVar("T", bound=Opened)
E = TypeVar("E", bound=StacchipError)


@dataclass
class _Kept(Generic[T]):
    """The items of one process, by platform and id: open, being opened, or failed."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    items: OrderedDict[Name, Future[T]] = field(default_factory=OrderedDict)
    by_gdal: set[Name] = field(default_factory=set)
    failed: set[Name] = field(default_factory=set)

    def drop(self, name: Name) -> None:
        """Forget an item. The caller holds the lock."""
        del self.items[name]
        self.by_gdal.discard(name)


class OpenItems(Generic[T]):
    """Opens items, each once while it is kept, and several at the same time.

    Threads that ask for the same item share one opening. A forked process begins with no items:
    those that its parent was opening would never be ready, and its parent's files are not its own.

    Args:
        most: Number of items to keep: those used last.
        most_by_gdal: Number to keep of items whose files GDAL reads, if it is smaller. GDAL holds
            a local file open, and a remote one in memory as a whole.
        keep_failures: If an item cannot be opened, raise the same error at each call until
            `forget_failures`. Without this, the next call tries to open the item.
    """

    def __init__(
        self, most: int, *, most_by_gdal: int | None = None, keep_failures: bool = False
    ) -> None:
        self._limits = (most, most if most_by_gdal is None else most_by_gdal, keep_failures)
        self._kept: PerProcess[_Kept[T]] = PerProcess(_Kept)

    def __reduce__(self) -> tuple[Any, ...]:
        most, most_by_gdal, keep_failures = self._limits
        return partial(OpenItems, most_by_gdal=most_by_gdal, keep_failures=keep_failures), (most,)

    def prepare(self, name: Name, open_item: Callable[[], T]) -> None:
        """Begin to open an item in the background, unless it is open or being opened."""
        self._find(name, open_item, self._submit)

    def get(self, name: Name, open_item: Callable[[], T]) -> T:
        """Return an item; wait for it if it is being opened.

        Args:
            name: Its platform and id.
            open_item: Opens it, if it is not open.

        Raises:
            StacchipError: It cannot be opened.
        """
        while True:
            future = self._find(name, open_item, self._fill)
            try:
                error = future.exception()
            except CancelledError:  # the thread that was opening it was interrupted
                continue
            if isinstance(error, StacchipError):
                raise again(error)
            return future.result()

    def forget_failures(self) -> None:
        """Let items that could not be opened be tried again."""
        kept = self._kept.get()
        with kept.lock:
            for name in kept.failed & kept.items.keys():
                kept.drop(name)
            kept.failed.clear()

    def _find(
        self,
        name: Name,
        open_item: Callable[[], T],
        fill: Callable[[Name, Callable[[], T], Future[T]], None],
    ) -> Future[T]:
        """Return the item's future; call `fill` if no thread has started to open it."""
        kept = self._kept.get()
        with kept.lock:
            if name in kept.items:
                kept.items.move_to_end(name)
                return kept.items[name]
        own: Future[T] = Future()
        try:
            with kept.lock:
                future = kept.items.setdefault(name, own)
                while len(kept.items) > self._limits[0]:
                    kept.drop(next(iter(kept.items)))
            if future is own:
                fill(name, open_item, own)
        except BaseException:
            self._give_up(name, own)  # or others would wait for it for ever
            raise
        return future

    def _submit(self, name: Name, open_item: Callable[[], T], future: Future[T]) -> None:
        fetchers().submit(partial(self._fill_ahead, name, open_item, future))

    def _fill_ahead(self, name: Name, open_item: Callable[[], T], future: Future[T]) -> None:
        try:
            self._fill(name, open_item, future)
        except BaseException:  # noqa: BLE001 - `get` opens the item again, and raises
            self._give_up(name, future)

    def _fill(self, name: Name, open_item: Callable[[], T], future: Future[T]) -> None:
        _, most_by_gdal, keep_failures = self._limits
        kept = self._kept.get()
        try:
            item = open_item()
        except StacchipError as error:
            with kept.lock:
                if keep_failures:
                    kept.failed.add(name)
                elif kept.items.get(name) is future:
                    kept.drop(name)
            future.set_exception(error)
            return
        future.set_result(item)
        if item.is_read_by_gdal:
            with kept.lock:
                kept.by_gdal.add(name)
                by_gdal = [each for each in kept.items if each in kept.by_gdal]
                for each in by_gdal[:-most_by_gdal]:
                    kept.drop(each)

    def _give_up(self, name: Name, future: Future[T]) -> None:
        """Forget an item whose opening ended early; a thread that waits for it then opens it."""
        kept = self._kept.get()
        with kept.lock:
            if kept.items.get(name) is future:
                kept.drop(name)
        future.cancel()


def again(error: E) -> E:
    """Return a copy of a kept error: raising the error itself would make its traceback grow."""
    new = copy(error)
    new.__cause__ = error.__cause__
    return new.with_traceback(error.__traceback__)
