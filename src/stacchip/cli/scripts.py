"""The console scripts of the processors.

Each imports its command when it runs, a second's work, so that an interrupt meanwhile finds us here
and ends in one line. `stacchip` itself does the same in `stacchip.cli`.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from typing import NoReturn

INTERRUPTED = 130


def _run(script: str, command: str) -> NoReturn:
    """Import a command (`module:function` of `stacchip.cli.commands`), run it, and exit."""
    module, _, function = command.partition(":")
    try:
        main = getattr(import_module(f"stacchip.cli.commands.{module}"), function)
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write(f"{script}: interrupted\n")
        sys.exit(INTERRUPTED)


sentinel_2 = partial(_run, "stacchip-sentinel-2", "collect:sentinel_2")
landsat = partial(_run, "stacchip-landsat", "collect:landsat")
naip = partial(_run, "stacchip-naip", "collect:naip")
linz = partial(_run, "stacchip-linz", "collect:linz")
sentinel_1 = partial(_run, "stacchip-sentinel-1", "collect:sentinel_1")
modis = partial(_run, "stacchip-modis", "collect:modis")
prechip = partial(_run, "stacchip-prechip", "prechip:main")
stats = partial(_run, "stacchip-stats", "stats:main")
