"""The plan: which chip is in which cube. It is the same for every job, even one that runs again.

Chips that share blocks form areas (`stacchip.stream`). The seed puts the areas of the whole index
into a random order, and each job takes its part of that order, in whole cubes of chips. A job mixes
the chips of many areas at once. So each chip is in one cube and a cube has chips of many places and
items, but a job still decodes each of its blocks once.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from stacchip.cubes.sinks.form import CubeSet
from stacchip.draws import Draw, Mix
from stacchip.errors import AssetChanged, ObjectNotFound, UsageError
from stacchip.index.table_rows import take_rows
from stacchip.storage import redact
from stacchip.storage.documents import parse_object
from stacchip.stream import ChipStream
from stacchip.stream.options import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.chipper import Chipper
    from stacchip.cubes.index_state import IndexState
    from stacchip.cubes.left_out import ChipCount
    from stacchip.cubes.sinks import CubeFolder
    from stacchip.sources import Harmonize
    from stacchip.storage import Storage

    Rows = NDArray[np.int64]

LastCube = Literal["keep", "drop"]
CUBE_SIZE = 128
ORDER = "lanes"  # how the stream orders chips: other versions order them otherwise


@dataclass(frozen=True)
class PlanSettings:
    """The settings that decide which chip is in which cube.

    Attributes:
        seed: Seed of the permutation.
        cube_size: Chips in a cube.
        cubes_per_job: Cubes that one job makes.
        last_cube: `"keep"` to write the last cube even if it is short, `"drop"` to leave it out.
        mixing_bytes: Decoded bytes of the areas that a job draws its chips from at once.
        draw: Which chips are in cubes, and how often: those that epoch 0 of a stream draws. By
            default each is in one cube.

    Raises:
        UsageError: A number is no whole number from 0 on, or `last_cube` is unknown, or the draw is
            a mix that has batches of its own.
    """

    seed: int = 0
    cube_size: int = CUBE_SIZE
    cubes_per_job: int = 16
    last_cube: LastCube = "keep"
    mixing_bytes: int = 1 << 30
    draw: Draw | Mix | None = None

    def __post_init__(self) -> None:
        for name in ("seed", "cube_size", "cubes_per_job", "mixing_bytes"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if self.last_cube not in ("keep", "drop"):
            raise UsageError(f"last_cube is 'keep' or 'drop', not {self.last_cube!r}.")
        if self.cube_size < 1 or self.cubes_per_job < 1:
            raise UsageError("cube_size and cubes_per_job are at least 1.")
        if not isinstance(self.draw, Draw | Mix | None):
            raise UsageError(f"draw is a Draw or a Mix, not {self.draw!r}.")
        if self.draw is not None and self.draw.batches != "random":
            raise UsageError(
                f"A mix with batches={self.draw.batches!r} is for training: cubes hold chips of "
                'all parts, batches="random".'
            )

    @property
    def plain(self) -> dict[str, Any]:
        """The settings as plain values that JSON can hold."""
        told = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "draw"}
        return told if self.draw is None else {**told, "draw": self.draw.plain}


def read_plan(folder: CubeFolder, storage: Storage) -> dict[str, Any]:
    """Return what a run recorded beside its cubes: how they were made, and from what.

    Raises:
        ObjectNotFound: There is no record.
        InvalidMetadata: It is no JSON object.
        LimitExceeded: It is larger, or nests deeper, than a document may.
    """
    href = folder.plan_href
    limits = storage.options_for(href).limits
    remedy = "If the cubes are your own, delete it; the next run writes it again."
    return parse_object(storage.read(href, limit="document_bytes"), href, limits, remedy=remedy)


def tell_change(name: str, was: Any, now: Any) -> str:
    """Return how a setting differs from what it was; of a draw, the first thing that differs.

    Example:
        >>> tell_change("draw", {"chips": 10, "power": 1.0}, {"power": 1.0, "chips": 20})
        'draw.chips was 10 and is 20'
    """
    if isinstance(was, dict) and isinstance(now, dict):
        differing = sorted(key for key in {*was, *now} if was.get(key) != now.get(key))
        if differing:
            key = differing[0]
            return tell_change(f"{name}.{key}", was.get(key), now.get(key))
    return f"{name} was {was!r} and is {now!r}"


class PlannedCubes(ABC):
    """Chips in numbered cubes, and the cubes in jobs: what all plans have in common.

    Attributes:
        settings: These decide which chip is in which cube.
        bands: Names of the bands, for the record.
        limits: The limits by which the chips were chosen, for the record; None if not known.
    """

    settings: PlanSettings
    bands: tuple[str, ...]
    limits: Mapping[str, Any] | None

    @property
    @abstractmethod
    def wanted(self) -> int:
        """Number of chips that may be in cubes."""

    @property
    def chosen(self) -> int:
        """Number of chips within the limits, from which those in cubes may be drawn."""
        return self.wanted

    @property
    def not_drawn(self) -> int:
        """Number of chips within the limits that the draw takes into no cube."""
        return 0

    @property
    @abstractmethod
    def chip_size(self) -> int:
        """Pixels a side of the chips."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of the chips in the order of the index."""

    @property
    @abstractmethod
    def harmonize(self) -> Harmonize | None:
        """As for `stacchip.chipper.Chipper`."""

    @property
    @abstractmethod
    def state(self) -> IndexState | None:
        """The files of the index that the chips are of; None for a table in memory."""

    @abstractmethod
    def part(self, job: int) -> Rows:
        """Return the rows of the chips of a job, in their order."""

    @abstractmethod
    def read_rows(self, rows: Rows) -> pa.Table:
        """Return rows of the index, with its metadata."""

    @property
    def counted(self) -> ChipCount | None:
        """How many chips there are, and are left out for which limit; None if not counted yet."""
        return None

    @property
    def chips(self) -> int:
        """Number of chips in all cubes."""
        count = self.wanted
        if self.settings.last_cube == "drop":
            count -= count % self.settings.cube_size
        return count

    @property
    def cubes(self) -> int:
        """Number of cubes."""
        return -(-self.chips // self.settings.cube_size)

    @property
    def cube_set(self) -> CubeSet:
        """The facts about all cubes that a sink needs."""
        return CubeSet(self.settings.cube_size, self.chips, self.bands, self.chip_size)

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return -(-self.cubes // self.settings.cubes_per_job)

    def numbers(self, job: int) -> range:
        """Return the numbers of a job's cubes; none for a job beyond the last."""
        per_job = self.settings.cubes_per_job
        return range(job * per_job, max(job * per_job, min((job + 1) * per_job, self.cubes)))

    def places(self, job: int) -> tuple[int, int]:
        """Return the place of a job's first chip in the order of the plan, and after its last."""
        per_job = self.settings.cubes_per_job * self.settings.cube_size
        start = min(job * per_job, self.chips)
        return start, min(start + per_job, self.chips)

    def rows(self, job: int) -> dict[int, Rows]:
        """Return the rows of each of a job's cubes, in the order of its chips."""
        numbers, size = self.numbers(job), self.settings.cube_size
        if not numbers:
            return {}
        part = self.part(job)
        return {
            number: part[place * size : (place + 1) * size] for place, number in enumerate(numbers)
        }

    # --- the record beside the cubes

    def record(self) -> dict[str, Any]:
        """Return the facts that another run must share to go on with the same cubes."""
        settings = self.settings
        return {
            "bands": list(self.bands),
            "chips": self.chips,
            "chip_size": self.chip_size,
            "cube_size": settings.cube_size,
            "cubes": self.cubes,
            "cubes_per_job": settings.cubes_per_job,
            "harmonize": self.harmonize,
            "index": self.fingerprint,
            "mixing_bytes": settings.mixing_bytes,
            "order": ORDER,
            "seed": settings.seed,
            **({} if settings.draw is None else {"draw": settings.draw.plain}),
        }

    def agree(self, folder: CubeFolder, storage: Storage) -> None:
        """Write the record beside the cubes, or compare it with the one that is there.

        Raises:
            AssetChanged: There is no record, and the plan is not kept any more.
            InvalidMetadata: The record that is there is no JSON object.
            UsageError: The cubes that are there were made in another way.
        """
        if self.is_recorded(folder, storage):
            return
        if not self.is_kept:  # no record of a plan that other jobs do not find
            raise AssetChanged(
                f"The plan {redact(folder.plan_file_href)} was replaced or deleted since this job "
                "read it. No cube was made of it: run the job again.",
                href=redact(folder.plan_file_href),
            )
        # `index` has the chosen chips, so the limits are for people, and not compared
        known = {} if self.limits is None else {"limits": dict(self.limits)}
        known |= {} if self.state is None else self.state.as_record()
        text = json.dumps({**self.record(), **known}, indent=1, sort_keys=True)
        try:
            storage.write_over(folder.plan_href, text.encode(), None)
        except AssetChanged:
            self.compare(folder, storage)  # another job was the first

    @property
    def is_kept(self) -> bool:
        """True if other jobs find the same plan: it is in its file, or each makes it."""
        return True

    def is_recorded(self, folder: CubeFolder, storage: Storage) -> bool:
        """Return True if the record beside the cubes is that of this plan, False if there is none.

        Raises:
            InvalidMetadata: The record that is there is no JSON object.
            UsageError: The cubes that are there were made in another way.
        """
        try:
            self.compare(folder, storage)
        except ObjectNotFound:
            return False
        return True

    def compare(self, folder: CubeFolder, storage: Storage) -> None:
        """Compare the record with the one beside the cubes.

        Raises:
            InvalidMetadata: The record that is there is no JSON object.
            ObjectNotFound: There is none.
            UsageError: The cubes that are there were made in another way.
        """
        ours, theirs = self.record(), read_plan(folder, storage)
        differing = [
            name for name in ({**ours, "draw": None}) if ours.get(name) != theirs.get(name)
        ]
        if differing:  # versions that order chips otherwise digest the index otherwise, too
            first = [name for name in ("order", "draw") if name in differing]
            name = first[0] if first else min(differing)
            said = tell_change(name, theirs.get(name), ours.get(name))
            raise UsageError(
                f"The cubes at {redact(folder.href)} were made in another way: {said}. Some chips "
                "would be in two cubes. Use the same index and options, or another target."
            )


@dataclass(frozen=True)
class CubePlan(PlannedCubes):
    """The cubes of an index in memory.

    Attributes:
        chipper: Cuts the chips; its rows are all chips that may be in cubes.
        settings: These decide which chip is in which cube.
        bands: Names of the bands, for the record.
        limits: The limits by which the chips were chosen, for the record; None if not known.
        state: The files of the index that the chips are of; None for a table in memory.
    """

    chipper: Chipper
    settings: PlanSettings
    bands: tuple[str, ...]
    limits: Mapping[str, Any] | None = None
    state: IndexState | None = None

    @property
    def table(self) -> pa.Table:
        """The rows of all chips."""
        return self.chipper.rows.table

    @property
    def wanted(self) -> int:
        """Number of chips that may be in cubes."""
        return len(self._stream)

    @property
    def chosen(self) -> int:
        """Number of chips within the limits."""
        return len(self.chipper.rows)

    @property
    def not_drawn(self) -> int:
        """Number of chips within the limits that the draw takes into no cube."""
        return self.chosen - self._stream.count_different()

    @property
    def chip_size(self) -> int:
        """Pixels a side of the chips."""
        return int(self.table["chip_size"][0].as_py())

    @property
    def harmonize(self) -> Harmonize | None:
        """As for `stacchip.chipper.Chipper`."""
        return self.chipper.choice.harmonize

    @property
    def fingerprint(self) -> str:
        """A digest of the chips in the order of the index."""
        return self._stream.fingerprint

    def part(self, job: int) -> Rows:
        """Return the rows of the chips of a job, in their order."""
        return self._stream.rows_between(*self.places(job))

    def read_rows(self, rows: Rows) -> pa.Table:
        """Return rows of the index, with its metadata."""
        return take_rows(self.table, rows)

    @cached_property
    def _stream(self) -> ChipStream:
        return ChipStream(
            self.chipper,
            order="shuffle",
            seed=self.settings.seed,
            memory_bytes=self.settings.mixing_bytes,
            draw=self.settings.draw,
        )
