"""From an index to cubes of chips: the work of one job.

A job makes its cubes one after another. The stream decodes each block of its areas once and fills a
cube, which is encoded and written while the next one is filled. A cube that is already there and
whole is not made again, and its chips are not cut.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from stacchip.cubes.filling import fill_cubes
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import CubePlan, PlanSettings
from stacchip.cubes.planner import Planner
from stacchip.cubes.sinks import CubeFolder, get_form
from stacchip.errors import UsageError
from stacchip.index.table_rows import take_rows
from stacchip.items.archive import Archive, safe_name
from stacchip.storage import Storage
from stacchip.storage.s3.orphaned_uploads import abort_orphans
from stacchip.stream import ChipStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

    import pyarrow as pa
    from numpy.typing import NDArray

    from stacchip.chipper import Chipper
    from stacchip.cubes.plan import PlannedCubes
    from stacchip.cubes.sinks import Cube, CubeSink
    from stacchip.cubes.stored_plan import StoredPlan

# pickles of 0.x look for `Imagery` here, where it was defined
__all__ = ["Imagery", "Prechip", "PrechipReport"]


@dataclass(frozen=True)
class Prechip:
    """A run from an index to cubes; picklable, so that workers elsewhere can take its jobs.

    Attributes:
        imagery: The chips.
        target: Folder of the cubes, or the address of a bucket or of a prefix in it. A bare name
            is a folder; `s3://name` is a bucket.
        settings: These decide which chip is in which cube.
        form: Form of the cubes: `"npz"`, which is the original's, `"npz-uncompressed"`,
            `"webdataset"`, `"zarr"`, or one that `stacchip.cubes.sinks.register_form` added.
        writers: Number of cubes that are encoded and written while the next one is cut.
        memory_bytes: Limit for decoded blocks. Cubes come on top, `writers` + 2 of them.
        storage: Reads the index and the imagery, and writes the cubes.
    """

    imagery: Imagery
    target: str
    settings: PlanSettings = field(default_factory=PlanSettings)
    form: str = "npz"
    writers: int = 2
    memory_bytes: int = 1 << 30
    storage: Storage = field(default_factory=Storage)

    def __post_init__(self) -> None:
        # no bare name, so that a pickle says what it means
        object.__setattr__(self, "target", Archive.named(self.target, bare="folder").href)
        safe_name(self.imagery.platform, what="platform")
        get_form(self.form)
        if self.writers < 1:
            raise UsageError(
                f"{self.writers} writers cannot write: give at least 1 (writers=, --pool-size)."
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a pickle; in those of 0.x a bare name is a bucket."""
        self.__dict__.update(state)
        object.__setattr__(self, "target", Archive.named(self.target, bare="bucket").href)

    @property
    def folder(self) -> CubeFolder:
        """The folder of the cubes."""
        return CubeFolder(self.target.rstrip("/"), self.imagery.platform)

    def plan(self, *, renew: bool = False) -> CubePlan | StoredPlan:
        """Open the index, and return which chip is in which cube.

        The plan of a large index is made once and kept beside the cubes, where it is read the next
        time. Of several processes that find none and make it, the first wins, and the others go on
        with its plan. Call this once before you start the jobs of an array, so that they need not.

        Args:
            renew: Make a new plan if the one that is there is damaged, of other settings, or of an
                index that was replaced since; it is refused otherwise. If the index has grown
                since, a new plan has the new chips as long as there are no cubes. Once there are,
                they go on with the chips that were planned.

        Raises:
            ChipNotFound: No chip is within the limits.
            IndexFormatError: The plan that is there is damaged.
            IndexReplaced: It is of an index that was replaced since.
            UsageError: It is of other settings; or the index has several chip sizes, and none was
                chosen.
        """
        if self.imagery.has_path:
            planner = Planner(self.imagery, self.settings, self.folder, self.storage)
            return planner.plan(renew=renew)
        chipper = self.imagery.open(self.storage)
        names = self.imagery.platform_bands.names
        return CubePlan(chipper, self.settings, names, self.imagery.limits)

    @property
    def keeps_plan(self) -> bool:
        """True if the plan is kept beside the cubes, since the index is large."""
        return self.imagery.open_stored(self.storage) is not None

    def open_sink(self, plan: PlannedCubes) -> CubeSink:
        """Return the sink that writes the cubes.

        Raises:
            UsageError: The form is unknown, or needs a library that is not installed.
        """
        return get_form(self.form).open_sink(self.folder, self.storage, plan.cube_set)

    def run(
        self,
        job: int,
        plan: PlannedCubes | None = None,
        *,
        on_cube: Callable[[int, int], None] = lambda *_: None,
    ) -> PrechipReport:
        """Make the cubes of a job.

        Args:
            job: Number of the job, from 0. A job beyond the last has nothing to do.
            plan: The answer of `plan()`, if you have it; it saves opening the index again.
            on_cube: Called with the chips and the bytes of each cube that is written.

        Raises:
            UsageError: The cubes that are there come from another index or other settings.
            AssetChanged: There are no cubes yet, and the plan was replaced or deleted.
            AssetNotFound: An item lacks an asset or a band.
            RasterError: A file is broken; the error names item and asset.
            StorageError: A file could not be read, or a cube could not be written.
        """
        if job < 0:
            raise UsageError(f"There is no job {job}: jobs count from 0.")
        begin = time.perf_counter()
        plan = plan or self.plan()
        plan.agree(self.folder, self.storage)
        sink = self.open_sink(plan)
        numbers = plan.numbers(job)
        complete = sink.find_complete(numbers)
        rows = plan.rows(job) if len(complete) < len(numbers) else {}
        rows = {number: each for number, each in rows.items() if number not in complete}
        self._abort_orphans([sink.cube_href(number) for number in rows])
        written = 0
        for chips, size_bytes in _write_all(sink, self._cut(plan, rows), self.writers):
            written += size_bytes
            on_cube(chips, size_bytes)
        return PrechipReport(
            job=job,
            jobs=plan.jobs,
            cubes=len(rows),
            cubes_there=len(complete),
            chips=sum(map(len, rows.values())),
            bytes_written=written,
            seconds=time.perf_counter() - begin,
        )

    def _abort_orphans(self, hrefs: list[str]) -> None:
        """Abort uploads of these cubes that a killed job left unfinished, but no other job's."""
        if hrefs:
            folder = f"{self.folder.href}/"
            abort_orphans(folder, self.storage.options_for(folder), only=hrefs)

    def _cut(self, plan: PlannedCubes, rows: Mapping[int, NDArray[np.int64]]) -> Iterator[Cube]:
        """Cut the chips of these rows, and yield their cubes in this order."""
        if not rows:
            return
        wanted = np.concatenate(list(rows.values()))
        table = plan.read_rows(wanted)
        stream = ChipStream(
            self._open(table, wanted),
            order="index",
            memory_bytes=self.memory_bytes,
            dtype=np.float32,
        )
        yield from fill_cubes(
            stream.batches(self.settings.cube_size),
            {number: len(each) for number, each in rows.items()},
            table,
            self.imagery.platform_bands,
        )

    def _open(self, table: pa.Table, rows: NDArray[np.int64]) -> Chipper:
        """Return a chipper of these rows, some of which a draw may take again."""
        _, first, places = np.unique(rows, return_index=True, return_inverse=True)
        if len(first) == len(rows):
            return self.imagery.chipper_of(table, self.storage)
        # a chip that is in a table twice may be taken for one of another item of the same name
        different = self.imagery.chipper_of(take_rows(table, first), self.storage)
        return different.with_rows(places)


