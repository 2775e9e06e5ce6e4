"""The command line: `stacchip COMMAND`, and console scripts for single commands.

Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted. An error is one line on standard error; a
traceback is a bug of ours.

In reading order:

- `app`: the commands, put together.
- `scripts`: the console scripts that run one command.
- `terminal/`: runs a command line, and prints: lines, progress, logs, help.
- `options`: options that several commands share.
- `added_options`: options that are added to a command, which gets one value made of them.
- `filters`: options that choose chips of an index.
- `draws`: options that say which chips are drawn, and how often.
- `trust`: options that say how far to trust what comes from outside.
- `allow_empty`: what a command does if it finds nothing.
- `output`: checks that a command can write its output, before it starts to work.
- `index_views/`: an index summed up, line by line, and as pictures.
- `commands/`: the commands, and where to add one.

This is the only folder that prints, and the only one that reads environment variables of ours. (One
exception: `storage.transports.planetary_computer` reads `STACCHIP_PC_SAS_URL`, which tests set.)
Nothing imports it.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from stacchip.cli.terminal.interrupts import INTERRUPTED, prompt_interrupts, was_reported


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and exit with its code."""
    with prompt_interrupts("stacchip"):
        sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        # these imports take a second, and an interrupt meanwhile must be caught here
        from stacchip.cli.terminal import console, logs

        with logs.shown_logs():  # imports may warn too
            from stacchip.cli.app import app

            return console.run_app(app, "stacchip", arguments or ["--help"])
    except KeyboardInterrupt:
        was_reported.set()
        sys.stderr.write("stacchip: interrupted\n")
        return INTERRUPTED
