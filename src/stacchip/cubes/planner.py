"""Finds the plan of cubes, or makes it; an index that grows changes neither.

The plan of a large index is a file beside the cubes, and names the files of the index that it was
made of. That of a small one is computed by each job, and the record beside the cubes names these
files. Either way the plan is of the first files of the index from then on. So a plan that is lost
can be made anew, and an index may grow by files that none of its readers keep on disk.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from stacchip.cubes.index_state import IndexState
from stacchip.cubes.left_out import count_in_runs, count_left_out
from stacchip.cubes.plan import ORDER, CubePlan, read_plan, tell_change
from stacchip.cubes.plan_file import PlanFile, write_plan_file
from stacchip.cubes.stored_plan import StoredPlan, is_sound
from stacchip.errors import (
    AssetChanged,
    IndexFormatError,
    IndexReplaced,
    InvalidMetadata,
    LimitExceeded,
    ObjectNotFound,
    UsageError,
)
from stacchip.storage import redact

if TYPE_CHECKING:
    from stacchip.cubes.imagery import Imagery
    from stacchip.cubes.plan import PlanSettings
    from stacchip.cubes.sinks import CubeFolder
    from stacchip.index.on_disk import StoredIndex
    from stacchip.storage import Identity, Storage

__all__ = ["Planner"]

_log = logging.getLogger(__name__)

_AGAIN: Final = "run `stacchip prechip --plan` (Prechip.plan(renew=True))"


@dataclass(frozen=True)
class Planner:
    """Reads the plan of an index that is somewhere, or makes it.

    Attributes:
        imagery: The chips.
        settings: These decide which chip is in which cube.
        folder: The folder of the cubes.
        storage: Reads the index, and reads and writes the plan.
    """

    imagery: Imagery
    settings: PlanSettings
    folder: CubeFolder
    storage: Storage

    def plan(self, *, renew: bool = False) -> CubePlan | StoredPlan:
        """Return the plan; it is made if there is none.

        Args:
            renew: Make it anew if it is damaged, of other settings, or of an index that was
                replaced since; such a plan is refused otherwise. One of an index that has grown
                since is made anew if there are no cubes yet.

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
            if not renew or self._goes_on(plan):
                return plan
        except ObjectNotFound:
            pass
        except (IndexFormatError, IndexReplaced, InvalidMetadata, LimitExceeded, UsageError):
            if not renew:
                raise
        state = self._recorded_state(reports=renew)
        first = None if state is None else state.files
        index = self.imagery.open_stored(self.storage, first)
        if index is None:
            return self._plan_in_memory(state, seen)
        self._make(index, seen)
        return self._read()

    def _goes_on(self, plan: StoredPlan) -> bool:
        """Return True if a plan that is there needs no other in its place."""
        plan.check()
        grown = plan.state.has_grown(self.imagery.index, self.storage)
        if grown and plan.is_recorded(self.folder, self.storage):
            self._report_grown()
            return True
        return grown is False

    def _report_grown(self) -> None:
        _log.warning(
            "Chips were added to the index %s since its cubes were planned. They are in none of "
            "these cubes: for cubes of all chips, choose another target.",
            self.imagery.index_name,
        )

    def _seen(self) -> Identity | None:
        """Return the version of the plan that is there."""
        try:
            return self.storage.stat(self.folder.plan_file_href)
        except ObjectNotFound:
            return None

    def _recorded_state(self, *, reports: bool) -> IndexState | None:
        """Return the files of the index that cubes were made of; None if they are not there."""
        try:
            state = IndexState.recorded(read_plan(self.folder, self.storage))
        except ObjectNotFound:
            return None
        grown = state and state.has_grown(self.imagery.index, self.storage)
        if grown and reports:
            self._report_grown()
        return None if grown is None else state

    @cached_property
    def _asked(self) -> dict[str, Any]:
        """What decides a plan, apart from the index, as JSON has it."""
        asked = {
            **self.settings.plain,
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
        if not is_sound(head):
            raise file.damaged
        ours, was = self._asked, head["asked"]
        differing = sorted(name for name in {*ours, *was} if ours.get(name) != was.get(name))
        if differing:
            said = tell_change(differing[0], was.get(differing[0]), ours.get(differing[0]))
            raise UsageError(
                f"The plan {href} is of other settings: {said}. Use the same options for all jobs; "
                f"for a plan of others, {_AGAIN}."
            )
        index = self.imagery.open_stored(self.storage, len(head["index"]))
        if index is None or index.digests != head["index"]:
            raise IndexReplaced(
                f"The index was replaced or compacted since the plan {href} was made, or chips "
                f"were removed. For a plan of the new one, {_AGAIN}; if there are cubes already, "
                "with another target.",
                href=href,
            )
        per_job = self.settings.cubes_per_job * self.settings.cube_size
        is_ours = (head["index_rows"], head["chips_per_job"]) == (len(index), per_job)
        chosen = head.get("chosen", head["wanted"])  # with a draw, chips may come again
        if (
            not is_ours
            or not 0 < chosen <= len(index)
            or min(head["wanted"], head["chip_size"]) < 1
        ):
            raise file.damaged
        return self._plan_of(file, index)

    def _plan_of(self, file: PlanFile, index: StoredIndex) -> StoredPlan:
        limits, harmonize = self.imagery.limits, self.imagery.harmonize
        bands = self.imagery.platform_bands.names
        return StoredPlan(index, file, self.storage, self.settings, bands, limits, harmonize)

    def _plan_in_memory(self, state: IndexState | None, seen: Identity | None) -> CubePlan:
        """Return the plan of a small index, or of what it was; one in a file is of another."""
        imagery, path = self.imagery, self.imagery.index
        rows = None if state is None else state.rows
        state = state or IndexState.read(path, self.storage)
        chipper = imagery.open(self.storage, rows)
        if rows is None and state is not None and state.has_grown(path, self.storage) is not False:
            raise IndexReplaced(
                f"The index {imagery.index_name} was changed while its cubes were planned. Run "
                "this again.",
                href=imagery.index_name,
            )
        names = imagery.platform_bands.names
        plan = CubePlan(chipper, self.settings, names, imagery.limits, state)
        if seen is not None:
            plan.is_recorded(self.folder, self.storage)  # raises before the plan of cubes is lost
            self.storage.delete(self.folder.plan_file_href)
        return plan

    def _make(self, index: StoredIndex, seen: Identity | None) -> None:
        """Make the plan, and write it in the place of the one that was seen, if any.

        Of several that do so at once, the first wins, and the others go on with its plan: they may
        have seen the index before or after it grew.
        """
        imagery, settings = self.imagery, self.settings
        if not imagery.of_items(index).num_rows:  # a stream would warn of that
            imagery.require_one_size({}, self.storage)
        stream = imagery.stream(
            self.storage,
            index=index,
            order="shuffle",
            seed=settings.seed,
            memory_bytes=settings.mixing_bytes,
        )
        sizes = {size: chips for (_, size), chips in stream.chips_by_kind().items() if chips}
        imagery.require_one_size(sizes, self.storage)
        chosen = len(stream)
        if settings.draw is not None:
            stream = stream.with_draw(settings.draw)
        count = count_in_runs(imagery, index, chosen)
        count = count or count_left_out(imagery, self.storage, len(index))
        per_job = settings.cubes_per_job * settings.cube_size
        head = {
            "asked": self._asked,
            "chip_size": next(iter(sizes)),
            "chips_per_job": per_job,
            "chosen": chosen,
            "fingerprint": stream.fingerprint,
            "index": index.digests,
            "index_rows": len(index),
            "left_out": list(map(list, count.left_out.items())),  # in their order
            "not_drawn": chosen - stream.count_different(),
            "there": count.there,
            "wanted": len(stream),
        }
        href = self.folder.plan_file_href
        plan = self._plan_of(PlanFile(href, head, b"", 0), index)
        plan.is_recorded(self.folder, self.storage)  # before cubes that are there lose their plan
        _log.info("planning %s cubes of %s chips", plan.cubes, plan.chips)
        parts = stream.rows_in_parts(per_job, plan.chips)
        try:
            write_plan_file(href, head, parts, self.storage, expect=seen)
        except IndexReplaced:
            raise
        except AssetChanged:
            _log.info("another process has made the plan %s", redact(href))
