"""Help pages in which every name is whole, however narrow the terminal is.

typer's own wrap text at hyphens, and cut words that are longer than their column.
"""

from __future__ import annotations

import re
import shutil
from functools import partial
from typing import Any, Final, Literal

_HYPHEN: Final = "\u2011"
"""A hyphen at which no text is wrapped; it stands for those of names while a page is laid out."""

_NAME: Final = re.compile(r"(?<!\S)[(\"'`]?--?[a-z][a-z-]*")
_SHARE_OF_NAMES: Final = 3
_TABLE_COLUMNS: Final = 120


def help_style() -> Literal["rich"] | None:
    """Return typer's style of help pages: tables on a wide terminal, plain text on a narrow one.

    Without enough room, tables cut off the names of options and variables.
    """
    return "rich" if shutil.get_terminal_size().columns >= _TABLE_COLUMNS else None


def lay_out(command: Any, ctx: Any) -> str:
    """Return the help of a command as plain text, with names that are neither cut nor wrapped.

    The column of the options' names takes a third of the page at most.

    Args:
        command: The command, as typer runs it.
        ctx: What typer runs it with.
    """
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = _NAME.sub(lambda name: name[0].replace("-", _HYPHEN), parameter.help)
    formatter = ctx.make_formatter()
    formatter.write_dl = partial(formatter.write_dl, col_max=formatter.width // _SHARE_OF_NAMES)
    command.format_help(ctx, formatter)
    page: str = formatter.getvalue()
    return page.rstrip("\n").replace(_HYPHEN, "-")
