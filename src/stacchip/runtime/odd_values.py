"""What Python and its libraries raise for values that nobody expected there."""

from __future__ import annotations

from typing import Final

ODD_VALUES: Final = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    MemoryError,
)  # fmt: skip
"""Errors of code that takes values from outside apart: they are turned into one of ours.

json, numpy, pyarrow and others raise any of them for numbers in place of lists, names that are
absent, counts beyond 64 bits and the like. Each place adds the errors of its own libraries.
"""
