"""State of one process; a forked child starts with none of its parent's."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_ALL: WeakSet[PerProcess[Any]] = WeakSet()
# values of a parent process: a child that finalised them could close what the parent still uses
_INHERITED: list[Any] = []


class PerProcess(Generic[T]):
    """A value made on first use in each process, and shared by its threads.

    Connections and locks must not cross a fork: a child that inherited them would read its parent's
    answers, or wait for a thread that it does not have.

    Args:
        make: Makes the value.

    Attributes:
        was_used_before_fork: True in a forked child whose parent had made a value.

    Example:
        >>> names = PerProcess(dict)
        >>> names.get() is names.get()
        True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: T | None = None
        self.was_used_before_fork = False
        _ALL.add(self)

    def get(self) -> T:
        """Return the value of this process."""
        value = self._value
        if value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._make()
                value = self._value
        return value

    def peek(self) -> T | None:
        """Return the value of this process; None if it was not made."""
        return self._value

    def forget(self) -> None:
        """Start afresh in a forked child, without finalising the parent's value."""
        self._lock = threading.Lock()
        if self._value is not None:
            _INHERITED.append(self._value)
            self.was_used_before_fork = True
        self._value = None


def _forget_all() -> None:
    for state in tuple(_ALL):
        state.forget()


os.register_at_fork(after_in_child=_forget_all)
