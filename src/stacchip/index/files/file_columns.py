"""The columns of a parquet file as they are read: in our types, with those that its path tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from stacchip.index.foreign.tables import without_views
from stacchip.index.further_columns import fit_column
from stacchip.index.schema import OPTIONAL_COLUMNS, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow.compute as pc

__all__ = ["FileColumns"]


@dataclass(frozen=True)
class FileColumns:
    """The columns of a file, and those that its rows get beside them.

    Attributes:
        inside: The columns that are in the file, in the types that it has.
        told: Columns that it lacks, and the one value that its path gives to all its rows.
        further: The types of further columns in all files of its index. Those that it lacks are
            null.
    """

    inside: pa.Schema
    told: Mapping[str, pa.Scalar] = field(default_factory=dict)
    further: Mapping[str, pa.DataType] = field(default_factory=dict)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the file and those that its path tells, with the file's metadata."""
        schema = self.inside
        for place, each in enumerate(schema):
            if each.name in self.converted:
                schema = schema.set(place, each.with_type(self._type_to_read(each)))
        for name, value in self.told.items():
            schema = schema.append(pa.field(name, self.further.get(name, value.type)))
        return schema

    @cached_property
    def whole(self) -> pa.Schema:
        """The same, and what it lacks: optional columns of a file of chips, and further ones."""
        schema = self.schema
        if {"chipid", "chip_index_x"} & set(schema.names):
            for name in OPTIONAL_COLUMNS:
                if name not in schema.names:
                    schema = schema.append(SCHEMA.field(name))
        for name, kind in self.further.items():
            if name not in schema.names:
                schema = schema.append(pa.field(name, kind))
        return schema

    @cached_property
    def converted(self) -> frozenset[str]:
        """The columns that are read in another type than the file has."""
        return frozenset(each.name for each in self.inside if self._type_to_read(each) != each.type)

    @property
    def lacking(self) -> set[str]:
        """The further columns that are null in all its rows."""
        return set(self.further).difference(self.inside.names, self.told)

    def names(self, columns: Sequence[str] | None) -> list[str]:
        """Return the names of the columns wanted; None stands for all."""
        return list(self.whole.names if columns is None else columns)

    def needed(self, names: Sequence[str], where: pc.Expression | None) -> list[str]:
        """Return the columns inside the file that a read needs.

        pyarrow does not say which columns an expression names, but its text holds them all: by
        name, or by number among all columns.
        """
        said = "" if where is None else str(where)
        if "FieldPath(" in said:
            return list(self.inside.names)
        return [name for name in self.inside.names if name in names or name in said]

    def complete(self, table: pa.Table) -> pa.Table:
        """Return columns that were read in their types, and those that the file lacks.

        The latter come from its path, or are null.
        """
        wanted = pa.schema([self.schema.field(name) for name in table.column_names])
        for place, each in enumerate(wanted):
            if each.name in self.further and each.type != table.schema.field(place).type:
                column = fit_column(table.column(place), each.type, each.name)
                table = table.set_column(place, each, column)
        if wanted.types != table.schema.types:
            table = table.cast(wanted)
        for added in self.whole:
            if added.name not in self.inside.names:
                value = self.told.get(added.name, pa.scalar(None, added.type)).cast(added.type)
                table = table.append_column(added, pa.repeat(value, table.num_rows))
        return table.replace_schema_metadata(self.schema.metadata)  # as a dataset does

    def nothing(self, columns: Sequence[str] | None) -> pa.Table:
        """Return columns without rows."""
        return self.whole.empty_table().select(self.names(columns))

    def _type_to_read(self, column: pa.Field) -> pa.DataType:
        """Return the type to read a column as, which pyarrow can filter."""
        if column.name in self.further:
            return self.further[column.name]
        if pa.types.is_float16(column.type) and column.name in SCHEMA.names:
            return SCHEMA.field(column.name).type  # pyarrow compares no halves
        return without_views(column.type)
