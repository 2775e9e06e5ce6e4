"""The command line: `stacchip COMMAND`.

Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted. Whatever goes wrong is one line on
standard error; a traceback is a defect of ours.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and leave the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run a command line; returns its exit code."""
    try:
        # a second's work, in which an interrupt must find us here
        from stacchip.cli import console
        from stacchip.cli.app import app

        return console.run_app(app, "stacchip", arguments or ["--help"])
    except KeyboardInterrupt:
        sys.stderr.write("stacchip: interrupted\n")
        return 130
