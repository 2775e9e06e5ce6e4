"""The names of the files that an index gets when it grows.

What one append writes is a part: `chips-{source}.part-000001.parquet`, with the records of its
items in `_items.part-000001.parquet` and its runs in `_contents.part-000001.parquet`. Parts are
numbered in their order. In an object store, where writers do not wait for each other, eight random
digits follow the number.

Such a file is of the index only if `_index.json` names its part (`Manifest`).
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["find_part", "is_part", "is_part_of", "next_part", "part_name"]

_PART: Final = r"(\d{6})(?:-[0-9a-f]{8})?"
_NAME: Final = re.compile(rf".+\.part-({_PART})\.parquet")


def part_name(name: str, part: str) -> str:
    """Return the name of a file in a part.

    Args:
        name: The name of such a file in an index that has not grown.
        part: The part.

    Example:
        >>> part_name("chips-naip.parquet", "000001")
        'chips-naip.part-000001.parquet'
    """
    return f"{name.removesuffix('.parquet')}.part-{part}.parquet"


def find_part(name: str) -> str | None:
    """Return the part that a file is of, by its name or address; None if it is of none.

    Example:
        >>> find_part("chips-naip.part-000001.parquet"), find_part("chips-naip.parquet")
        ('000001', None)
    """
    match = _NAME.fullmatch(name.rpartition("/")[2])
    return None if match is None else match[1]


def is_part_of(name: str, file: str) -> bool:
    """Return True if a file in a part is what another one is in an index that has not grown.

    Example:
        >>> is_part_of("_items.parquet", "_items.part-000001.parquet")
        True
    """
    part = find_part(file)
    return part is not None and file == part_name(name, part)


def is_part(text: str) -> bool:
    """Return True if a text names a part."""
    return re.fullmatch(_PART, text) is not None


def next_part(there: Iterable[str], *, is_shared: bool) -> str:
    """Return the name of the part after those that are there.

    Args:
        there: Parts.
        is_shared: Whether another writer may choose a part at the same time.

    Example:
        >>> next_part(["000001", "000002"], is_shared=False)
        '000003'
    """
    number = 1 + max((int(part.partition("-")[0]) for part in there), default=0)
    return f"{number:06d}" + (f"-{secrets.token_hex(4)}" if is_shared else "")
