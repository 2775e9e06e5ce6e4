"""A command as a console script of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from stacchip.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable


def run_script(
    command: Callable[..., Any], name: str, arguments: list[str] | None = None
) -> NoReturn:
    """Run a command by what the process was given, and leave it.

    Args:
        command: A function whose parameters are options of typer's.
        name: What the script is called.
        arguments: In place of those of the process.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    sys.exit(console.run_app(app, name, arguments))
