"""Further columns: those of an index that are not ours, such as a weight, a split or a label.

Any tool may add them. They come after the columns of `SCHEMA`, and are kept wherever rows are.
Files of one index may have different ones: what a file lacks is null there, and a column that has
several types gets the one that holds the values of all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from stacchip.errors import IndexFormatError, UsageError
from stacchip.index.foreign.geometry import find_geometry
from stacchip.index.joint_types import holds_all, join_types
from stacchip.index.schema import SCHEMA
from stacchip.runtime.near_names import list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "FurtherColumns",
    "concat_rows",
    "fit_column",
    "fit_columns",
    "further_types",
    "is_measured",
    "is_text",
    "keep_columns",
    "longest_value",
    "names_further",
    "stored_type",
    "unknown_name",
]

# "stacchip:row" is a column of ours within reads, and "bbox.xmin" a part of the bounds in files
_RESERVED: Final = ("stacchip:", "bbox.")
_NO_MATCH: Final = re.compile(r"(?s)No match for FieldRef\.Name\((.*?)\) in ")
_OURS: Final = frozenset(SCHEMA.names)


def further_types(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Return the type of each further column; a geometry that stands for ours is none.

    Example:
        >>> further_types(pa.schema({"chipid": pa.string(), "label": pa.int64()}))
        {'label': DataType(int64)}
    """
    if set(schema.names) <= _OURS:
        return {}
    ours = {*_OURS, find_geometry(schema)}
    return {each.name: each.type for each in schema if each.name not in ours}


def names_further(columns: Iterable[str] | None, where: pc.Expression | None) -> bool:
    """Return True if columns that are wanted, or those of a condition, are not all ours.

    Example:
        >>> names_further(["chipid"], pc.field("label") < 5)
        True
    """
    return not set(columns or ()) <= _OURS or (where is not None and not _fits(where, SCHEMA))


def _fits(where: pc.Expression, schema: pa.Schema) -> bool:
    """Return True if a condition is on columns of a schema, in types that compare."""
    try:
        schema.empty_table().filter(where)
    except pa.ArrowException:
        return False
    return True


def unknown_name(where: pc.Expression, schema: pa.Schema) -> str | None:
    """Return the name of a column that a condition names and a schema lacks, if pyarrow says it.

    Example:
        >>> unknown_name(pc.field("label") < 5, SCHEMA)
        'label'
    """
    try:
        schema.empty_table().filter(where)
    except pa.ArrowException as error:
        found = _NO_MATCH.match(str(error))
        return None if found is None else found[1]
    return None


# -- several tables or files


