"""Splits that are recorded with an index: the rule behind a column.

The metadata of each file with chips says which columns are splits, and by what rules. So rows that
are appended or merged get their split by the same rule as all others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from stacchip.errors import IndexFormatError, UsageError
from stacchip.splits.rules import rule_from_dict
from stacchip.splits.shares import name_splits
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from stacchip.splits.rules import Rule

__all__ = [
    "SPLITS",
    "fill_splits",
    "forget_splits",
    "join_splits",
    "read_splits",
    "splits_that_hold",
    "write_splits",
]

SPLITS: Final = b"stacchip:splits"
"""The key of the rules in the metadata of files: JSON, by the name of the column."""


def read_splits(metadata: Mapping[bytes, bytes] | None, href: str) -> dict[str, Rule]:
    """Return the rules that the metadata of a file records, by the names of their columns.

    Args:
        metadata: The metadata.
        href: The address of the file, for errors.

    Raises:
        IndexFormatError: They are broken, or of a later version.
    """
    said = (metadata or {}).get(SPLITS)
    if said is None:
        return {}
    try:
        return {str(name): rule_from_dict(facts) for name, facts in json.loads(said).items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise IndexFormatError(
            f"{redact(href)} records a split that cannot be read: {error} "
            "Split the index anew: stacchip split INDEX --replace.",
            href=redact(href),
        ) from error


def write_splits(splits: Mapping[str, Rule]) -> dict[bytes, bytes]:
    """Return the metadata that records rules; none for no rules."""
    if not splits:
        return {}
    return {SPLITS: json.dumps({name: rule.to_dict() for name, rule in splits.items()}).encode()}


def forget_splits(
    metadata: Mapping[bytes, bytes], names: Iterable[str], href: str
) -> dict[bytes, bytes]:
    """Return the metadata of a file without the rules of columns that have other values now.

    Args:
        metadata: The metadata.
        names: The names of the columns.
        href: The address of the file, for errors.
    """
    gone = set(names)
    splits = {name: rule for name, rule in read_splits(metadata, href).items() if name not in gone}
    others = {key: value for key, value in metadata.items() if key != SPLITS}
    return {**others, **write_splits(splits)}


def join_splits(several: Mapping[str, Mapping[str, Rule]]) -> dict[str, Rule]:
    """Return the rules of several files together.

    Args:
        several: The rules of each file, by its address without secrets.

    Raises:
        UsageError: Two files have different rules of one name.
    """
    found: dict[str, Rule] = {}
    origins: dict[str, str] = {}
    for href, splits in several.items():
        for name, rule in splits.items():
            there = found.setdefault(name, rule)
            first = origins.setdefault(name, href)
            if there.to_dict() != rule.to_dict():
                raise UsageError(
                    f"Column {name!r} is split by one rule in {first}, and by another in {href}: "
                    "together, they could leak. Split one of them by the rule of the other first: "
                    "stacchip split INDEX --replace, or add_split(..., replace=True)."
                )
    return found


def splits_that_hold(rows: pa.Table, href: str) -> dict[str, Rule]:
    """Return the rules in the metadata of rows by which their columns are still split.

    Args:
        rows: Rows of an index, which may have been changed since they were read.
        href: The address of what they were read from, for errors.
    """
    return {
        name: rule
        for name, rule in read_splits(rows.schema.metadata, href).items()
        if {name, *rule.columns} <= {*rows.column_names}
        and rows[name].combine_chunks().equals(name_splits(rule.codes(rows), rule.splits))
    }


def fill_splits(rows: pa.Table, splits: Mapping[str, Rule]) -> pa.Table:
    """Return rows with the columns of splits, whatever these held before.

    Args:
        rows: Rows of an index.
        splits: The rules, by the names of their columns.

    Raises:
        UsageError: A rule looks at a column that the rows lack.
    """
    for name, rule in splits.items():
        column = name_splits(rule.codes(rows), rule.splits)
        if name in rows.column_names:
            rows = rows.set_column(rows.schema.get_field_index(name), name, column)
        else:
            rows = rows.append_column(name, column)
    return rows
