"""Types that hold the values of columns of two types: by type, whatever the values, or by value."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

__all__ = ["holds_all", "holds_values", "join_types"]

_FLOAT_BITS: Final = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}
_UNIT_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def join_types(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type in which columns of two types are read as one; None if there is none.

    It may hold not all values of both (`holds_all`), but then a cast to it fails and loses none.

    Example:
        >>> join_types(pa.int16(), pa.float64())
        DataType(double)
        >>> join_types(pa.int16(), pa.string()) is None
        True
    """
    pair = [_without_dictionary(kind) for kind in (one, other)]
    schemas = [pa.schema({"x": kind}) for kind in pair]
    try:
        joint = pa.unify_schemas(schemas, promote_options="permissive").field("x").type
    except pa.ArrowException:
        return None
    return None if any(_rounds(kind, joint) for kind in pair) else joint


def _without_dictionary(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _rounds(kind: pa.DataType, joint: pa.DataType) -> bool:
    """Return True if a cast rounds in silence: from decimals to floats, also within others."""
    if pa.types.is_decimal(kind):
        return bool(pa.types.is_floating(joint))
    if _is_list(kind) and _is_list(joint):
        return _rounds(kind.value_type, joint.value_type)
    if pa.types.is_struct(kind) and pa.types.is_struct(joint):
        return any(_rounds(part.type, joint.field(part.name).type) for part in kind)
    return False


def holds_all(kind: pa.DataType, other: pa.DataType) -> bool:
    """Return True if a type holds every value that another may have.

    Example:
        >>> holds_all(pa.float64(), pa.int32()), holds_all(pa.float64(), pa.int64())
        (True, False)
        >>> holds_all(pa.timestamp("ns"), pa.timestamp("s"))  # not the year 2300
        False
    """
    kind, other = _without_dictionary(kind), _without_dictionary(other)
    if kind == other or pa.types.is_null(other):
        return True
    if _is_list(kind) and _is_list(other):
        sizes = (_list_size(kind), _list_size(other))
        return sizes[0] in (None, sizes[1]) and holds_all(kind.value_type, other.value_type)
    if pa.types.is_struct(kind) and pa.types.is_struct(other):
        parts = {part.name: part.type for part in kind}
        return all(part.name in parts and holds_all(parts[part.name], part.type) for part in other)
    return _holds_numbers(kind, other) or _holds_others(kind, other)


def _is_list(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in kinds)


def _list_size(kind: pa.DataType) -> int | None:
    return kind.list_size if pa.types.is_fixed_size_list(kind) else None


def _holds_numbers(kind: pa.DataType, other: pa.DataType) -> bool:
    if pa.types.is_integer(other):
        is_signed = pa.types.is_signed_integer(other)
        bits = other.bit_width - is_signed
        if pa.types.is_integer(kind):
            signed = pa.types.is_signed_integer(kind)
            return bool(kind.bit_width - signed >= bits and signed >= is_signed)
        if pa.types.is_decimal(kind):
            # as many as pyarrow asks for: 19 for int64
            return bool(kind.precision - kind.scale >= len(str((1 << bits) - 1)))
        return bool(_FLOAT_BITS.get(kind, 0) >= bits)
    if pa.types.is_floating(other):
        return _FLOAT_BITS.get(kind, 0) >= _FLOAT_BITS[other]
    if pa.types.is_decimal(other) and pa.types.is_decimal(kind):
        whole = kind.precision - kind.scale >= other.precision - other.scale
        return bool(whole and kind.scale >= other.scale)
    return False


def _holds_others(kind: pa.DataType, other: pa.DataType) -> bool:
    """Return True for texts that become bytes, dates, and times of the day in a finer unit.

    A finer unit narrows the range of timestamps and durations, but not that of a day.
    """
    types = pa.types
    if types.is_time(kind) and types.is_time(other):
        return _UNIT_DIGITS[kind.unit] >= _UNIT_DIGITS[other.unit]
    if types.is_date64(kind):
        return bool(types.is_date32(other))
    texts = bool(types.is_string(other) or types.is_large_string(other))
    if types.is_string(kind) or types.is_large_string(kind):
        return texts
    if types.is_binary(kind) or types.is_large_binary(kind):
        others = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
        return texts or any(is_kind(other) for is_kind in others)
    return False


def holds_values(kind: pa.DataType, column: pa.Array) -> bool:
    """Return True if a type holds the values that a column has, exactly.

    Example:
        >>> holds_values(pa.int64(), pa.array([1.0])), holds_values(pa.int64(), pa.array([0.5]))
        (True, False)
    """
    if holds_all(kind, column.type):
        return True
    try:
        return bool(column.cast(kind).cast(column.type).equals(column))
    except pa.ArrowException:
        return False