@dataclass
class FurtherColumns:
    """The further columns of several tables or files, each with a type for the rows of all.

    Attributes:
        types: The type of each column.
        conflicts: What to say of columns that have no type for all.
    """

    types: dict[str, pa.DataType] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    _origins: dict[str, str] = field(default_factory=dict)

    def add(self, schema: pa.Schema, origin: str) -> None:
        """Note the further columns of a table or file.

        Args:
            schema: Its schema.
            origin: Its address, without secrets, for errors.
        """
        for name, kind in further_types(schema).items():
            # halves, which pyarrow does not compare, are read as float32
            self._add(name, pa.float32() if pa.types.is_float16(kind) else kind, origin)

    def grow(self, new: FurtherColumns, fits: Callable[[str, pa.DataType], bool]) -> None:
        """Note those of new rows, which go beside files that are not written again.

        A column gets the joint type only if that holds whatever the files may have. Otherwise it
        keeps its type, and the new values have to fit.

        Args:
            new: The columns of the new rows.
            fits: Returns True if all new values of a column fit a type exactly.
        """
        for name, kind in new.types.items():
            before = self.types.get(name, kind)
            joint = join_types(before, kind)
            kept = joint if joint is None or holds_all(joint, before) else before
            if kept is not None and (holds_all(kept, kind) or fits(name, kept)):
                self._add(name, kept, new._origins[name])
            else:
                self._refuse(name, kind, new._origins[name])

    def _add(self, name: str, kind: pa.DataType, origin: str) -> None:
        there = self.types.setdefault(name, kind)
        self._origins.setdefault(name, origin)
        if kind == there:
            return
        joint = join_types(there, kind)
        if joint is None:
            self._refuse(name, kind, origin)
        elif joint != there:
            self.types[name], self._origins[name] = joint, origin

    def _refuse(self, name: str, kind: pa.DataType, origin: str) -> None:
        self.conflicts.setdefault(
            name,
            f"Column {name!r} has type {self.types[name]} in {self._origins[name]}, and {kind} in "
            f"{origin}, which no type holds without loss: cast it in one of them, or leave it out "
            "there.",
        )

    @property
    def shared(self) -> dict[str, pa.DataType]:
        """The types of those columns that have one for all."""
        return {name: kind for name, kind in self.types.items() if name not in self.conflicts}

    def require(
        self, names: Iterable[str] | None = None, where: pc.Expression | None = None
    ) -> None:
        """Refuse columns that have no type for all.

        Args:
            names: The columns that are wanted; None for all.
            where: A condition; the columns that it names are wanted, too.

        Raises:
            IndexFormatError: One has none.
        """
        wanted = self.conflicts if names is None else [*names]
        if self.conflicts and where is not None:
            # pyarrow does not say which columns it names, but its text holds them all
            fields = [*SCHEMA, *(pa.field(name, kind) for name, kind in self.shared.items())]
            named = (name for name in self.conflicts if name in str(where))
            wanted = [*wanted, *(() if _fits(where, pa.schema(fields)) else named)]
        for name in wanted:
            if name in self.conflicts:
                raise IndexFormatError(self.conflicts[name], column=name)

    def require_known(self, names: Iterable[str], href: str) -> None:
        """Refuse names that are neither ours nor of a further column.

        Args:
            names: Names of columns.
            href: The address of the index or of a file of it, without secrets.

        Raises:
            UsageError: One is neither.
        """
        known = {*SCHEMA.names, *self.types}
        unknown = [name for name in names if name not in known]
        if unknown:
            there = list_names(self.types, near=unknown) or "none"
            raise UsageError(
                f"{href} has no column {unknown[0]!r}. Its columns beside those of "
                f"stacchip.index.SCHEMA are: {there}."
            )


