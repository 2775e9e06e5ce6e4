"""How many batches an epoch has, before a chip of it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def count_batches(
    shares: Sequence[int],
    kinds: Sequence[int],
    size: int,
    *,
    drop_last: bool = False,
    is_exact: bool = True,
) -> int:
    """Return the number of batches that several processes make, each of its own chips.

    A process makes batches of each kind, and the last of them need not be full. Exact if there is
    one kind or one process. Otherwise the order of the epoch decides how many are not full; this is
    the most there can be in any order.

    Args:
        shares: Number of chips of each process that delivers to the same loader.
        kinds: Number of chips of each kind, of all loaders. A batch holds chips of one kind.
        size: Chips in a batch.
        drop_last: Batches that are not full are left out.
        is_exact: False if `kinds` lacks chips, which may be of any of them.

    Example:
        >>> count_batches([10, 10], [20], 8)
        4
        >>> count_batches([10, 10], [20], 8, drop_last=True)
        2
        >>> count_batches([20], [17, 3], 8)
        4
    """
    if is_exact and (len(kinds) == 1 or list(shares) == [sum(kinds)]):
        counts = shares if len(kinds) == 1 else kinds
        return sum(_divide(count, size, drop_last=drop_last) for count in counts)
    if drop_last:
        return sum(share // size for share in shares)
    return sum(_most_batches(share, max(1, len(kinds)), size) for share in shares)


def _divide(count: int, size: int, *, drop_last: bool) -> int:
    return count // size if drop_last else -(-count // size)


def _most_batches(share: int, kinds: int, size: int) -> int:
    """Return the number of batches if all kinds but one have one chip more than full batches."""
    present = min(share, kinds)
    return present + (share - present) // size
