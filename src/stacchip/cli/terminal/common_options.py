"""The options that every command has, before its name as well as after it."""

from __future__ import annotations

import importlib.metadata
from copy import copy
from functools import cache
from typing import Annotated, Any

import typer
from typer.main import get_command

from stacchip.cli.terminal import lines, logs, progress


def _show_more(value: bool) -> None:
    if value:
        logs.show_more()


def _show_version(value: bool) -> None:
    if value:
        try:
            version = importlib.metadata.version("stacchip")
        except importlib.metadata.PackageNotFoundError:
            version = "of an unknown version: it runs from its source, and is not installed"
        lines.say(f"stacchip {version}")
        raise typer.Exit


def _choose_progress(value: str | None) -> None:
    if value is None:
        return
    if value not in progress.STYLES:
        known = ", ".join(progress.STYLES)
        raise typer.BadParameter(f"{value!r} is not one of {known}.")
    progress.style.set(value)


def _declare(
    *,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", callback=_show_more, expose_value=False,
            help="Log what is being done, on standard error.",
        ),
    ] = False,
    progress: Annotated[
        str | None,
        typer.Option(
            "--progress", envvar="STACCHIP_PROGRESS", callback=_choose_progress,
            expose_value=False, metavar="STYLE",
            help="How to show progress: auto (a bar on a terminal, else lines), bar, lines, json "
            "or none.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, expose_value=False, is_eager=True,
            help="Print the version of stacchip.",
        ),
    ] = False,
) -> None:  # fmt: skip
    """Declare the options; each does its work by its callback."""


def common_options() -> list[Any]:
    """Return the options that every command has, as typer keeps them.

    Example:
        >>> [option.name for option in common_options()]
        ['verbose', 'progress', 'version']
    """
    return [copy(option) for option in _make_options()]


@cache
def _make_options() -> tuple[Any, ...]:
    """Make them once: typer takes a while, and there are many commands."""
    declared = typer.Typer(add_completion=False)
    declared.command()(_declare)
    return tuple(get_command(declared).params)
