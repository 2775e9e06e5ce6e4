"""The names of a chip: `chipid` is `{item_id}-{x}-{y}`, and each part follows from the whole."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import IndexFormatError

__all__ = ["cast_column", "join_chipid", "split_chipid"]

# Ids of items have dashes of their own: the greedy first part leaves the last two numbers.
_CHIPID: Final = r"(?s)^(?P<item_id>.+)-(?P<x>[0-9]{1,9})-(?P<y>[0-9]{1,9})$"


def join_chipid(item_id: pa.ChunkedArray, x: pa.ChunkedArray, y: pa.ChunkedArray) -> pa.Array:
    """Return the `chipid` of each chip; null where a part is null.

    Raises:
        IndexFormatError: `x` or `y` holds no whole numbers, or `item_id` no texts.

    Example:
        >>> join_chipid(*(pa.chunked_array([part]) for part in (["a-1"], [2], [3]))).to_pylist()
        ['a-1-2-3']
    """
    places = (
        cast_column(column, pa.int32(), name).cast(pa.string())
        for name, column in (("chip_index_x", x), ("chip_index_y", y))
    )
    return pc.binary_join_element_wise(cast_column(item_id, pa.string(), "item_id"), *places, "-")


def split_chipid(chipid: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """Return the columns `item_id`, `chip_index_x` and `chip_index_y` that a `chipid` tells.

    Raises:
        IndexFormatError: A `chipid` is no text, or does not end in `-{x}-{y}`.

    Example:
        >>> parts = split_chipid(pa.chunked_array([["S2A-20HNJ-12-30"]]))
        >>> {name: column.to_pylist() for name, column in parts.items()}
        {'item_id': ['S2A-20HNJ'], 'chip_index_x': [12], 'chip_index_y': [30]}
    """
    texts = cast_column(chipid, pa.string(), "chipid")
    found = pc.extract_regex(texts, _CHIPID)
    wrong = pc.and_(pc.is_null(found), pc.is_valid(texts))
    if pc.any(wrong).as_py():
        raise IndexFormatError(
            f"Not a chip index: the chipid {texts.filter(wrong)[0].as_py()!r} does not end in the "
            "chip's place, '-{x}-{y}'. Give the columns item_id, chip_index_x and chip_index_y.",
            column="chipid",
        )
    parts = {name: pc.struct_field(found, name) for name in ("item_id", "x", "y")}
    return {
        "item_id": parts["item_id"],
        "chip_index_x": parts["x"].cast(pa.int32()),
        "chip_index_y": parts["y"].cast(pa.int32()),
    }


def cast_column(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    """Return a column in another type.

    Raises:
        IndexFormatError: Its values are of no such type.
    """
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise IndexFormatError(
            f"Not a chip index: column '{name}' has type {column.type}, not {kind}: {error}",
            column=name,
        ) from error
