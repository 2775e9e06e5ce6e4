"""The commands of `stacchip`, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from stacchip.cli import console
from stacchip.cli.commands import chips, demo, indexes
from stacchip.cli.commands.collect import collect
from stacchip.cli.commands.prechip import prechip
from stacchip.cli.commands.stats import stats

app = typer.Typer(
    name="stacchip",
    help="Index the chips of satellite and aerial imagery, and cut them out of the original files.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (demo.app, indexes.app, chips.app):
    app.registered_commands += commands.registered_commands
for command in (collect, prechip, stats):
    app.command()(command)


@app.callback()
def _configure(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell what is done, on standard error.")
    ] = False,
) -> None:
    console.set_up_logging(verbose=verbose)
