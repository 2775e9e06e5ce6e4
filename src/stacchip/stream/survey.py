"""A survey before an epoch: how chips lie in blocks, and which bands and types they have.

One item of each platform and chip size is opened, and stands for the others. The kinds of chips are
counted from up to 64 items more.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from stacchip.errors import AssetNotFound, StacchipError, UsageError, is_lasting
from stacchip.runtime.concurrently import map_concurrently
from stacchip.runtime.near_names import list_names
from stacchip.runtime.pools import fetchers
from stacchip.stream.batch import ChipKind, find_kinds
from stacchip.stream.plan.areas import AreaShape, find_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from stacchip.errors import Errors
    from stacchip.stream.batch import Apart, Kinds
    from stacchip.stream.plan.chip_table import ChipTable
    from stacchip.stream.plan.wanted_chips import Chips
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


class Classes(NamedTuple):
    """Chips of one platform, size and kind: the unit in which chips are ordered.

    Attributes:
        of_group: The class of each group.
        names: Platform and chip size of each class.
        kinds: The classes whose chips share batches, kind by kind.
        are_known: False if some items may be of another kind than their class.
    """

    of_group: NDArray[np.integer[Any]]
    names: tuple[tuple[str, int], ...]
    kinds: tuple[tuple[int, ...], ...]
    are_known: bool

    def in_parts(self, parts: int) -> Classes:
        """Return the classes of chips whose groups come once for each part of a mix.

        Kinds are those of each part, part after part within a kind.
        """
        if parts == 1:
            return self
        of_part = np.arange(parts)
        return Classes(
            (self.of_group[:, None].astype(np.int64) * parts + of_part).ravel(),
            tuple(name for name in self.names for _ in range(parts)),
            tuple(
                tuple(number * parts + part for number in kind)
                for kind in self.kinds
                for part in range(parts)
            ),
            self.are_known,
        )

    def chips_by_kind(self, chips: Chips) -> tuple[int, ...]:
        """Return the number of chips of each kind."""
        counts = np.bincount(self.of_group, chips.counts, len(self.names)).astype(np.int64)
        return tuple(int(counts[list(classes)].sum()) for classes in self.kinds)


@dataclass(frozen=True, eq=False)
class Surveyed:
    """The chips of a stream by areas and classes.

    Attributes:
        table: The chips.
        classes: Their classes.
    """

    table: ChipTable
    classes: Classes

    @cached_property
    def fingerprint(self) -> str:
        """A digest of how the chips are grouped."""
        return classes_digest(self.classes, self.table.shapes)


def classes_digest(classes: Classes, shapes: Sequence[AreaShape]) -> str:
    """Return a digest of how chips are grouped.

    Args:
        classes: Their classes.
        shapes: The size of the areas of each class.
    """
    said = repr((classes.of_group.tolist(), tuple(shapes), classes.kinds)).encode()
    return hashlib.blake2b(said, digest_size=8).hexdigest()


@dataclass(frozen=True, eq=False)
class Survey:
    """The first items of each kind, which stand for all.

    Attributes:
        chips: The chips.
        catalog: Opens their items.
        errors: `"skip"` opens another item if one is gone or broken. A store that fails is an error
            even then: other processes of the job may reach it, and all must group chips alike.
    """

    chips: Chips
    catalog: Catalog
    errors: Errors

    @cached_property
    def _shapes(self) -> dict[tuple[str, int], AreaShape]:
        """The size of areas, by platform and chip size."""
        return {
            (platform, chip_size): AreaShape.square(max(chip_size, _USUAL_AREA), chip_size)
            if item is None
            else find_shape(item.layers, chip_size)
            for (platform, chip_size), item in self._first_items().items()
        }

    def shapes_of(self, names: Iterable[tuple[str, int]]) -> list[AreaShape]:
        """Return the size of areas, by platform and chip size; opens one item of each."""
        return [self._shapes[name] for name in names]

    def classify(self, dtype: np.dtype[Any] | None, apart: Apart | None) -> Classes:
        """Return the classes of the chips.

        If there are up to 64 items, all are opened. Of more, 64 are, which lie evenly among the
        others: if those of a platform and chip size are of one kind, so are all of them. An item
        that cannot be opened, whose chips do not come, counts as one of those.

        An item that only a remote store could open is not opened: a process that has used a store
        cannot fork workers. If none of a platform and chip size is opened, its chips are taken for
        a kind of their own, which may be one of the others.
        """
        groups = self.chips.groups
        found = self._find_kinds(dtype, apart) if len(groups) > 1 else {}
        seen: dict[tuple[str, int], set[Kinds]] = {}
        for number, kinds in found.items():
            seen.setdefault(groups[number].name, set()).add(kinds)
        classes: dict[tuple[tuple[str, int], Kinds | None], int] = {}
        of_group = np.empty(len(groups), np.int64)
        are_known = True
        for number, group in enumerate(groups):
            alike = seen.get(group.name, set())
            kind = found.get(number, next(iter(alike)) if len(alike) == 1 else None)
            are_known &= kind is not None
            of_group[number] = classes.setdefault((group.name, kind), len(classes))
        sharing: dict[Any, list[int]] = {}
        for (name, kind), number in classes.items():
            sharing.setdefault(name if kind is None else kind, []).append(number)
        return Classes(
            of_group.astype(np.min_scalar_type(max(len(classes) - 1, 0))),
            tuple(name for name, _ in classes),
            tuple(map(tuple, sharing.values())),
            are_known or len(sharing) == 1,
        )

    def _find_kinds(self, dtype: np.dtype[Any] | None, apart: Apart | None) -> dict[int, Kinds]:
        """Return the kinds of some groups' chips."""

        def find(number: int) -> Kinds | None:
            item = self._open_at_hand(number)
            if item is None:
                return None
            try:
                return find_kinds(item, self.chips.groups[number].chip_size, dtype, apart)
            except UsageError:  # it lacks the asset that is cut apart
                return None

        first, *others = self._some_groups()
        kinds = [find(first), *map_concurrently(find, others, workers=fetchers())]
        numbers = (first, *others)
        return {
            number: kind for number, kind in zip(numbers, kinds, strict=True) if kind is not None
        }

    def _open_at_hand(self, group: int) -> ItemLayers | None:
        """Return the item of a group; None if it cannot be opened, or only by a remote store.

        Raises:
            StacchipError: It cannot be opened now; other processes may open it.
        """
        try:
            return self.catalog.get(group) if self.catalog.needs_no_store(group) else None
        except StacchipError as error:
            if not is_lasting(error):
                raise
            return None

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

    def require_asset(self, asset: str) -> None:
        """Refuse an asset that none of the items has which a survey looks at.

        Raises:
            AssetNotFound: None has it; the error names those that they have.
        """
        there: dict[str, None] = {}
        for item in self._some_items():
            there |= dict.fromkeys(layer.asset for layer in item.layers)
            if asset in there:
                return
        if there:
            raise AssetNotFound(
                f"No item has the label's asset {asset!r}; they have: "
                f"{list_names(there, near=[asset])}.",
                asset=asset,
            )

    def _some_groups(self) -> list[int]:
        """Return groups to look at: 64, evenly among all, and the first of each name."""
        groups = len(self.chips.groups)
        count = min(groups, _ITEMS_TO_COUNT)
        chosen = {number * groups // count for number in range(count)} if count else set()
        first_of_name: dict[tuple[str, int], int] = {}
        for number, group in enumerate(self.chips.groups):
            first_of_name.setdefault(group.name, number)
        return sorted(chosen | set(first_of_name.values()))

    def _some_items(self) -> Iterator[ItemLayers]:
        """Yield the items of these groups that can be opened."""
        numbers = self._some_groups()
        for begin in range(0, len(numbers), _ITEMS_TO_ASK):  # opened together
            some = numbers[begin : begin + _ITEMS_TO_ASK]
            self.catalog.prepare(some)
            for number in some:
                with contextlib.suppress(StacchipError):
                    yield self.catalog.get(number)

    def _first_items(self) -> dict[tuple[str, int], ItemLayers | None]:
        """Return the first item of each platform and chip size that can be opened.

        Raises:
            StacchipError: One cannot, unless `errors="skip"`.
            StorageError: One cannot be reached now, but may be reached by other processes.
        """
        self.catalog.forget_failures()
        found: dict[tuple[str, int], ItemLayers | None] = {}
        tries: dict[tuple[str, int], int] = {}
        for number, group in enumerate(self.chips.groups):
            name = group.name
            if found.get(name) is not None or tries.get(name, 0) >= _ITEMS_TO_ASK:
                continue
            tries[name] = tries.get(name, 0) + 1
            try:
                found[name] = self.catalog.get(number)
            except StacchipError as error:
                if self.errors == "raise" or not is_lasting(error):
                    raise
                found[name] = None
        return found


def _find_common(kinds: Sequence[ChipKind]) -> ChipKind:
    bands = tuple(dict.fromkeys(band for kind in kinds for band in kind.bands))
    size = max(kind.chip_size for kind in kinds)
    return ChipKind(bands, size, np.result_type(*(kind.dtype for kind in kinds)))
