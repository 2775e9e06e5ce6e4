"""The classes of a column: its values, or its fifths if it has real numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import UsageError
from stacchip.index.table_rows import encode_texts
from stacchip.selection.index_parts import scan_parts
from stacchip.selection.quantiles import find_quantiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from stacchip.storage import Storage

__all__ = ["Classes", "classes_of", "find_classes"]

_FIFTHS: Final = (0.2, 0.4, 0.6, 0.8)
_MOST_CLASSES: Final = 10_000
_NOT_KNOWN: Final = "null"


@dataclass(frozen=True)
class Classes:
    """The classes of a column.

    Attributes:
        column: The column.
        names: The classes, as people read them; the last is null.
        edges: Between the classes of real numbers; None for a column of other values.
    """

    column: str
    names: tuple[str, ...]
    edges: NDArray[np.float64] | None

    def numbers(self, values: pa.ChunkedArray) -> NDArray[np.int64]:
        """Return the number of the class of each value.

        Raises:
            UsageError: A value is new.
        """
        null = len(self.names) - 1
        if self.edges is not None:
            found = values.cast(pa.float64()).to_numpy()
            classes = np.searchsorted(self.edges, found, "right")
            return np.where(np.isnan(found), null, classes)
        numbers, texts = encode_texts(_as_texts(values, self.column))
        places = {name: place for place, name in enumerate(self.names[:-1])}
        of_text = [null if text is None else places.get(text, -1) for text in texts.to_pylist()]
        table = np.array(of_text, np.int64)
        of_row = table[numbers]
        if (of_row < 0).any():
            raise UsageError(f"Column {self.column!r} has other values than it had a moment ago.")
        return of_row


def find_classes(index: Any, column: str, storage: Storage | None) -> Classes:
    """Return the classes of a column of an index, for which its values are read once.

    Args:
        index: The folder or file of the index, or a table.
        column: The name of the column.
        storage: How to reach the index.

    Raises:
        UsageError: The column is absent, or has too many different values.
    """
    return classes_of(
        lambda: (part[column] for part in scan_parts(index, [column], storage)), column
    )


def classes_of(read: Callable[[], Iterable[pa.ChunkedArray]], column: str) -> Classes:
    """Return the classes of values that come in parts.

    Args:
        read: Returns the values in parts; it is called several times if they are real numbers.
        column: What they are called.

    Raises:
        UsageError: They have too many different values, or are of a type that has no classes.

    Example:
        >>> classes_of(lambda: [pa.chunked_array([[2, 1, None]])], "month").names
        ('1', '2', 'null')
    """
    seen = set[str]()
    for values in read():
        if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
            edges = _find_edges(read)
            return Classes(column, (*_name_ranges(edges), _NOT_KNOWN), edges)
        texts = pc.unique(_as_texts(values, column)).to_pylist()
        seen.update(each for each in texts if each is not None)
        if len(seen) > _MOST_CLASSES:
            raise UsageError(
                f"Column {column!r} has more than {_MOST_CLASSES:,} values: classes are few."
            )
    return Classes(column, (*sorted(seen, key=_in_order), _NOT_KNOWN), None)


def _find_edges(read: Callable[[], Iterable[pa.ChunkedArray]]) -> NDArray[np.float64]:
    """Return the edges of fifths; a value that fills more than one is a class of its own."""
    quantiles = find_quantiles(
        lambda: (values.cast(pa.float64()).to_numpy() for values in read()), (0, *_FIFTHS, 1)
    )
    if not len(quantiles):
        return quantiles
    ends, counts = np.unique(quantiles, return_counts=True)
    often = ends[counts > 1]
    edges = np.unique([*quantiles[1:-1], *often, *np.nextafter(often, np.inf)])
    inside: NDArray[np.float64] = edges[(edges >= quantiles[0]) & (edges <= quantiles[-1])]
    return inside


def _name_ranges(edges: NDArray[np.float64]) -> list[str]:
    """Return the names of the classes between some edges, with as many digits as they need."""
    names: list[str] = []
    bounds = [-np.inf, *edges.tolist(), np.inf]
    for digits in range(3, 18):
        said = [f"{edge:.{digits}g}" if np.isfinite(edge) else "" for edge in bounds]
        names = []
        for place in range(len(bounds) - 1):
            low = said[place]
            if place and bounds[place + 1] == np.nextafter(bounds[place], np.inf):
                names.append(low)  # one value
                continue
            if place and bounds[place] == np.nextafter(bounds[place - 1], np.inf):
                low = f">{said[place - 1]}"
            names.append(f"{low}..{said[place + 1]}")
        if len(set(names)) == len(names):
            break
    return names


def _as_texts(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        return values.cast(pa.string())
    except pa.ArrowException as error:
        raise UsageError(
            f"Column {column!r} has type {values.type}: classes are texts, numbers or booleans."
        ) from error


def _in_order(text: str) -> tuple[int, float, str]:
    """Numbers come before texts, in their order."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    return (0, number, text) if math.isfinite(number) else (1, 0.0, text)
