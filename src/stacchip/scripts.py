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
    """Import a command, `module:function` of the processors, run it, and leave the process."""
    module, _, function = command.partition(":")
    try:
        main = getattr(import_module(f"stacchip.processors.{module}"), function)
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write(f"{script}: interrupted\n")
        sys.exit(INTERRUPTED)


sentinel_2 = partial(_run, "stacchip-sentinel-2", "commands:sentinel_2")
landsat = partial(_run, "stacchip-landsat", "commands:landsat")
naip = partial(_run, "stacchip-naip", "commands:naip")
linz = partial(_run, "stacchip-linz", "commands:linz")
sentinel_1 = partial(_run, "stacchip-sentinel-1", "commands:sentinel_1")
modis = partial(_run, "stacchip-modis", "commands:modis")
prechip = partial(_run, "stacchip-prechip", "prechip_command:main")
stats = partial(_run, "stacchip-stats", "stats_command:main")
