"""The plan of a large index: made once, kept beside the cubes, and read job by job.

To plan, a process reads the columns that the filters and the shuffle need, and holds what a stream
of the index does. A job reads the numbers of its own rows out of the file, then these rows.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from stacchip.cubes.left_out import ChipCount, count_in_runs, count_left_out
from stacchip.cubes.plan import ORDER, PlannedCubes
from stacchip.cubes.plan_file import PlanFile, write_plan_file
from stacchip.errors import (
    AssetChanged,
    IndexFormatError,
    IndexReplaced,
    InvalidMetadata,
    LimitExceeded,
    ObjectNotFound,
    UsageError,
)
from stacchip.index.schema import SCHEMA
from stacchip.runtime.concurrently import map_concurrently
from stacchip.runtime.odd_values import ODD_VALUES
from stacchip.storage import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.cubes.imagery import Imagery
    from stacchip.cubes.plan import PlanSettings
    from stacchip.cubes.sinks import CubeFolder
    from stacchip.index.on_disk import StoredIndex
    from stacchip.sources import Harmonize
    from stacchip.storage import Identity, Storage

    Rows = NDArray[np.int64]

__all__ = ["Planner", "StoredPlan"]

_log = logging.getLogger(__name__)

_HEAD: Final = {
    "wanted": int, "chip_size": int, "fingerprint": str, "index": list, "there": int,
    "left_out": list, "asked": dict, "index_rows": int, "chips_per_job": int,
}  # fmt: skip
_AGAIN: Final = "run `stacchip prechip --plan` (Prechip.plan(renew=True))"


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


@dataclass(frozen=True)
class Planner:
    """Reads the plan of a large index, or makes it.

    Attributes:
        imagery: The chips.
        index: Their index.
        settings: These decide which chip is in which cube.
        folder: The folder of the cubes.
        storage: Reads the index, and reads and writes the plan.
    """

    imagery: Imagery
    index: StoredIndex
    settings: PlanSettings
    folder: CubeFolder
    storage: Storage

    def plan(self, *, renew: bool = False) -> StoredPlan:
        """Return the plan; it is made if there is none.

        Args:
            renew: Make it anew if it is damaged, of other settings, or of an index that was
                replaced or has grown since. Otherwise such a plan is refused, but for one of an
                index that has grown: jobs go on with the chips that were planned.

        Raises:
            ChipNotFound: No chip is within the limits.
            IndexFormatError: The plan is damaged.
            IndexReplaced: It is of an index that was replaced since.
            UsageError: It is of other settings, or the cubes that are there were made in another
                way.
        """
        seen = self._seen() if renew else None
        try:
            plan = self._read()
            if not renew:
                return plan
            if len(plan.index.digests) == len(self.index.digests):
                plan.check()
                return plan
        except ObjectNotFound:
            pass
        except (IndexFormatError, IndexReplaced, InvalidMetadata, LimitExceeded, UsageError):
            if not renew:
                raise
        self._make(seen)
        return self._read()

    def _seen(self) -> Identity | None:
        """Return the version of the plan that is there."""
        try:
            return self.storage.stat(self.folder.plan_file_href)
        except ObjectNotFound:
            return None

    @cached_property
    def _asked(self) -> dict[str, Any]:
        """What decides a plan, apart from the index, as JSON has it."""
        asked = {
            **asdict(self.settings),
            "bands": self.imagery.platform_bands.names,
            "chip_size": self.imagery.chip_size,
            "harmonize": self.imagery.harmonize,
            "order": ORDER,
            "platform": self.imagery.platform,
            **self.imagery.limits,
        }
        if self.imagery.item_id is not None:
            asked["item_id"] = sorted(set(self.imagery.item_id))  # in any order the same chips
        as_json: dict[str, Any] = json.loads(json.dumps(asked))
        return as_json

    def _read(self) -> StoredPlan:
        """Read the plan that is there, and refuse another.

        Raises:
            ObjectNotFound: There is none.
        """
        file = PlanFile.read(self.folder.plan_file_href, self.storage)
        head, href = file.head, redact(file.href)
        if not _is_sound(head):
            raise file.damaged
        ours, was = self._asked, head["asked"]
        differing = sorted(name for name in {*ours, *was} if ours.get(name) != was.get(name))
        if differing:
            name = differing[0]
            raise UsageError(
                f"The plan {href} is of other settings: {name} was {was.get(name)!r} and is "
                f"{ours.get(name)!r}. Use the same options for all jobs; for a plan of others, "
                f"{_AGAIN}."
            )
        index = self.index.at(head["index"])
        if index is None:
            raise IndexReplaced(
                f"The index was replaced since the plan {href} was made, or chips were removed. "
                f"For a plan of the new one, {_AGAIN}.",
                href=href,
            )
        per_job = self.settings.cubes_per_job * self.settings.cube_size
        is_ours = (head["index_rows"], head["chips_per_job"]) == (len(index), per_job)
        if not is_ours or not 0 < head["wanted"] <= len(index) or head["chip_size"] < 1:
            raise file.damaged
        return self._plan_of(file, index)

    def _plan_of(self, file: PlanFile, index: StoredIndex) -> StoredPlan:
        limits, harmonize = self.imagery.limits, self.imagery.harmonize
        bands = self.imagery.platform_bands.names
        return StoredPlan(index, file, self.storage, self.settings, bands, limits, harmonize)

    def _make(self, seen: Identity | None) -> None:
        """Make the plan, and write it in the place of the one that was seen, if any.

        Of several that do so at once, the first wins, and the others go on with its plan: they may
        have seen the index before or after it grew.
        """
        imagery, settings = self.imagery, self.settings
        if not imagery.of_items(self.index.runs).num_rows:  # a stream would warn of that
            imagery.require_one_size({}, self.storage)
        stream = imagery.stream(
            self.storage,
            index=self.index,
            order="shuffle",
            seed=settings.seed,
            memory_bytes=settings.mixing_bytes,
        )
        sizes = {size: chips for (_, size), chips in stream.chips_by_kind().items() if chips}
        imagery.require_one_size(sizes, self.storage)
        count = count_in_runs(imagery, self.index, len(stream))
        count = count or count_left_out(imagery, self.storage)
        per_job = settings.cubes_per_job * settings.cube_size
        head = {
            "asked": self._asked,
            "chip_size": next(iter(sizes)),
            "chips_per_job": per_job,
            "fingerprint": stream.fingerprint,
            "index": self.index.digests,
            "index_rows": len(self.index),
            "left_out": list(map(list, count.left_out.items())),  # in their order
            "there": count.there,
            "wanted": len(stream),
        }
        href = self.folder.plan_file_href
        plan = self._plan_of(PlanFile(href, head, b"", 0), self.index)
        plan.is_recorded(self.folder, self.storage)  # before cubes that are there lose their plan
        _log.info("planning %s cubes of %s chips", plan.cubes, plan.chips)
        parts = stream.rows_in_parts(per_job, plan.chips)
        try:
            write_plan_file(href, head, parts, self.storage, expect=seen)
        except IndexReplaced:
            raise
        except AssetChanged:
            _log.info("another process has made the plan %s", redact(href))


def _is_sound(head: Mapping[str, Any]) -> bool:
    """Return True if the head of a plan says what one must say."""
    if any(type(head.get(name)) is not kind for name, kind in _HEAD.items()):
        return False
    try:
        return all(type(count) is int for count in dict(head["left_out"]).values())
    except ODD_VALUES:
        return False
