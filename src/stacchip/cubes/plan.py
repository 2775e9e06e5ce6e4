"""The plan: which chip is in which cube. It is the same for every job, even one that runs again.

Chips that share blocks form areas (`stacchip.stream`). The seed puts the areas of the whole index
into a random order, and each job takes its part of that order, in whole cubes of chips. A job mixes
the chips of many areas at once. So each chip is in one cube and a cube has chips of many places and
items, but a job still decodes each of its blocks once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stacchip.cubes.sinks.form import CubeSet
from stacchip.errors import ObjectNotFound, UsageError
from stacchip.storage import redact
from stacchip.storage.documents import parse_object
from stacchip.stream import ChipStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stacchip.chipper import Chipper
    from stacchip.cubes.sinks import CubeFolder
    from stacchip.storage import Storage

LastCube = Literal["keep", "drop"]
CUBE_SIZE = 128
_ORDER = "lanes"  # how the stream orders chips: other versions order them otherwise
_NUMBERS = ("chip_size", "chip_index_x", "chip_index_y")


@dataclass(frozen=True)
class PlanSettings:
    """The settings that decide which chip is in which cube.

    Attributes:
        seed: Seed of the permutation.
        cube_size: Chips in a cube.
        cubes_per_job: Cubes that one job makes.
        last_cube: `"keep"` to write the last cube even if it is short, `"drop"` to leave it out.
        mixing_bytes: Decoded bytes of the areas that a job draws its chips from at once.
    """

    seed: int = 0
    cube_size: int = CUBE_SIZE
    cubes_per_job: int = 16
    last_cube: LastCube = "keep"
    mixing_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if self.last_cube not in ("keep", "drop"):
            raise UsageError(f"last_cube is 'keep' or 'drop', not {self.last_cube!r}.")
        if self.cube_size < 1 or self.cubes_per_job < 1:
            raise UsageError("cube_size and cubes_per_job are at least 1.")


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


@dataclass(frozen=True)
class CubePlan:
    """The cubes of an index.

    Attributes:
        chipper: Cuts the chips; its rows are all chips that may be in cubes.
        settings: These decide which chip is in which cube.
        bands: Names of the bands, for the record.
        limits: The limits by which the chips were chosen, for the record; None if not known.
    """

    chipper: Chipper
    settings: PlanSettings
    bands: tuple[str, ...]
    limits: Mapping[str, Any] | None = None

    @property
    def table(self) -> pa.Table:
        """The rows of all chips."""
        return self.chipper.rows.table

    @property
    def chips(self) -> int:
        """Number of chips in all cubes."""
        count = len(self.chipper.rows)
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
        chip_size = self.table["chip_size"][0].as_py()
        return CubeSet(self.settings.cube_size, self.chips, self.bands, chip_size)

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return -(-self.cubes // self.settings.cubes_per_job)

    def numbers(self, job: int) -> range:
        """Return the numbers of a job's cubes; none for a job beyond the last."""
        per_job = self.settings.cubes_per_job
        return range(job * per_job, max(job * per_job, min((job + 1) * per_job, self.cubes)))

    def rows(self, job: int) -> dict[int, NDArray[np.int64]]:
        """Return the rows of each of a job's cubes, in the order of its chips."""
        numbers, settings = self.numbers(job), self.settings
        if not numbers:
            return {}
        per_job = settings.cubes_per_job * settings.cube_size
        stop = min((job + 1) * per_job, self.chips)
        sequence = self._stream.rows_between(job * per_job, stop)
        size = settings.cube_size
        return {
            number: sequence[place * size : (place + 1) * size]
            for place, number in enumerate(numbers)
        }

    @cached_property
    def _stream(self) -> ChipStream:
        return ChipStream(
            self.chipper,
            order="shuffle",
            seed=self.settings.seed,
            memory_bytes=self.settings.mixing_bytes,
        )

    # --- the record beside the cubes

    def record(self) -> dict[str, Any]:
        """Return the facts that another run must share to go on with the same cubes."""
        settings = self.settings
        return {
            "bands": list(self.bands),
            "chips": self.chips,
            "chip_size": self.cube_set.chip_size,
            "cube_size": settings.cube_size,
            "cubes": self.cubes,
            "cubes_per_job": settings.cubes_per_job,
            "harmonize": self.chipper.choice.harmonize,
            "index": self._fingerprint(),
            "mixing_bytes": settings.mixing_bytes,
            "order": _ORDER,
            "seed": settings.seed,
        }

    def _fingerprint(self) -> str:
        """Return a digest of these rows in this order."""
        digest = hashlib.blake2b(digest_size=16)
        ids = pc.dictionary_encode(self.table["item_id"]).combine_chunks()
        if isinstance(ids, pa.ChunkedArray):
            ids = ids.chunk(0)
        digest.update(json.dumps(ids.dictionary.to_pylist()).encode())
        numbers = [ids.indices, *(self.table[name] for name in _NUMBERS)]
        for column in numbers:
            digest.update(np.ascontiguousarray(column.to_numpy(), "<i4").tobytes())
        return digest.hexdigest()

    def agree(self, folder: CubeFolder, storage: Storage) -> None:
        """Write the record beside the cubes, or compare it with the one that is there.

        Raises:
            InvalidMetadata: The record that is there is no JSON object.
            UsageError: The cubes that are there were made in another way.
        """
        ours = self.record()
        try:
            theirs = read_plan(folder, storage)
        except ObjectNotFound:
            # `index` has the chosen chips, so the limits are for people, and not compared
            known = {} if self.limits is None else {"limits": dict(self.limits)}
            text = json.dumps({**ours, **known}, indent=1, sort_keys=True)
            storage.write(folder.plan_href, text.encode())  # every job writes the same
            return
        differing = sorted(name for name in ours if ours[name] != theirs.get(name))
        if differing:
            name = differing[0]
            raise UsageError(
                f"The cubes at {redact(folder.href)} were made in another way: {name} was "
                f"{theirs.get(name)!r} and is {ours[name]!r}. Some chips would be in two cubes. "
                "Use the same index and options, or another target."
            )
