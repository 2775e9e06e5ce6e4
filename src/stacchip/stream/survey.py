"""A survey before an epoch: how chips lie in blocks, and which bands and types they have.

One item of each platform and chip size is opened, and stands for the others. The kinds of chips are
counted from up to 64 items more.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from stacchip.errors import AssetNotFound, StacchipError, UsageError, is_lasting
from stacchip.runtime.near_names import list_names
from stacchip.stream.batch import ChipKind, find_kinds
from stacchip.stream.plan.areas import Areas, AreaShape, find_areas, find_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stacchip.errors import Errors
    from stacchip.stream.batch import Apart, Kinds
    from stacchip.stream.plan.wanted_chips import WantedChips
    from stacchip.stream.read.layers import ItemLayers
    from stacchip.stream.read.open_items import Catalog

# if an item cannot be opened, others of its kind are tried
_ITEMS_TO_ASK: Final = 8
_USUAL_AREA: Final = 2048
_ITEMS_TO_COUNT: Final = 64


class KindCount(NamedTuple):
    """How many chips there are of each kind, over all shards.

    Attributes:
        chips: A number for each kind.
        is_exact: False if some chips are not counted, which may be of any of these kinds.
    """

    chips: tuple[int, ...]
    is_exact: bool


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

    def count_kinds(self, dtype: np.dtype[Any] | None, apart: Apart | None) -> KindCount:
        """Return how many chips there are of each kind.

        If there are up to 64 items, all are opened. Of more, 64 are, which lie evenly among the
        others: if those of a platform and chip size are of one kind, so are all of them. An item
        that cannot be opened, whose chips do not come, counts as one of those.

        An item that only a remote store could open is not opened: a process that has used a store
        cannot fork workers. If none of a platform and chip size is opened, its chips are taken for
        a kind of their own, which may be one of the others.
        """
        if len(self.chips.groups) <= 1:
            return KindCount((len(self.chips),), is_exact=True)
        if (dtype, apart) not in self._counted:
            self._counted[dtype, apart] = self._count_kinds(dtype, apart)
        return self._counted[dtype, apart]

    def _count_kinds(self, dtype: np.dtype[Any] | None, apart: Apart | None) -> KindCount:
        groups = self.chips.groups
        found: dict[int, Kinds] = {}
        for number, item in self._some_items(at_hand=True):
            with contextlib.suppress(UsageError):  # it lacks the asset that is cut apart
                found[number] = find_kinds(item, groups[number].chip_size, dtype, apart)
        seen: dict[tuple[str, int], set[Kinds]] = {}
        for number, kinds in found.items():
            seen.setdefault(groups[number].name, set()).add(kinds)
        counts: Counter[Any] = Counter()
        is_exact = True
        in_group = np.bincount(self.chips.group, minlength=len(groups)).tolist()
        for number, (group, count) in enumerate(zip(groups, in_group, strict=True)):
            if number in found:
                counts[found[number]] += count
            elif len(alike := seen.get(group.name, set())) == 1:
                counts[next(iter(alike))] += count
            elif alike:  # of any of these
                is_exact = False
            else:
                counts[group.name] += count
        known = all(group.name in seen for group in groups) or len(counts) == 1
        return KindCount(tuple(counts.values()), is_exact and known)

    @cached_property
    def _counted(self) -> dict[tuple[np.dtype[Any] | None, Apart | None], KindCount]:
        return {}

    def require_asset(self, asset: str) -> None:
        """Refuse an asset that none of the items has which a survey looks at.

        Raises:
            AssetNotFound: None has it; the error names those that they have.
        """
        there: dict[str, None] = {}
        for _, item in self._some_items(at_hand=False):
            there |= dict.fromkeys(layer.asset for layer in item.layers)
            if asset in there:
                return
        if there:
            raise AssetNotFound(
                f"No item has the label's asset {asset!r}; they have: "
                f"{list_names(there, near=[asset])}.",
                asset=asset,
            )

    def _some_items(self, *, at_hand: bool) -> Iterator[tuple[int, ItemLayers]]:
        """Yield items that can be opened, with the number of a group of each.

        They are 64, evenly among all, and the first of each platform and chip size.

        Args:
            at_hand: Leave out those that only a remote store could open.
        """
        _, first_rows = np.unique(self.chips.group, return_index=True)
        count = min(len(first_rows), _ITEMS_TO_COUNT)
        chosen = {number * len(first_rows) // count for number in range(count)} if count else set()
        first_of_name: dict[tuple[str, int], int] = {}
        for number, group in enumerate(self.chips.groups):
            first_of_name.setdefault(group.name, number)
        numbers = sorted(chosen | set(first_of_name.values()))
        for begin in range(0, len(numbers), _ITEMS_TO_ASK):  # opened together
            some = numbers[begin : begin + _ITEMS_TO_ASK]
            if at_hand:
                some = [each for each in some if self._is_at_hand(int(first_rows[each]))]
            self.catalog.prepare(first_rows[some].tolist())
            for number in some:
                with contextlib.suppress(StacchipError):
                    yield number, self.catalog.get(int(first_rows[number]))

    def _is_at_hand(self, row: int) -> bool:
        try:
            return self.catalog.needs_no_store(row)
        except StacchipError:
            return False

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
            name = group.name
            if found.get(name) is not None or tries.get(name, 0) >= _ITEMS_TO_ASK:
                continue
            tries[name] = tries.get(name, 0) + 1
            try:
                found[name] = self.catalog.get(row)
            except StacchipError as error:
                if self.errors == "raise" or not is_lasting(error):
                    raise
                found[name] = None
        return found


def _find_common(kinds: Sequence[ChipKind]) -> ChipKind:
    bands = tuple(dict.fromkeys(band for kind in kinds for band in kind.bands))
    size = max(kind.chip_size for kind in kinds)
    return ChipKind(bands, size, np.result_type(*(kind.dtype for kind in kinds)))
