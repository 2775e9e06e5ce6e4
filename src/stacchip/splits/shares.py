"""Splits by name: how much each gets, and which of them chance gives to something."""

from __future__ import annotations

import math
from hashlib import blake2b
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Codes = NDArray[np.int8]
    Shares = tuple[tuple[str, float], ...]

__all__ = ["BORDER", "draw_split", "is_number", "make_shares", "name_splits", "require_names"]

BORDER: Final = -1
"""The code of chips in no split."""
_ROUNDING: Final = 1e-9
_MOST_SPLITS: Final = 100  # their numbers take a byte


def is_number(value: object) -> bool:
    """True for a real number of any library."""
    return isinstance(value, Real)


def make_shares(shares: Mapping[str, float]) -> Shares:
    """Return names and shares of splits, those without a share left out.

    Raises:
        UsageError: A share is none, or they are not 1 together.

    Example:
        >>> make_shares({"train": 0.9, "val": 0, "test": 0.1})
        (('train', 0.9), ('test', 0.1))
    """
    require_names(shares)
    for name, share in shares.items():
        if not is_number(share) or not 0 <= share <= 1:
            raise UsageError(f"The share of {name!r} must be 0 to 1, not {share!r}.")
    total = math.fsum(shares.values())
    if abs(total - 1) > _ROUNDING:
        raise UsageError(f"The shares of the splits must add up to 1; they are {total:g} together.")
    return tuple((name, float(share)) for name, share in shares.items() if share)


def require_names(names: Iterable[Any]) -> None:
    """Refuse names of splits that a column cannot hold, or that are too many to tell apart.

    Raises:
        UsageError: One is no text, or is empty; or there are more than 100.
    """
    several = list(names)
    if len(several) > _MOST_SPLITS:
        raise UsageError(f"There are {len(several)} splits, of {_MOST_SPLITS} at most.")
    for name in several:
        if not isinstance(name, str) or not name:
            raise UsageError(f"The name of a split is a text, not {str(name)[:50]!r}.")


def draw_split(shares: Shares, text: str) -> int:
    """Return the number of the split that chance gives to a text, always the same."""
    digest = blake2b(text.encode(), digest_size=8).digest()
    chance, total = int.from_bytes(digest, "big") / 2**64, 0.0
    for number, (_, share) in enumerate(shares):
        total += share
        if chance < total:
            return number
    return len(shares) - 1  # where the shares add up to a little less than 1


def name_splits(codes: Codes, splits: Sequence[str]) -> pa.Array:
    """Return the names of splits by their numbers; null for those in none."""
    names = pa.array([*splits, None], pa.string())
    return names.take(pa.array(np.where(codes < 0, len(splits), codes).astype(np.int64)))
