"""The one door for tables: whatever another library holds becomes a `pyarrow.Table`.

No library is imported for it. A table of another library exports itself, by the Arrow PyCapsule
interface or by a method of its own.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from stacchip.errors import UsageError

__all__ = ["as_table", "is_table", "is_unnamed", "without_views"]

# What else hands over a whole table: GeoDataFrames, whose stream fails at the geometry, and
# DuckDB's relations, which warn of their older method.
_METHODS: Final = ("to_arrow", "to_arrow_table", "fetch_arrow_table")
_STREAMS: Final = ("__arrow_c_stream__", "__arrow_c_array__")
# the index of a DataFrame that has no name
_PANDAS_INDEX: Final = re.compile(r"__index_level_\d+__")


def is_table(value: Any) -> bool:
    """Return True if `as_table` takes a value.

    Example:
        >>> is_table(pa.table({"chipid": ["a-0-0"]})), is_table("my-index")
        (True, False)
    """
    names = (*_METHODS, *_STREAMS)
    is_class = isinstance(value, type)
    return not is_class and (_is_pandas(value) or any(hasattr(value, name) for name in names))


def as_table(value: Any) -> pa.Table:
    """Return a table that any library holds as a pyarrow table, without copying if it can.

    Args:
        value: A `pyarrow` table, record batch or reader; a pandas DataFrame, a GeoDataFrame, a
            polars DataFrame, a DuckDB relation; or anything else with `__arrow_c_stream__` or
            `__arrow_c_array__`. An unnamed index of a DataFrame is left out.

    Raises:
        UsageError: It is no table, or has a column that Arrow cannot hold.

    Example:
        >>> batch = pa.record_batch({"chipid": ["a-0-0"], "__index_level_0__": [7]})
        >>> as_table(batch).column_names
        ['chipid']
    """
    table = value if isinstance(value, pa.Table) else _export(value)
    unnamed = [name for name in table.column_names if is_unnamed(name)]
    table = table.drop_columns(unnamed) if unnamed else table
    for place, field in enumerate(table.schema):
        plain = without_views(field.type)
        if plain != field.type:
            table = table.set_column(place, field.with_type(plain), table[place].cast(plain))
    return table


def is_unnamed(column: str) -> bool:
    """Return True for the unnamed index of a DataFrame, which no read returns.

    Example:
        >>> is_unnamed("__index_level_0__")
        True
    """
    return _PANDAS_INDEX.fullmatch(column) is not None


def without_views(kind: pa.DataType) -> pa.DataType:
    """Return a type with plain texts for views: pyarrow filters no rows of views.

    polars exports views, and a parquet file may ask for them in its Arrow schema.

    Example:
        >>> without_views(pa.list_(pa.string_view())) == pa.list_(pa.string())
        True
    """
    plain = kind
    if pa.types.is_string_view(kind):
        plain = pa.string()
    elif pa.types.is_binary_view(kind):
        plain = pa.binary()
    elif pa.types.is_dictionary(kind):
        inner = without_views(kind.value_type)
        plain = kind if inner == kind.value_type else inner
    elif pa.types.is_struct(kind):
        plain = pa.struct([_plain(field) for field in kind])
    elif pa.types.is_map(kind):
        plain = pa.map_(_plain(kind.key_field), _plain(kind.item_field), kind.keys_sorted)
    elif pa.types.is_list(kind):
        plain = pa.list_(_plain(kind.value_field))
    elif pa.types.is_large_list(kind):
        plain = pa.large_list(_plain(kind.value_field))
    elif pa.types.is_fixed_size_list(kind):
        plain = pa.list_(_plain(kind.value_field), kind.list_size)
    return plain


def _plain(field: pa.Field) -> pa.Field:
    return field.with_type(without_views(field.type))


def _export(value: Any) -> pa.Table:
    if not is_table(value):
        raise UsageError(
            f"{type(value).__name__} is not a table of chips. Give a pyarrow table, a DataFrame, "
            "a DuckDB relation, or another object with __arrow_c_stream__ (polars: collect a "
            "LazyFrame first)."
        )
    try:
        return _ask(value)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UsageError(
            f"This {type(value).__name__} cannot become an Arrow table: {error}. Leave out the "
            "column, or turn it into numbers, texts, times or bytes."
        ) from error


def _ask(value: Any) -> pa.Table:
    """Return the table that a value exports."""
    for method in _METHODS:
        if hasattr(value, method):
            exported = getattr(value, method)()
            return exported if isinstance(exported, pa.Table) else pa.table(exported)
    if any(hasattr(value, name) for name in _STREAMS):
        return pa.table(value)
    return pa.Table.from_pandas(value)  # pandas before 2.2 exports nothing


def _is_pandas(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"
