"""Names that a caller gives: several, or one as a plain string."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stacchip.errors import UsageError


def names_of(given: Any, argument: str) -> tuple[str, ...]:
    """Return the names that an argument holds; a plain string is one name.

    Without this, `assets="red"` would be the assets `r`, `e` and `d`.

    Args:
        given: A string, or strings in any collection.
        argument: The argument's name, for the error.

    Raises:
        UsageError: A plain string holds a comma, as on a command line, or a name is no string.

    Example:
        >>> names_of("red", "assets"), names_of(["red", "nir"], "assets")
        (('red',), ('red', 'nir'))
        >>> names_of("red,nir", "assets")
        Traceback (most recent call last):
        stacchip.errors.UsageError: assets is one name, 'red,nir'. For several, give a list: \
assets=['red', 'nir'].
    """
    if isinstance(given, str):
        if "," in given:
            several = [name.strip() for name in given.split(",") if name.strip()]
            raise UsageError(
                f"{argument} is one name, {given!r}. For several, give a list: "
                f"{argument}={several}."
            )
        return (given,)
    names = tuple(given) if isinstance(given, Iterable) else (given,)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise UsageError(f"{argument} must be names, as strings, not {wrong[0]!r}.")
    return names
