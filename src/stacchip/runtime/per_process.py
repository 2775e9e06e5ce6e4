"""State that belongs to one process: a forked child starts with none of its parent's."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_ALL: WeakSet[PerProcess[Any]] = WeakSet()


class PerProcess(Generic[T]):
    """A value made on first use in each process, one for all its threads.

    Connections and locks must not cross a fork: a child that inherited them would answer its
    parent's requests, or wait for a thread that does not exist in it.

    Args:
        make: Makes the value.

    Example:
        >>> names = PerProcess(dict)
        >>> names.get() is names.get()
        True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: T | None = None
        self._inherited: list[T] = []
        self.was_used_before_fork = False
        _ALL.add(self)

    def get(self) -> T:
        """The value of this process."""
        value = self._value
        if value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._make()
                value = self._value
        return value

    def is_made(self) -> bool:
        """Whether this process has used it."""
        return self._value is not None

    def forget(self) -> None:
        """Start anew in a forked child; what was inherited is kept from being finalised."""
        self._lock = threading.Lock()
        if self._value is not None:
            self._inherited.append(self._value)
            self.was_used_before_fork = True
        self._value = None


def _forget_all() -> None:
    for state in tuple(_ALL):
        state.forget()


os.register_at_fork(after_in_child=_forget_all)
