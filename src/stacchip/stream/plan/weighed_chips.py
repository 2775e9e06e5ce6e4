"""The chips of a stream with what a draw knows of each, in memory or in files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from stacchip.draws.strata import Totals
from stacchip.stream.plan.order_file import WEIGHTS, WEIGHTS_AND_PLACES, OrderWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from stacchip.draws.strata import Strata, Weigher
    from stacchip.runtime.key_hash import Hashes
    from stacchip.stream.plan.order_file import OrderFile
    from stacchip.stream.plan.stored_chips import StoredChips
    from stacchip.stream.plan.wanted_chips import WantedChips

__all__ = ["HeldWeights", "StoredWeights", "Weights", "WeightsPart"]

_AT_ONCE: Final = 1 << 18


class WeightsPart(NamedTuple):
    """Chips that follow each other in the index.

    Attributes:
        row: Their rows.
        group: Their groups.
        run: A number that never falls, the same for chips of one run of an index on disk.
        x: Column of each in the grid of its item.
        y: Row of each there.
        weight: Their weights.
        stratum: Their strata.
        place: Hashes of their places, if chips are drawn by place; 0 where that is not known.
    """

    row: NDArray[np.int64]
    group: NDArray[np.integer[Any]]
    run: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    weight: NDArray[np.float32]
    stratum: NDArray[np.uint32]
    place: Hashes | None


class Weights(Protocol):
    """Chips with their weights."""

    @property
    def totals(self) -> Totals:
        """What the chips of each stratum are together."""
        ...

    @property
    def strata(self) -> Strata:
        """The strata, with their names."""
        ...

    def parts(self) -> Iterator[WeightsPart]:
        """Yield all chips in the order of the index."""
        ...

    def known(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint32]]]:
        """Yield the weights and the strata of all chips."""
        ...


@dataclass(frozen=True, eq=False)
class HeldWeights:
    """Chips and their weights in memory.

    Attributes:
        chips: The chips.
        weight: Their weights.
        stratum: Their strata.
        place: Hashes of their places, if chips are drawn by place.
        totals: What they are together.
        strata: The strata.
    """

    chips: WantedChips
    weight: NDArray[np.float32]
    stratum: NDArray[np.uint32]
    place: Hashes | None
    totals: Totals
    strata: Strata

    @classmethod
    def of(cls, chips: WantedChips, weigher: Weigher) -> HeldWeights:
        """Weigh chips."""
        totals = Totals.of(weigher.strata.count)
        parts = list(weigher.scan())
        for part in parts:
            totals.add(part)
        weight = np.concatenate([np.empty(0, np.float32), *(part.weight for part in parts)])
        stratum = np.concatenate([np.empty(0, np.uint32), *(part.stratum for part in parts)])
        places = [part.place for part in parts if part.place is not None]
        place = np.concatenate(places) if places else None
        return cls(chips, weight, stratum, place, totals, weigher.strata)

    def parts(self) -> Iterator[WeightsPart]:
        """Yield all chips in the order of the index."""
        chips = self.chips
        for start in range(0, len(chips), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            yield WeightsPart(
                chips.row[part], chips.group[part], np.zeros(len(chips.row[part]), np.int64),
                chips.x[part].astype(np.int64), chips.y[part].astype(np.int64),
                self.weight[part], self.stratum[part],
                None if self.place is None else self.place[part],
            )  # fmt: skip

    def known(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint32]]]:
        """Yield the weights and the strata of all chips."""
        yield self.weight, self.stratum


class StoredWeights:
    """Chips and their weights in order files.

    Args:
        chips: The chips.
        name: The name of the file with the weights.
        weigh: Returns what weighs them.
        has_places: True if chips are drawn by place.
    """

    def __init__(
        self, chips: StoredChips, name: str, weigh: Callable[[], Weigher], *, has_places: bool
    ) -> None:
        self._chips = chips
        self._name = name
        self._weigh = weigh
        self._record = WEIGHTS_AND_PLACES if has_places else WEIGHTS

    def __getstate__(self) -> dict[str, Any]:
        gone = ("_file", "strata", "totals")  # the file is mapped, and says the rest
        return {name: value for name, value in self.__dict__.items() if name not in gone}

    @cached_property
    def _file(self) -> OrderFile:
        return self._chips.cache.find(self._name, self._write, parts=("runs",))

    @cached_property
    def strata(self) -> Strata:
        """The strata, for whose names the index is read."""
        return self._weigh().strata

    @cached_property
    def totals(self) -> Totals:
        """What the chips of each stratum are together."""
        chips, drawable, weight, most = np.array(self._file.runs).reshape(4, -1)
        return Totals(chips, drawable, weight.view(np.float64), most.view(np.float64))

    def parts(self) -> Iterator[WeightsPart]:
        """Yield all chips in the order of the index."""
        for start in range(0, len(self._file.chips), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(self._file.chips))
            run, group, chips = self._chips.look_between(start, stop)
            known = self._file.between(start, stop)
            has_places = self._record == WEIGHTS_AND_PLACES
            yield WeightsPart(
                chips["row"].astype(np.int64), group, run,
                chips["x"].astype(np.int64), chips["y"].astype(np.int64),
                np.ascontiguousarray(known["weight"]), np.ascontiguousarray(known["stratum"]),
                np.ascontiguousarray(known["place"]) if has_places else None,
            )  # fmt: skip
            self._file.forget_pages()
            self._chips.forget_pages()

    def known(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint32]]]:
        """Yield the weights and the strata of all chips."""
        for start in range(0, len(self._file.chips), _AT_ONCE):
            known = self._file.between(start, min(start + _AT_ONCE, len(self._file.chips)))
            yield np.ascontiguousarray(known["weight"]), np.ascontiguousarray(known["stratum"])
            self._file.forget_pages()

    def _write(self, path: Path) -> None:
        weigher = self._weigh()
        totals = Totals.of(weigher.strata.count)
        with OrderWriter(path, self._record) as writer:
            for part in weigher.scan():
                totals.add(part)
                chips = np.empty(len(part.rows), self._record)
                chips["weight"], chips["stratum"] = part.weight, part.stratum
                if part.place is not None:
                    chips["place"] = part.place
                writer.add_chips(chips)
            told = [
                totals.chips, totals.drawable, totals.weight.view(np.int64),
                totals.most.view(np.int64),
            ]  # fmt: skip
            writer.finish(self._name, np.concatenate(told), {})
