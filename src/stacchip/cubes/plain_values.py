"""Settings as plain values, which JSON can hold and which compare as they mean."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np

from stacchip.errors import UsageError
from stacchip.items.dates import Period
from stacchip.runtime.names import names_of
from stacchip.runtime.odd_values import ODD_VALUES

__all__ = ["plain_box", "plain_names", "plain_number", "plain_period"]


def plain_number(name: str, value: Any) -> float | None:
    """Return a number as a float; None stays None.

    Raises:
        UsageError: It is no number.

    Example:
        >>> import numpy
        >>> plain_number("max_cloud", numpy.float64(0.5))
        0.5
    """
    if value is None:
        return None
    try:
        return float(_no_text(value))
    except ODD_VALUES as error:
        raise UsageError(f"{name}= takes a number, not {reprlib.repr(value)}.") from error


def plain_box(name: str, value: Any) -> tuple[float, ...] | None:
    """Return the sides of a box as floats; None stays None.

    Raises:
        UsageError: They are no numbers.
    """
    if value is None:
        return None
    try:
        return tuple(float(_no_text(side)) for side in _no_text(value))
    except ODD_VALUES as error:
        raise UsageError(
            f"{name}= takes xmin, ymin, xmax, ymax in degrees, not {reprlib.repr(value)}."
        ) from error


def plain_names(name: str, value: Any) -> tuple[str, ...] | None:
    """Return names in their order, those of a set sorted; None stays None.

    Raises:
        UsageError: One is no text.

    Example:
        >>> plain_names("item_id", {"b", "a"}), plain_names("item_id", "a,b")
        (('a', 'b'), ('a,b',))
    """
    if value is None:
        return None
    if isinstance(value, str):
        return (str(value),)  # an id may hold a comma
    if not isinstance(value, Iterable):
        raise UsageError(f"{name}= takes names, not {reprlib.repr(value)}.")
    texts = [each.as_py() if hasattr(each, "as_py") else each for each in value]
    names = tuple(map(str, names_of(texts, name)))
    return tuple(sorted(names)) if isinstance(value, set | frozenset) else names


def plain_period(name: str, value: Any) -> str | None:
    """Return a period as text; None stays None.

    Raises:
        UsageError: It is none.

    Example:
        >>> plain_period("datetime", date(2024, 5, 1)), plain_period("datetime", ["2024", None])
        ('2024-05-01', '2024/..')
    """
    if value is None or isinstance(value, str):
        return value
    try:
        moments = [value] if isinstance(value, date | np.datetime64) else list(value)
        texts = [_moment(each) for each in moments]
        Period.parse(texts)
    except UsageError:
        raise
    except ODD_VALUES as error:
        raise UsageError(
            f"{name}= takes a period such as '2023-05/2023-08', or a pair of dates, not "
            f"{reprlib.repr(value)}."
        ) from error
    return "/".join(texts)


def _moment(value: Any) -> str:
    if value is None:
        return ".."
    return value.isoformat() if isinstance(value, date) else str(value)


def _no_text(value: Any) -> Any:
    if isinstance(value, str | bytes):
        raise TypeError(value)
    return value
