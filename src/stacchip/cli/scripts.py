"""The console scripts that run one command, without the rest of `stacchip`.

A script imports its command when it runs. That takes a second, and an interrupt meanwhile must end
in one line, so this module imports nothing heavy. `stacchip.cli.main` does the same for `stacchip`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from stacchip.cli.terminal.interrupts import INTERRUPTED, prompt_interrupts, was_reported

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]


def _run(script: str, load: Callable[[], Command]) -> NoReturn:
    """Load a command, run it with the arguments of the process, and exit with its code."""
    with prompt_interrupts(script):
        sys.exit(_try(script, load))


def _try(script: str, load: Callable[[], Command]) -> int:
    try:
        from stacchip.cli.terminal import console, logs

        with logs.shown_logs():  # imports may warn too
            return console.run_command(load(), script)
    except KeyboardInterrupt:
        was_reported.set()
        sys.stderr.write(f"{script}: interrupted\n")
        return INTERRUPTED


def _collect(source: str) -> NoReturn:
    """Run the script of the source that has this name in the registry of recipes."""

    def load() -> Command:
        from stacchip.cli.commands.collect_source import make_command
        from stacchip.collect.recipes import get_recipe

        return make_command(get_recipe(source))

    _run(f"stacchip-{source}", load)


def _load_prechip() -> Command:
    from stacchip.cli.commands.prechip import prechip

    return prechip


def _load_stats() -> Command:
    from stacchip.cli.commands.stats import stats

    return stats


sentinel_2 = partial(_collect, "sentinel-2")
landsat = partial(_collect, "landsat")
naip = partial(_collect, "naip")
linz = partial(_collect, "linz")
sentinel_1 = partial(_collect, "sentinel-1")
modis = partial(_collect, "modis")
prechip = partial(_run, "stacchip-prechip", _load_prechip)
stats = partial(_run, "stacchip-stats", _load_stats)
