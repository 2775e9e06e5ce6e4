"""Values of one kind by name: built in, registered by a call, or named by installed packages.

A package names its values in an entry point, so that it need not be imported first:

```toml
[project.entry-points."GROUP"]
a-name = "my_package.my_module:MY_VALUE"
```

The entry point may also name an iterable of values.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from stacchip.errors import StacchipError


class Named(Protocol):
    """A value that a registry can hold."""

    @property
    def name(self) -> str:
        """The name by which it is found."""
        ...

    @property
    def title(self) -> str:
        """A name for people."""
        ...


V = TypeVar("V", bound=Named)


class Registry(Generic[V]):
    """Values by name, in the order in which they were registered.

    Entry points are loaded when a value is registered, when all values are asked for, or when a
    name is not known yet. A broken entry point raises its error then, and again the next time.

    Args:
        kind: The type of the values.
        address: The public address of that type, for messages.
        built_in: The values to begin with.
        group: The group of the entry points that name more values; None for no entry points.
        error: The type of the errors to raise.
    """

    def __init__(
        self,
        kind: type[V],
        address: str,
        built_in: Iterable[V],
        *,
        group: str | None,
        error: type[StacchipError],
    ) -> None:
        self._kind = kind
        self._address = address
        self._group = group
        self._error = error
        self._lock = threading.RLock()
        self._values = {value.name: value for value in built_in}
        self._is_loaded = False

    def register(self, value: V, *, replace: bool = False) -> None:
        """Add a value; adding the same one again only makes it the latest.

        Raises:
            StacchipError: It is of another type, or another value has its name and `replace` is
                False. The error has the type given as `error` when the registry was made.
        """
        if not isinstance(value, self._kind):
            raise self._error(f"{value!r} is not a {self._kind.__name__}. Pass a {self._address}.")
        with self._lock:
            self._load()
            self._add(value, replace=replace)

    def find(self, name: str) -> V | None:
        """Return the value of a name, or None if there is none."""
        with self._lock:
            if name not in self._values:
                self._load()
            return self._values.get(name)

    def all(self) -> tuple[V, ...]:
        """Return every value, the latest registered last."""
        with self._lock:
            self._load()
            return tuple(self._values.values())

    def _add(self, value: V, *, replace: bool) -> None:
        known = self._values.get(value.name)
        if known is not None and known != value and not replace:
            raise self._error(
                f"A {self._kind.__name__.lower()} named {value.name!r} is there already "
                f"({known.title}), and differs. Give yours another name, or pass replace=True."
            )
        # the latest comes last, even if it replaces one
        self._values.pop(value.name, None)
        self._values[value.name] = value

    def _load(self) -> None:
        """Load the entry points, once."""
        if self._is_loaded or self._group is None:
            return
        for point in entry_points(group=self._group):
            for value in self._load_entry_point(point):
                self._add(value, replace=False)
        self._is_loaded = True

    def _load_entry_point(self, point: EntryPoint) -> tuple[V, ...]:
        where = f"Entry point {point.name!r} = {point.value!r} of group {self._group!r}"
        try:
            loaded = point.load()
        except Exception as error:
            raise self._error(
                f"{where} cannot be loaded: {error}. Mend or uninstall the package that declares "
                "it."
            ) from error
        is_many = isinstance(loaded, Iterable) and not isinstance(loaded, self._kind)
        values = tuple(loaded) if is_many else (loaded,)
        for value in values:
            if not isinstance(value, self._kind):
                raise self._error(
                    f"{where} gives {value!r}, which is not a {self._kind.__name__}. Name a "
                    f"{self._address}, or several."
                )
        return values
