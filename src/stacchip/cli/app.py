"""The command line of `stacchip`: its commands, put together."""

from __future__ import annotations

from stacchip.cli.commands import (
    chips,
    demo,
    drawing,
    growing,
    headers,
    indexes,
    leakage,
    looking,
    splitting,
    warming,
)
from stacchip.cli.commands.collect import CollectCommand, collect
from stacchip.cli.commands.prechip import prechip
from stacchip.cli.commands.stats import stats
from stacchip.cli.terminal.command_line import CommandLine

app = CommandLine(
    name="stacchip",
    help="Index the chips of satellite and aerial imagery, and cut them out of the original files.",
)
batch = CommandLine()
batch.command(cls=CollectCommand)(collect)
batch.command()(prechip)
batch.command()(stats)
for commands in (  # in the order of the help
    demo.app, indexes.app, growing.app, looking.app, headers.app, splitting.app, leakage.app,
    drawing.app, warming.app, chips.app, batch,
):  # fmt: skip
    app.add_typer(commands)
