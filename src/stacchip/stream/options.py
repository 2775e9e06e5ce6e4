"""The options of a stream, checked: what it is made of, and plain values."""

from __future__ import annotations

from inspect import signature
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stacchip.chipper import Chipper
from stacchip.errors import UsageError
from stacchip.index import Filters, Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["open_chosen", "pixel_type", "whole_number"]


def open_chosen(index: Any, options: Mapping[str, Any]) -> tuple[Chipper, Selection]:
    """Return a stream's chipper and which of its rows are wanted.

    Raises:
        UsageError: An option is neither a filter nor one of `Chipper`, or the chipper is made
            already, or a filter is wrong.
    """
    of_chipper = {*signature(Chipper).parameters}
    filters = {*Filters.__annotations__}
    if "bucket" in options:  # they name its item
        filters -= {"platform", "item_id", "chip_size"}
    unknown = sorted(options.keys() - of_chipper - filters)
    if unknown:
        raise UsageError(
            f"Neither ChipStream nor Chipper has an option {', '.join(unknown)}, and no filter of "
            "read_index is called so."
        )
    own = {name: value for name, value in options.items() if name not in filters}
    asked = {name: value for name, value in options.items() if name in filters}
    chosen = Selection.of(cast("Filters", asked))
    if isinstance(index, Chipper):
        if own:
            raise UsageError(f"Pass {', '.join(own)} to the Chipper that the stream is made of.")
        return index, chosen
    size = options.get("chip_size")
    if isinstance(size, Integral):  # also that of rows that do not tell theirs
        own["chip_size"] = int(size)
    return Chipper(index, **own), chosen


def pixel_type(dtype: Any) -> np.dtype[Any]:
    """Return a type of pixels.

    Raises:
        UsageError: It is none.
    """
    try:
        kind: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise UsageError(f"dtype must be a type of numpy, not {dtype!r}: {error}.") from error
    if kind.kind not in "biufc":
        raise UsageError(f"dtype must be a type of numbers, not {dtype!r}.")
    return kind


def whole_number(name: str, value: Any) -> int:
    """Return a count as a plain number, which JSON can hold.

    Raises:
        UsageError: It is not a whole number, or it is negative.
    """
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{name} must be a whole number, not {value!r}.") from error
    if number != value or number < 0:
        raise UsageError(f"{name} must be a whole number from 0 on, not {value!r}.")
    return number
