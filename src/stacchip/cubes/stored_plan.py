"""The plan of a large index: kept beside the cubes, and read job by job.

To make it (`planner`), a process reads the columns that the filters and the shuffle need, and holds
what a stream of the index does. A job reads the numbers of its own rows out of the file, then these
rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stacchip.cubes.index_state import IndexState
from stacchip.cubes.left_out import ChipCount
from stacchip.cubes.plan import PlannedCubes
from stacchip.cubes.plan_file import PlanFile
from stacchip.errors import IndexFormatError, ObjectNotFound
from stacchip.index.schema import SCHEMA
from stacchip.runtime.concurrently import map_concurrently
from stacchip.runtime.odd_values import ODD_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.cubes.plan import PlanSettings
    from stacchip.index.on_disk import StoredIndex
    from stacchip.sources import Harmonize
    from stacchip.storage import Storage

    Rows = NDArray[np.int64]

__all__ = ["StoredPlan", "is_sound"]

_HEAD: Final = {
    "wanted": int, "chip_size": int, "fingerprint": str, "index": list, "there": int,
    "left_out": list, "asked": dict, "index_rows": int, "chips_per_job": int,
}  # fmt: skip
_LATER: Final = ("chosen", "not_drawn")  # numbers that plans of earlier versions lack


@dataclass(frozen=True)
class StoredPlan(PlannedCubes):
    """The cubes of an index on disk.

    Attributes:
        index: The index.
        file: The file with the rows of each job.
        storage: Reads both.
        settings: These decide which chip is in which cube.
        bands: Names of the bands, for the record.
        limits: The limits by which the chips were chosen, for the record.
    """

    index: StoredIndex
    file: PlanFile
    storage: Storage
    settings: PlanSettings
    bands: tuple[str, ...]
    limits: Mapping[str, Any]
    harmonize: Harmonize | None = None

    @property
    def wanted(self) -> int:
        """Number of chips that may be in cubes."""
        return int(self.file.head["wanted"])

    @property
    def chosen(self) -> int:
        """Number of chips within the limits."""
        return int(self.file.head.get("chosen", self.wanted))

    @property
    def not_drawn(self) -> int:
        """Number of chips within the limits that the draw takes into no cube."""
        return int(self.file.head.get("not_drawn", 0))

    @property
    def chip_size(self) -> int:
        """Pixels a side of the chips."""
        return int(self.file.head["chip_size"])

    @property
    def fingerprint(self) -> str:
        """A digest of the chips."""
        return str(self.file.head["fingerprint"])

    @property
    def counted(self) -> ChipCount:
        """How many chips there are, and how many are left out for which limit."""
        head = self.file.head
        return ChipCount(int(head["there"]), dict(head["left_out"]))

    def part(self, job: int) -> Rows:
        """Return the rows of the chips of a job, in their order."""
        start, stop = self.places(job)
        rows = self.file.rows(job, stop - start, self.storage)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self.index):
            raise self.file.damaged
        return rows

    def check(self) -> None:
        """Read the rows of all jobs.

        Raises:
            IndexFormatError: Some are damaged, or missing.
        """
        map_concurrently(lambda job: len(self.part(job)), range(self.jobs))

    @property
    def state(self) -> IndexState:
        """The files of the index that the chips are of."""
        return IndexState(len(self.index.digests), len(self.index), self.index.digest)

    @property
    def is_kept(self) -> bool:
        """True if this plan is still the one in its file."""
        try:
            return PlanFile.read(self.file.href, self.storage).key == self.file.key
        except (IndexFormatError, ObjectNotFound):
            return False

    def read_rows(self, rows: Rows) -> pa.Table:
        """Return rows of the index, with its metadata."""
        table = self.index.take(rows, SCHEMA.names)
        return table.replace_schema_metadata(self.index.runs.schema.metadata)


def is_sound(head: Mapping[str, Any]) -> bool:
    """Return True if the head of a plan says what one must say."""
    if any(type(head.get(name)) is not kind for name, kind in _HEAD.items()):
        return False
    if any(type(head.get(name, 0)) is not int for name in _LATER):
        return False
    try:
        return all(type(count) is int for count in dict(head["left_out"]).values())
    except ODD_VALUES:
        return False
