"""The values of a column, or of an expression on columns such as `month(datetime)`."""

from __future__ import annotations

import ast
import keyword
import operator
import re
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from stacchip.errors import UsageError
from stacchip.runtime.near_names import list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ColumnValues", "Values", "find_values"]

Values: TypeAlias = "str | pc.Expression"
"""The name of a column, an expression as text (`"month(datetime)"`), or one of pyarrow."""

_REAL: Final = pa.float64()
_MOST_LETTERS: Final = 2000
_OWN_WORDS: Final = {"if", "else", "and", "or", "not", "True", "False"}
# names in backquotes, and words of Python that an expression does not have, such as `class`; texts
# in quotes are left alone
_NOT_PLAIN: Final = re.compile(
    r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|"""
    rf"`([^`]+)`|\b(?:{'|'.join(sorted({*keyword.kwlist} - _OWN_WORDS))})\b"
)
_OPERATORS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda one, other: pc.divide(one.cast(_REAL), other.cast(_REAL)),
    ast.Pow: lambda one, other: pc.power(one.cast(_REAL), other.cast(_REAL)),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.And: operator.and_,
    ast.Or: operator.or_,
    ast.USub: lambda one: pc.scalar(0) - one,
    ast.Not: pc.invert,
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": pc.abs,
    "ceil": pc.ceil,
    "coalesce": pc.coalesce,
    "day": pc.day,
    "day_of_week": pc.day_of_week,
    "day_of_year": pc.day_of_year,
    "exp": pc.exp,
    "floor": pc.floor,
    "hour": pc.hour,
    "is_null": pc.is_null,
    "iso_week": pc.iso_week,
    "log": pc.ln,
    "max": pc.max_element_wise,
    "min": pc.min_element_wise,
    "month": pc.month,
    "quarter": pc.quarter,
    "round": pc.round,
    "sqrt": pc.sqrt,
    "year": pc.year,
}


@dataclass(frozen=True, eq=False)
class ColumnValues:
    """What gives each row of an index a value.

    Attributes:
        name: What it is called: the column, or the text of the expression.
        expression: The expression.
        columns: The columns that it looks at.
    """

    name: str
    expression: pc.Expression
    columns: tuple[str, ...]

    def read(self, table: pa.Table) -> pa.ChunkedArray:
        """Return the value of each row of a table that has the columns.

        Raises:
            UsageError: The expression fails for these values.
        """
        if self.name in table.column_names:
            return table[self.name]
        return _evaluate(self.expression, self.name, table.select(self.columns))


def find_values(asked: Values, schema: pa.Schema) -> ColumnValues:
    """Return what gives rows of a schema their values.

    Args:
        asked: The name of a column; else an expression as text, with the operators of Python, `if`
            and `else`, and the functions `year`, `month`, `day_of_year`, `hour`, `log`, `sqrt`,
            `min`, `max`, `coalesce` and others of pyarrow; or an expression of pyarrow. In a text,
            names of columns that are no words stand in backquotes: `` `land cover` == 'a'``.
        schema: The columns that there are.

    Raises:
        UsageError: There is no such column, or the text is no such expression.

    Example:
        >>> table = pa.table({"cloud": [0.25, 0.5]})
        >>> find_values("(1 - cloud) ** 2", table.schema).read(table).to_pylist()
        [0.5625, 0.25]
    """
    if isinstance(asked, str) and asked in schema.names:
        return ColumnValues(asked, pc.field(asked), (asked,))
    if isinstance(asked, str):
        expression = _Parser(asked, schema).parse()
    elif isinstance(asked, pc.Expression):
        expression = asked
    else:
        raise UsageError(
            f"A column or an expression is a text or a pyarrow expression, not {asked!r}."
        )
    name = asked if isinstance(asked, str) else str(asked)
    empty = schema.empty_table()
    _evaluate(expression, name, empty)
    needed = tuple(
        column for column in schema.names if not _works(expression, empty.drop_columns([column]))
    )
    # a table without columns has no rows to give a value to
    return ColumnValues(name, expression, needed or schema.names[:1])


def _works(expression: pc.Expression, table: pa.Table) -> bool:
    try:
        ds.dataset(table).to_table(columns={"value": expression})
    except pa.ArrowException:
        return False
    return True


def _evaluate(expression: pc.Expression, name: str, table: pa.Table) -> pa.ChunkedArray:
    try:
        return ds.dataset(table).to_table(columns={"value": expression})["value"]
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"The expression {name!r} cannot be computed: {reason}.") from error


class _Parser:
    """Makes an expression of pyarrow from text, in which it calls nothing but known functions.

    Args:
        text: The text.
        schema: The columns that there are.
    """

    def __init__(self, text: str, schema: pa.Schema) -> None:
        self._text = text
        self._schema = schema
        self._named: dict[str, str] = {}  # columns whose names Python would not take

    def parse(self) -> pc.Expression:
        """Return the expression.

        Raises:
            UsageError: The text is none.
        """
        if len(self._text) > _MOST_LETTERS:
            raise UsageError(
                f"The expression {self._text[:50]!r}... is longer than {_MOST_LETTERS:,} letters: "
                "give an expression of pyarrow (pyarrow.compute.field)."
            )
        try:
            tree = ast.parse(_NOT_PLAIN.sub(self._name, self._text).strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._no_column(self._text) from None
        try:
            return self._make(tree.body)
        except UsageError:
            raise
        except (
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:  # ValueError is also Arrow's
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(
                f"The expression {self._text!r} cannot be computed: {reason}."
            ) from error

    def _name(self, found: re.Match[str]) -> str:
        """Return a name that Python takes for a column."""
        if found[1]:
            return found[0]
        name = f"_column_{len(self._named)}_"
        while name in self._schema.names:
            name += "_"
        self._named[name] = found[2] or found[0]
        return name

    def _make(self, node: ast.AST) -> pc.Expression:
        match node:
            case ast.Name(id=name):
                name = self._named.get(name, name)
                if name not in self._schema.names:
                    raise self._no_column(name)
                return pc.field(name)
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return pc.scalar(value)
            case ast.BoolOp(op=op, values=values):
                return reduce(_OPERATORS[type(op)], map(self._make, values))
        function, operands = self._find_call(node)
        found = function(*map(self._make, operands))
        if not isinstance(found, pc.Expression):
            raise TypeError(f"{ast.unparse(node)} has no value")
        return found

    def _find_call(self, node: ast.AST) -> tuple[Callable[..., Any], Sequence[ast.AST]]:
        """Return a function of pyarrow and the expressions that it is called with."""
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)], (left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)], (left, right)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)], (operand,)
            case ast.IfExp(test=test, body=body, orelse=other):
                return pc.if_else, (test, body, other)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name], args
        raise UsageError(
            f"{ast.unparse(node)!r} in the expression {self._text!r} is not understood. It may "
            f"have columns, numbers, texts, operators, and: {', '.join(_FUNCTIONS)}."
        )

    def _no_column(self, name: str) -> UsageError:
        there = list_names(self._schema.names, near=[name])
        of = "" if name == self._text else f" of the expression {self._text!r}"
        return UsageError(f"There is no column {name!r}{of}; there are: {there}.")