def fit_columns(rows: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return rows with further columns of given types, and null for those that they lack.

    Args:
        rows: Rows, perhaps with some of the columns.
        types: The type of each further column, in their order.

    Raises:
        IndexFormatError: A value does not fit the type of its column.

    Example:
        >>> fit_columns(pa.table({"chipid": ["a-0-0"]}), {"label": pa.int64()}).to_pylist()
        [{'chipid': 'a-0-0', 'label': None}]
    """
    if list(further_types(rows.schema).items()) == list(types.items()):
        return rows
    fitted = rows.drop_columns([name for name in types if name in rows.column_names])
    for name, kind in types.items():
        if name in rows.column_names:
            column = fit_column(rows[name], kind, name)
        else:
            column = pa.chunked_array([pa.nulls(rows.num_rows, kind)])
        fitted = fitted.append_column(name, column)
    return fitted


def fit_column(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    """Return a further column in another type.

    Raises:
        IndexFormatError: A value does not fit.
    """
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise IndexFormatError(
            f"Column {name!r} has type {column.type}, and does not fit the type {kind} that holds "
            f"it in all files: {error}. Cast it where that is so, or leave it out.",
            column=name,
        ) from error


def concat_rows(tables: Sequence[pa.Table], origins: Sequence[str]) -> pa.Table:
    """Return rows of several tables as one, with the further columns of all of them.

    Args:
        tables: At least one.
        origins: Where each is from, for errors.

    Raises:
        IndexFormatError: A column has types that no type holds without loss.
    """
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables, promote_options="default")
    further = FurtherColumns()
    for table, origin in zip(tables, origins, strict=True):
        further.add(table.schema, origin)
    further.require()
    fitted = [fit_columns(table, further.types) for table in tables]
    return pa.concat_tables(fitted, promote_options="default")


# -- what an index keeps


def keep_columns(rows: pa.Table) -> pa.Table:
    """Return rows with their further columns as an index stores them: plain, without metadata.

    Args:
        rows: Rows with columns of `SCHEMA` first.

    Raises:
        IndexFormatError: A column has a name or a type that no index keeps; `column` is its name.
    """
    further = [name for name in rows.column_names if name not in SCHEMA.names]
    for name in further:
        if name.startswith(_RESERVED):
            raise _not_kept(name, f"names that begin with {_list(_RESERVED)} are stacchip's own")
        place = rows.schema.get_field_index(name)
        kind = stored_type(rows.schema.field(place).type)
        if kind is None:
            raise _not_kept(name, f"its type is {rows.schema.field(place).type}", "cast")
        try:
            plain = rows.column(place).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _not_kept(name, str(error), "cast") from error
        rows = rows.set_column(place, pa.field(name, kind), plain)
    return rows


def _not_kept(name: str, reason: str, remedy: str = "rename") -> IndexFormatError:
    what = {
        "rename": "Rename the column, or leave it out",
        "cast": "Cast it to numbers, texts, times, or lists or structs of these, or leave it out",
    }
    return IndexFormatError(
        f"No index keeps column {name!r}: {reason}. {what[remedy]}.", column=name
    )


def _list(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def stored_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in which an index stores a column; None if it cannot.

    Dictionaries are stored as their values, and halves, which pyarrow does not compare, as float32.
    Lists and structs of what can be stored can be stored, too.

    Example:
        >>> stored_type(pa.dictionary(pa.int8(), pa.large_string()))
        DataType(string)
        >>> stored_type(pa.map_(pa.string(), pa.int64())) is None
        True
    """
    if isinstance(kind, pa.BaseExtensionType):
        return None
    if pa.types.is_dictionary(kind):
        return stored_type(kind.value_type)
    if pa.types.is_nested(kind):
        return _stored_nested(kind)
    plain = {
        pa.float16(): pa.float32(),
        pa.large_string(): pa.string(),
        pa.large_binary(): pa.binary(),
    }
    if kind == pa.binary(0):  # parquet has none
        return None
    others = (pa.types.is_interval, pa.types.is_string_view, pa.types.is_binary_view)
    return None if any(is_kind(kind) for is_kind in others) else plain.get(kind, kind)


def _stored_nested(kind: pa.DataType) -> pa.DataType | None:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    # pyarrow writes lists of the fixed size 0, and does not read them
    if is_list or (pa.types.is_fixed_size_list(kind) and kind.list_size):
        inner = stored_type(kind.value_type)
        size = -1 if is_list else kind.list_size
        return None if inner is None else pa.list_(inner, size)
    if pa.types.is_struct(kind) and kind.num_fields:
        parts = [(each.name, stored_type(each.type)) for each in kind]
        return None if any(part is None for _, part in parts) else pa.struct(parts)
    return None


def longest_value(column: pa.ChunkedArray) -> int:
    """Return the bytes of the longest text or list of a column; 0 for other values.

    Example:
        >>> longest_value(pa.chunked_array([["ab", None]])), longest_value(pa.chunked_array([[1]]))
        (2, 0)
    """
    kind = column.type
    if pa.types.is_struct(kind):
        parts = range(kind.num_fields)
        return max(longest_value(pc.struct_field(column, [place])) for place in parts)
    if pa.types.is_nested(kind):
        values = pc.list_flatten(column)
        length = pc.max(pc.list_value_length(column)).as_py() or 0
        is_fixed = pa.types.is_primitive(values.type) or pa.types.is_fixed_size_binary(values.type)
        width = -(-values.type.bit_width // 8) if is_fixed else longest_value(values)
        return int(length * width)
    if not is_text(kind):
        return 0
    return int(pc.max(pc.binary_length(column)).as_py() or 0)


def is_text(kind: pa.DataType) -> bool:
    """Return True for texts and bytes."""
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_binary,
            pa.types.is_large_string,
            pa.types.is_large_binary,
        )
    )


def is_measured(kind: pa.DataType) -> bool:
    """Return True for types whose statistics let readers skip row groups."""
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_integer,
            pa.types.is_float32,
            pa.types.is_float64,
            pa.types.is_boolean,
            pa.types.is_string,
            pa.types.is_date32,
            pa.types.is_timestamp,
        )
    )
