"""What is asked before an epoch: how chips lie in blocks, and which bands and types they have.

One item of each platform and chip size tells it for all of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import AssetChanged, ObjectNotFound, StacchipError, StorageError
from stacchip.stream.batch import ChipKind
from stacchip.stream.plan.areas import Areas, AreaShape, find_areas, find_shape

if TYPE_CHECKING:
    from stacchip.errors import Errors
    from stacchip.stream.plan.wanted_chips import WantedChips
    from stacchip.stream.read.layers import ItemLayers
    from stacchip.stream.read.open_items import Catalog

# an item that cannot be opened cannot tell how its chips lie in blocks: others of its kind may
_ITEMS_TO_ASK: Final = 8
_USUAL_AREA: Final = 2048


@dataclass(frozen=True, eq=False)
class Survey:
    """What the first items tell of all.

    Attributes:
        chips: The chips.
        catalog: Opens their items.
        memory_bytes: What decoded blocks may take.
        errors: `"skip"` asks another item where one is gone or broken. A store that fails is an
            error even then: the others of a job may reach it, and all must group chips alike.
    """

    chips: WantedChips
    catalog: Catalog
    memory_bytes: int
    errors: Errors

    @cached_property
    def areas(self) -> Areas:
        """How the chips are grouped."""
        return find_areas(self.chips, self._shapes)

    @cached_property
    def fingerprint(self) -> str:
        """Tells how the chips are grouped from other ways to group them."""
        said = repr(sorted(self._shapes.items())).encode()
        return hashlib.blake2b(said, digest_size=8).hexdigest()

    @cached_property
    def _shapes(self) -> dict[tuple[str, int], AreaShape]:
        """How chips are grouped, by platform and chip size."""
        shapes = {}
        for (platform, chip_size), item in self._first_items().items():
            if item is None:
                side = max(chip_size, _USUAL_AREA)
                shapes[platform, chip_size] = AreaShape(side, side, side**2, chip_size**2)
            else:
                shapes[platform, chip_size] = find_shape(item.layers, chip_size, self.memory_bytes)
        return shapes

    def find_common_kind(self, dtype: np.dtype[Any] | None) -> ChipKind:
        """The kind that chips of all kinds fit into, as far as the first items tell."""
        kinds = [
            ChipKind(item.bands, chip_size, dtype or item.dtype)
            for (_, chip_size), item in self._first_items().items()
            if item is not None
        ]
        bands = tuple(dict.fromkeys(band for kind in kinds for band in kind.bands))
        size = max((kind.chip_size for kind in kinds), default=1)
        common = np.result_type(*(kind.dtype for kind in kinds)) if kinds else np.dtype(np.uint8)
        return ChipKind(bands, size, dtype or common)

    def _first_items(self) -> dict[tuple[str, int], ItemLayers | None]:
        """The first item of each platform and chip size that can be opened.

        Raises:
            StacchipError: One cannot, unless `errors="skip"`.
            StorageError: One cannot be reached now; it may be there for others.
        """
        self.catalog.forget_failures()
        found: dict[tuple[str, int], ItemLayers | None] = {}
        tries: dict[tuple[str, int], int] = {}
        _, first_rows = np.unique(self.chips.group, return_index=True)
        for group, row in zip(self.chips.groups, first_rows.tolist(), strict=True):
            name = (group.platform, group.chip_size)
            if found.get(name) is not None or tries.get(name, 0) >= _ITEMS_TO_ASK:
                continue
            tries[name] = tries.get(name, 0) + 1
            try:
                found[name] = self.catalog.get(row)
            except StacchipError as error:
                if self.errors == "raise" or _may_pass(error):
                    raise
                found[name] = None
        return found


def _may_pass(error: StacchipError) -> bool:
    """Whether another process, or this one later, may not meet the same error."""
    is_lasting = isinstance(error, ObjectNotFound | AssetChanged)
    return isinstance(error, StorageError) and not is_lasting
