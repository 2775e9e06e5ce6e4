"""A survey before an epoch: how chips lie in blocks, and which bands and types they have.

One item of each platform and chip size is opened, and stands for the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stacchip.errors import AssetChanged, ObjectNotFound, StacchipError, StorageError
from stacchip.stream.batch import ChipKind, find_kinds
from stacchip.stream.plan.areas import Areas, AreaShape, find_areas, find_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.errors import Errors
    from stacchip.stream.batch import Apart, Kinds
    from stacchip.stream.plan.wanted_chips import WantedChips
    from stacchip.stream.read.layers import ItemLayers
    from stacchip.stream.read.open_items import Catalog

# if an item cannot be opened, others of its kind are tried
_ITEMS_TO_ASK: Final = 8
_USUAL_AREA: Final = 2048


@dataclass(frozen=True, eq=False)
class Survey:
    """The first items of each kind, which stand for all.

    Attributes:
        chips: The chips.
        catalog: Opens their items.
        memory_bytes: Memory for decoded blocks.
        errors: `"skip"` opens another item if one is gone or broken. A store that fails is an error
            even then: other processes of the job may reach it, and all must group chips alike.
    """

    chips: WantedChips
    catalog: Catalog
    memory_bytes: int
    errors: Errors

    @cached_property
    def areas(self) -> Areas:
        """The areas of the chips."""
        return find_areas(self.chips, self._shapes)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of how the chips are grouped."""
        said = repr(sorted(self._shapes.items())).encode()
        return hashlib.blake2b(said, digest_size=8).hexdigest()

    @cached_property
    def _shapes(self) -> dict[tuple[str, int], AreaShape]:
        """The size of areas, by platform and chip size."""
        shapes = {}
        for (platform, chip_size), item in self._first_items().items():
            if item is None:
                side = max(chip_size, _USUAL_AREA)
                shapes[platform, chip_size] = AreaShape(side, side, side**2, chip_size**2)
            else:
                shapes[platform, chip_size] = find_shape(item.layers, chip_size, self.memory_bytes)
        return shapes

    def find_common_kinds(self, dtype: np.dtype[Any] | None, apart: Apart | None) -> Kinds | None:
        """Return the kinds that chips of all kinds fit into, judging by the first items.

        They are None if no item can be opened.
        """
        kinds = [
            find_kinds(item, chip_size, dtype, apart)
            for (_, chip_size), item in self._first_items().items()
            if item is not None
        ]
        return tuple(_find_common(part) for part in zip(*kinds, strict=True)) or None

    def _first_items(self) -> dict[tuple[str, int], ItemLayers | None]:
        """Return the first item of each platform and chip size that can be opened.

        Raises:
            StacchipError: One cannot, unless `errors="skip"`.
            StorageError: One cannot be reached now, but may be reached by other processes.
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


def _find_common(kinds: Sequence[ChipKind]) -> ChipKind:
    bands = tuple(dict.fromkeys(band for kind in kinds for band in kind.bands))
    size = max(kind.chip_size for kind in kinds)
    return ChipKind(bands, size, np.result_type(*(kind.dtype for kind in kinds)))


def _may_pass(error: StacchipError) -> bool:
    """Return True if the error may not occur in another process, or later."""
    is_lasting = isinstance(error, ObjectNotFound | AssetChanged)
    return isinstance(error, StorageError) and not is_lasting
