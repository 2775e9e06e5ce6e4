"""Options of every command that say how far to trust what comes from outside."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Annotated, Final

import typer

from stacchip.errors import UsageError
from stacchip.storage import Limits

_UNITS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_SIZE: Final = re.compile(r"(\d+)\s*(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)

LimitList = Annotated[
    str | None,
    typer.Option(
        "--limits", envvar="STACCHIP_LIMITS", metavar="NAME=SIZE,...",
        help="Raise limits of what a file or item may take, such as block_bytes=1GiB.",
        rich_help_panel="Storage",
    ),
]  # fmt: skip
AllowLocal = Annotated[
    bool,
    typer.Option(
        "--allow-local", envvar="STACCHIP_ALLOW_LOCAL",
        help="Let items of remote catalogues name files and addresses of this machine.",
        rich_help_panel="Storage",
    ),
]  # fmt: skip


def parse_limits(text: str | None) -> Limits:
    """Return the limits of an option, or the usual ones if it was not given.

    Args:
        text: Names and sizes, separated by commas. `k`, `M` and `G`, with `B` or `iB` after them or
            without, stand for 2^10, 2^20 and 2^30.

    Raises:
        UsageError: It names no limit, or no size.

    Example:
        >>> parse_limits("block_bytes=1GiB, chips=4000000")
        Limits(block_bytes=1073741824, chips=4000000)
    """
    known = [each.name for each in fields(Limits)]
    values: dict[str, int] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, _, size = (word.strip() for word in part.partition("="))
        found = _read_size(size)
        if name not in known or found is None:
            raise UsageError(
                f"--limits takes names and sizes, such as block_bytes=1GiB,chips=4000000, not "
                f"{part.strip()!r}. The limits are {', '.join(known)}."
            )
        values[name] = found
    return Limits(**values)


def parse_size(text: str | int) -> int:
    """Return a number of bytes; units are those of `parse_limits`, and TB.

    Raises:
        typer.BadParameter: It is none.

    Example:
        >>> parse_size("2 GB")
        2147483648
    """
    found = _read_size(str(text).strip())
    if not found:
        raise typer.BadParameter(f"{text!r} is not a size: write 500GB or 2TB.")
    return found


def _read_size(text: str) -> int | None:
    found = _SIZE.fullmatch(text)
    return None if found is None else int(found[1]) << _UNITS[(found[2] or "").lower()]
