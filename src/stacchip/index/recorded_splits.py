"""Splits that are recorded with an index: the rule behind a column.

The metadata of each file with chips says which columns are splits, and by what rules. So rows that
are appended or merged get their split by the same rule as all others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stacchip.errors import IndexFormatError, UsageError
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.splits.rules import rule_from_dict
from stacchip.splits.shares import name_splits
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from stacchip.splits.rules import Rule

__all__ = [
    "SPLITS",
    "change_splits",
    "fill_again",
    "fill_splits",
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
    if SPLITS not in (metadata or {}):
        return {}
    facts = _facts_of(metadata)
    if facts is None:
        raise _unreadable(href, "It is no JSON object.")
    try:
        return {name: rule_from_dict(each) for name, each in facts.items()}
    except (UsageError, *ODD_VALUES) as error:
        raise _unreadable(href, str(error)) from error


def _unreadable(href: str, reason: str) -> IndexFormatError:
    return IndexFormatError(
        f"{redact(href)} records a split that cannot be read. {reason} Split the index anew: "
        "stacchip split INDEX --replace.",
        href=redact(href),
    )


def _facts_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any] | None:
    """Return what a file records of each split, whatever it is; None if it is no JSON object."""
    try:
        facts = json.loads((metadata or {}).get(SPLITS, b"{}"))
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def write_splits(splits: Mapping[str, Rule]) -> dict[bytes, bytes]:
    """Return the metadata that records rules; none for no rules."""
    if not splits:
        return {}
    return {SPLITS: json.dumps({name: rule.to_dict() for name, rule in splits.items()}).encode()}


def change_splits(
    metadata: Mapping[bytes, bytes],
    gone: Iterable[str] = (),
    new: Mapping[str, Rule] | None = None,
) -> dict[bytes, bytes]:
    """Return the metadata of a file with other rules; those that stay may be of a later version.

    Args:
        metadata: The metadata.
        gone: Columns that are no splits any more.
        new: Rules to add, by the names of their columns.
    """
    added = {name: rule.to_dict() for name, rule in (new or {}).items()}
    facts = _facts_of(metadata)
    if facts is None and not added:
        return dict(metadata)
    names = set(gone)
    kept = {name: each for name, each in (facts or {}).items() if name not in names}
    others = {key: value for key, value in metadata.items() if key != SPLITS}
    every = {**kept, **added}
    return {**others, SPLITS: json.dumps(every).encode()} if every else others


def fill_again(
    rows: pa.Table, metadata: Mapping[bytes, bytes], changed: Iterable[str], href: str
) -> pa.Table:
    """Return rows with those splits anew that look at columns which have other values now.

    Args:
        rows: Rows of an index.
        metadata: The metadata of their file.
        changed: The columns that have other values.
        href: The address of the file, for errors.

    Raises:
        IndexFormatError: The rule of another column cannot be read.
    """
    stale = set(changed)
    if _facts_of(metadata) is None:
        return rows  # what is recorded goes
    left = read_splits(change_splits(metadata, stale), href)
    while touched := {name: rule for name, rule in left.items() if stale & set(rule.columns)}:
        rows = fill_splits(rows, touched)
        stale |= touched.keys()
        left = {name: rule for name, rule in left.items() if name not in touched}
    return rows


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
