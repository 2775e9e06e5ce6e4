"""Numbers of things, as people read them."""

from __future__ import annotations


def format_count(count: int, noun: str) -> str:
    """Return a number and its noun.

    Args:
        count: The number.
        noun: What is counted: one of them. Several take an "s".

    Example:
        >>> format_count(1, "item"), format_count(0, "item"), format_count(12345, "chip")
        ('1 item', '0 items', '12,345 chips')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
