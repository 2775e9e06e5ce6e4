"""What a check for leakage found, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - of public attributes
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LEAKS", "Leak", "LeakPair", "LeakageReport", "PairCount", "SplitDistance"]

Leak: TypeAlias = Literal["overlap", "near", "item", "block", "class"]
"""A way in which splits leak; see `LeakageReport`."""
LEAKS: Final = ("overlap", "near", "item", "block", "class")
_NAMED: Final = 5


@dataclass(frozen=True)
class LeakPair:
    """Two chips of different splits.

    Attributes:
        chips: Their ids, or the numbers of their rows where they have none.
        splits: Their splits.
        shared_m2: The area that they share in square metres; None if they share none.
        share: The part of the smaller one that is shared, 0..1; None if they share none.
        distance_m: Their distance in metres; 0 if they touch or overlap.
    """

    chips: tuple[str | int, str | int]
    splits: tuple[str, str]
    shared_m2: float | None = None
    share: float | None = None
    distance_m: float = 0.0


@dataclass(frozen=True)
class PairCount:
    """Pairs of chips of different splits.

    Attributes:
        chips: Number of chips in such pairs; each counts once.
        pairs: Number of pairs.
        is_complete: False if there are more pairs than `pairs`; `chips` is exact all the same.
        shared_m2: Total of the areas that these pairs share, in square metres.
        worst: The pairs that share most, or lie nearest.
    """

    chips: int
    pairs: int
    is_complete: bool
    shared_m2: float
    worst: tuple[LeakPair, ...]


@dataclass(frozen=True)
class SplitDistance:
    """How far chips of a split are from the nearest chip of another, from middle to middle.

    Attributes:
        to: The other split.
        chips: Number of chips that were looked at: all, or 10,000 drawn evenly.
        quantiles_m: The distance in metres by quantile, 0..1.
    """

    to: str
    chips: int
    quantiles_m: Mapping[float, float]


@dataclass(frozen=True)
class LeakageReport:
    """How far the splits of chips are independent.

    Attributes:
        splits: Number of chips of each split.
        unassigned: Number of chips in no split; nothing else counts them.
        placeless: Number of chips of splits that have no footprint, and were compared with none.
        buffer_m: Distance below which two chips are too near.
        overlap: Pairs that share an area.
        near: Pairs that share none, but lie nearer than `buffer_m`.
        items: Number of items with chips of several splits; None if the chips do not tell theirs.
        blocks: Number of blocks of files that chips of several splits share; None if that is not
            known, because there are no headers of files.
        lacking: The classes that each split lacks; None if no column of classes was named.
        distances: By split, how far its chips are from the nearest of the training split.
        forbid: What counts as a leak.
    """

    splits: Mapping[str, int]
    unassigned: int
    placeless: int
    buffer_m: float
    overlap: PairCount
    near: PairCount
    items: int | None
    blocks: int | None
    lacking: Mapping[str, tuple[str, ...]] | None
    distances: Mapping[str, SplitDistance]
    forbid: tuple[Leak, ...] = ("overlap", "near")

    @property
    def found(self) -> tuple[Leak, ...]:
        """All ways in which the splits leak, whether they are forbidden or not."""
        lacking = any((self.lacking or {}).values())
        facts = (self.overlap.chips, self.near.chips, self.items, self.blocks, lacking)
        return tuple(leak for leak, fact in zip(LEAKS, facts, strict=True) if fact)  # type: ignore[misc]

    @property
    def leaks(self) -> bool:
        """True if the splits leak in a way that is forbidden."""
        return any(leak in self.forbid for leak in self.found)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON; null is not known."""
        document = asdict(self)
        for distance in document["distances"].values():
            by_text = {str(part): size for part, size in distance["quantiles_m"].items()}
            distance["quantiles_m"] = by_text
        return {"leaks": self.leaks, "found": list(self.found), **document}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        bad = [leak for leak in self.found if leak in self.forbid]
        yield f"The splits leak: {', '.join(bad)}" if bad else "The splits do not leak"
        named = ", ".join(f"{name} {count:,}" for name, count in self.splits.items())
        yield f"chips: {named}"
        if self.unassigned:
            yield f"in no split: {self.unassigned:,} chips, left out"
        if self.placeless:
            yield f"without a footprint: {self.placeless:,} chips, not compared"
        yield from _lines_of_pairs("overlap", self.overlap)
        if self.buffer_m > 0:
            yield from _lines_of_pairs(f"nearer than {self.buffer_m:,g} m", self.near)
        yield f"items with chips of several splits: {_number(self.items)}"
        yield f"blocks that several splits share: {_number(self.blocks)}"
        for split, classes in (self.lacking or {}).items():
            if classes:
                more = f" and {len(classes) - _NAMED:,} more" if len(classes) > _NAMED else ""
                yield f"{split} lacks the classes: {', '.join(classes[:_NAMED])}{more}"
        if self.lacking is not None and not any(self.lacking.values()):
            yield "each split has all classes"
        yield from self._lines_of_distances()

    def _lines_of_distances(self) -> Iterator[str]:
        for split, distance in self.distances.items():
            yield f"from {split} to the nearest of {distance.to}, middle to middle:"
            sizes = {_rank(part): _metres(size) for part, size in distance.quantiles_m.items()}
            if len({*sizes.values()}) == 1 < len(sizes):
                first, *_, last = sizes
                sizes = {f"{first} to {last}": sizes[first]}
            yield from (f"  {rank} {size}" for rank, size in sizes.items())


def _lines_of_pairs(what: str, count: PairCount) -> Iterator[str]:
    if not count.chips:
        yield f"{what}: none"
        return
    least = "" if count.is_complete else "at least "
    yield f"{what}: {count.chips:,} chips, in {least}{count.pairs:,} pair{'s' * (count.pairs != 1)}"
    for pair in count.worst:
        one, other = (
            f"{chip} ({split})" for chip, split in zip(pair.chips, pair.splits, strict=True)
        )
        if pair.shared_m2 is None:
            yield f"  {_metres(pair.distance_m)}: {one}"
        else:
            yield f"  {_area(pair.shared_m2)} ({pair.share or 0:.1%} of the smaller): {one}"
        yield f"    and {other}"


def _number(value: int | None) -> str:
    return "not known" if value is None else f"{value:,}"


def _rank(part: float) -> str:
    return {0.0: "least", 0.5: "median"}.get(part, f"{part:.0%}")


def _metres(size: float) -> str:
    return f"{size / 1000:,.1f} km" if size >= 10_000 else f"{size:,.1f} m"


def _area(size: float) -> str:
    return f"{size / 1e6:,.2f} km2" if size >= 1e5 else f"{size:,.2f} m2"
