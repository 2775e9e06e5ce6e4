"""Many concurrent calls of a function that waits for stores, within one call of our own."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from stacchip.runtime.pools import requesters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextvars import Context

    from stacchip.runtime.workers import Workers

T = TypeVar("T")
R = TypeVar("R")


def _submit(workers: Workers, function: Callable[[T], R], argument: T) -> Future[R]:
    future: Future[R] = Future()
    context = copy_context()  # the log tells the task of the caller
    workers.submit(partial(_run, future, context, function, argument))
    return future


def _run(future: Future[R], context: Context, function: Callable[[T], R], argument: T) -> None:
    try:
        if future.set_running_or_notify_cancel():
            future.set_result(context.run(function, argument))
    except BaseException as error:  # noqa: BLE001 - handed to the caller
        future.set_exception(error)
    finally:
        del future  # or an error that it holds, and open files, wait for a garbage collection


def map_concurrently(
    function: Callable[[T], R], arguments: Iterable[T], *, workers: Workers | None = None
) -> list[R]:
    """Call a function once for each argument, all at the same time; the function waits on I/O.

    The results are in the order of the arguments. The calling thread makes the last call itself. If
    calls fail, the first error in that order is raised, and calls that have not begun are
    cancelled.

    Args:
        function: Must not itself call `map_concurrently` with the same workers.
        arguments: One for each call.
        workers: The threads to use; `pools.requesters()` by default.

    Example:
        >>> map_concurrently(abs, [1, -2, 3])
        [1, 2, 3]
    """
    items = list(arguments)
    if len(items) <= 1:
        return [function(item) for item in items]
    pool = workers or requesters()
    pending = deque(_submit(pool, function, item) for item in items[:-1])
    try:
        last = function(items[-1])
        results: list[R] = []
        while pending:
            results.append(pending.popleft().result())  # without a name, for the same reason
        return [*results, last]
    finally:
        for future in pending:
            future.cancel()


def stream_concurrently(
    function: Callable[[T], R], arguments: Iterable[T], *, ahead: int
) -> Iterator[R]:
    """Yield the results of a function that waits on I/O, in order, with `ahead` calls under way.

    Example:
        >>> list(stream_concurrently(abs, [1, -2, 3], ahead=2))
        [1, 2, 3]
    """
    workers = requesters()
    pending: deque[Future[R]] = deque()
    try:
        for argument in arguments:
            pending.append(_submit(workers, function, argument))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def read_ahead(values: Iterator[T]) -> Iterator[T]:
    """Yield values while the next one is made, by one thread after another.

    Example:
        >>> list(read_ahead(iter([1, 2, 3])))
        [1, 2, 3]
    """
    end: Any = object()

    def make(_: None) -> T:
        return next(values, end)

    pending = _submit(requesters(), make, None)
    try:
        while (value := pending.result()) is not end:
            pending = _submit(requesters(), make, None)
            yield value
    finally:
        if not pending.cancel():  # what it reads may be closed next
            pending.exception()
