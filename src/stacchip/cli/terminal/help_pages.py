"""Help pages as plain text in which every name is whole, however narrow the terminal is.

typer's own wrap text at hyphens, and cut words that are longer than their column.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

_HYPHEN: Final = "\u2011"
"""A hyphen at which no text is wrapped; it stands for those of names while a page is laid out."""

_NAME: Final = re.compile(r"(?<!\S)[(\"'`]?--?[a-z][a-z-]*")
_SHARE_OF_NAMES: Final = 3


def keep_names_whole(command: Any) -> None:
    """Let a command of typer show its help with names that are neither cut nor wrapped.

    Args:
        command: The command, as typer runs it.
    """
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = _NAME.sub(lambda name: name[0].replace("-", _HYPHEN), parameter.help)
    command.get_help = partial(_get_help, command)


def _get_help(command: Any, ctx: Any) -> str:
    """Return the page; the column of the options' names takes a third of it at most."""
    formatter = ctx.make_formatter()
    formatter.write_dl = partial(formatter.write_dl, col_max=formatter.width // _SHARE_OF_NAMES)
    command.format_help(ctx, formatter)
    page: str = formatter.getvalue()
    return page.rstrip("\n").replace(_HYPHEN, "-")
