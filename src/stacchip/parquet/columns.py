"""The columns of a parquet file, as the schema in its footer tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacchip.parquet.thrift import I32, natural

if TYPE_CHECKING:
    from stacchip.parquet.thrift import Struct, Wanted

__all__ = ["BYTE_ARRAY", "ELEMENT", "Column", "read_columns"]

BYTE_ARRAY: Final = 6
"""The physical type of texts and binary."""
_DEEPEST: Final = 32  # levels of a schema; ours has 5
_MOST_COLUMNS: Final = 10_000  # pyarrow takes a second for them
ELEMENT: Final[Wanted] = {1: I32, 2: I32, 3: I32, 4: None, 5: I32, 6: I32, 10: None}
_FIXED: Final = 7
_WIDTHS: Final = (1, 4, 8, 8, 4, 8)  # bytes of a value of each other physical type, in Arrow
_STORED: Final = (1, 4, 8, 12, 4, 8)  # and in the file; eight booleans may share one
_DECIMAL: Final = 5
_LOGICAL_DECIMAL: Final = 5
_DECIMAL_WIDTH: Final = 32  # the widest in Arrow
_REQUIRED: Final = 0
_REPEATED: Final = 2


class Column(NamedTuple):
    """A leaf of the schema.

    Attributes:
        path: Its name, and before it those of the columns that it is part of.
        kind: The number of its physical type.
        width: Bytes of a value; 0 for texts and binary.
        stored: Bytes of a value in the file; 0 for texts and binary.
        repeated: How many of the columns of its path may have several values in a row.
        optional: How many of them may be absent, those that may have several values included.
    """

    path: tuple[bytes, ...]
    kind: int
    width: int
    stored: int
    repeated: int
    optional: int

    @property
    def is_repeated(self) -> bool:
        """True if a row may have several values."""
        return self.repeated > 0

    @property
    def is_optional(self) -> bool:
        """True if a value may be absent."""
        return self.optional > 0


def read_columns(elements: list[Struct]) -> list[Column]:
    """Return the leaves of a schema, whose elements come depth first."""
    if len(elements) > _MOST_COLUMNS:
        raise ValueError(f"it has more than {_MOST_COLUMNS} columns")
    columns: list[Column] = []
    # of each level that is open: the children to come, the path, the repeated and optional ones
    open_levels: list[list[Any]] = [[natural(elements[0][5]), (), 0, 0]]
    for element in elements[1:]:
        while open_levels and not open_levels[-1][0]:
            open_levels.pop()
        if not open_levels or len(open_levels) > _DEEPEST:
            raise ValueError("its schema has too many columns or levels")
        level = open_levels[-1]
        level[0] -= 1
        path = (*level[1], _text(element[4]))
        repetition = natural(element.get(3, _REQUIRED))
        if repetition > _REPEATED:
            raise ValueError(f"a column has the unknown repetition {repetition}")
        marks = (level[2] + (repetition == _REPEATED), level[3] + (repetition != _REQUIRED))
        if element.get(5):
            open_levels.append([natural(element[5]), path, *marks])
        else:
            kind = natural(element[1])
            length = natural(element[2]) if kind == _FIXED else 0
            width = _DECIMAL_WIDTH if _is_decimal(element) else (*_WIDTHS, 0, length)[kind]
            columns.append(Column(path, kind, width, (*_STORED, 0, length)[kind], *marks))
    if any(children for children, *_ in open_levels):
        raise ValueError("its schema lacks columns")
    return columns


def _is_decimal(element: Struct) -> bool:
    """Return True for numbers that take more bytes in Arrow than in the file."""
    return element.get(6) == _DECIMAL or _LOGICAL_DECIMAL in element.get(10, {})


def _text(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a name is not a text")
    return value
