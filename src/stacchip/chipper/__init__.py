"""Chips out of the original files, when they are asked for.

`Chipper` cuts them; `Chip` is one with everything known about it.
"""

from stacchip.chipper.chip import Chip
from stacchip.chipper.chipper import Chipper

__all__ = ["Chip", "Chipper"]
