"""The name of the task that a thread works on, for the log: which row of which tile."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
R = TypeVar("R")

current_task: ContextVar[str | None] = ContextVar("current_task", default=None)
"""What this thread works on, such as `row 7 (29RKH)`; None outside a task."""


@contextmanager
def named_task(name: str) -> Iterator[None]:
    """Work on a task: what is logged meanwhile can be told to be about it.

    Threads that are started meanwhile know the name if they run functions of `in_this_task`;
    those of `map_concurrently` and `stream_concurrently` always do.

    Example:
        >>> with named_task("row 7 (29RKH)"):
        ...     current_task.get()
        'row 7 (29RKH)'
        >>> current_task.get() is None
        True
    """
    token = current_task.set(name)
    try:
        yield
    finally:
        current_task.reset(token)


def in_this_task(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that belongs to the caller's task in whichever thread it runs.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with named_task("row 7 (29RKH)"), ThreadPoolExecutor(1) as pool:
        ...     pool.submit(in_this_task(current_task.get)).result()
        'row 7 (29RKH)'
    """
    caller = copy_context()

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # a context can be entered by one thread at a time, so each call has its own copy
        return caller.copy().run(function, *args, **kwargs)

    return run
