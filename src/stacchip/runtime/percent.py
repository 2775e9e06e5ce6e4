"""Shares, 0..1, as people read and write them."""

from __future__ import annotations


def format_percent(share: float) -> str:
    """Return a share as a percentage that a command line takes, too.

    Example:
        >>> format_percent(0.25), format_percent(0.07), format_percent(0.0005)
        ('25%', '7%', '0.05%')
    """
    return f"{100 * share:g}%"
