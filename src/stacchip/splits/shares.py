"""Splits by name: how much each gets, and which of them chance gives to something."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Codes = NDArray[np.int8]
    Shares = tuple[tuple[str, float], ...]

__all__ = ["BORDER", "draw_split", "make_shares", "name_splits"]

BORDER: Final = -1
"""The code of chips in no split."""
_ROUNDING: Final = 1e-9


def make_shares(shares: Mapping[str, float]) -> Shares:
    """Return names and shares of splits, those without a share left out.

    Raises:
        UsageError: A share is none, or they are not 1 together.

    Example:
        >>> make_shares({"train": 0.9, "val": 0, "test": 0.1})
        (('train', 0.9), ('test', 0.1))
    """
    for name, share in shares.items():
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise UsageError(f"The share of {name!r} must be 0 to 1, not {share!r}.")
    total = math.fsum(shares.values())
    if abs(total - 1) > _ROUNDING:
        raise UsageError(f"The shares of the splits must add up to 1; they are {total:g} together.")
    return tuple((name, float(share)) for name, share in shares.items() if share)


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
