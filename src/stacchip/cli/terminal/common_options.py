"""The options that every command has, before its name as well as after it."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Any

import typer
from typer.main import get_command

from stacchip.cli.terminal import lines, logs, progress
from stacchip.cli.terminal.help_pages import keep_names_whole
from stacchip.cli.terminal.hints import learn_options


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


def make_command_line(app: typer.Typer) -> Any:
    """Return the commands of an app as typer runs them, each with the options that all have.

    Example:
        >>> from stacchip.cli.app import app
        >>> line = make_command_line(app)
        >>> [option.name for option in line.commands["info"].params][-3:]
        ['verbose', 'progress', 'version']
    """
    declared = typer.Typer(add_completion=False)
    declared.command()(_declare)
    options = get_command(declared).params
    line: Any = get_command(app)
    for each in (line, *getattr(line, "commands", {}).values()):
        each.params = [*each.params, *options]
        learn_options(each)
        if each.rich_markup_mode is None:
            keep_names_whole(each)
    return line