@dataclass(frozen=True)
class PrechipReport:
    """The outcome of a job.

    Attributes:
        job: Number of the job.
        jobs: Number of jobs in the run.
        cubes: Number of cubes that this call wrote.
        cubes_there: Number of cubes that were already there.
        chips: Number of chips in the cubes that were written.
        bytes_written: Size of these cubes.
        seconds: Duration of the call.
    """

    job: int
    jobs: int
    cubes: int
    cubes_there: int
    chips: int
    bytes_written: int
    seconds: float


def _write_all(sink: CubeSink, cubes: Iterator[Cube], writers: int) -> Iterator[tuple[int, int]]:
    """Write each cube while the next one is cut, and yield its chips and the bytes written.

    At most `writers` are under way. If one fails, wait for the others and raise the error.
    The threads are this call's own, unlike those of `stacchip.runtime.concurrently`: writing a cube
    encodes it, which keeps a core busy, and may itself wait for those threads.
    """

    def write(cube: Cube) -> tuple[int, int]:
        return cube.table.num_rows, sink.write(cube)

    under_way: set[Future[tuple[int, int]]] = set()
    with ThreadPoolExecutor(writers, thread_name_prefix="stacchip-cube") as pool:
        for cube in cubes:
            under_way.add(pool.submit(write, cube))
            del cube
            while len(under_way) >= writers:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in under_way)
