"""The chips of an index that a command line asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.index import Filters, Unmeasured


@dataclass(frozen=True)
class Chosen:
    """The chips of an index that a command line asks for.

    Attributes:
        asked: What was asked, by option; None was not asked.
        filters: The same as the filters of `read_index`.
        unmeasured: What becomes of chips whose share was not measured.
    """

    asked: Mapping[str, Any]
    filters: Filters
    unmeasured: Unmeasured

    @property
    def is_limited(self) -> bool:
        """True if some chips were asked for, and not all."""
        return any(value is not None for value in self.asked.values())
