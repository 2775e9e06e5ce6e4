"""Lists of what exists, for messages about a name that does not."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST: Final = 10
_SIMILAR: Final = 0.5
_MOST_COMPARED: Final = 20_000  # which takes half a second


def list_names(
    names: Iterable[str], *, near: Iterable[str] = (), counts: Mapping[str, int] | None = None
) -> str:
    """Return the names that exist, those like the wanted ones first, and how many more there are.

    Args:
        names: What exists.
        near: What was asked for.
        counts: The number of things of each name, to be shown beside it.

    Example:
        >>> list_names(["landsat", "naip", "sentinel-2-l2a"], near=["sentinel-2"])
        'sentinel-2-l2a, landsat, naip'
        >>> list_names(["naip", "linz"], counts={"naip": 1200, "linz": 3})
        'linz (3), naip (1,200)'
    """
    there = sorted(set(names))
    alike = [
        name
        for wanted in (near if len(there) <= _MOST_COMPARED else ())
        for name in difflib.get_close_matches(wanted, there, n=3, cutoff=_SIMILAR)
    ]
    ordered = list(dict.fromkeys([*alike, *there]))
    shown = [name if counts is None else f"{name} ({counts[name]:,})" for name in ordered[:_MOST]]
    more = len(ordered) - _MOST
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
