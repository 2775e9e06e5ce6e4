"""What a chipper asks of a store of chips that were cut before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stacchip.chipper.index_rows import ChipKey
    from stacchip.chipper.open_item import OpenedItem, RawPixels

__all__ = ["KeptChips"]


class KeptChips(Protocol):
    """Keeps what chips need of their files. It is safe to use from many threads."""

    def read(self, key: ChipKey, opened: OpenedItem) -> dict[str, RawPixels]:
        """Return what is kept of a chip, by asset key; nothing that is damaged.

        Raises:
            AssetChanged: A file is not the version that was opened.
        """

    def keep(self, key: ChipKey, opened: OpenedItem, raw: Mapping[str, RawPixels]) -> None:
        """Keep what a chip needs of some of its assets. It raises nothing."""
