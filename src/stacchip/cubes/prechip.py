"""From an index to cubes of chips: files that a training reads without cutting anything.

A job makes its cubes one after another: the stream decodes each block of its areas once, a cube is
filled, and while the next one is filled it is encoded and written. What is there already, whole, is
not made again; nor are its chips cut.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stacchip.cubes.filling import fill_cubes
from stacchip.cubes.imagery import Imagery
from stacchip.cubes.plan import CubePlan, PlanSettings
from stacchip.cubes.sinks import CubeFolder, get_form
from stacchip.errors import UsageError
from stacchip.items.archive import Archive, safe_name
from stacchip.storage import Storage
from stacchip.storage.s3.orphaned_uploads import abort_orphans
from stacchip.stream import ChipStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from stacchip.cubes.sinks import Cube, CubeSink

# `Imagery` stood here: pickles of 0.x name it so
__all__ = ["Imagery", "Prechip", "PrechipReport"]


@dataclass(frozen=True)
class Prechip:
    """What a run is told; picklable, so that workers elsewhere run as told.

    Attributes:
        imagery: The chips.
        target: Bucket or folder of the cubes, as `stacchip.items.Archive.named` reads it.
        settings: What decides which chip is in which cube.
        form: Name of the cubes' form: `"npz"` as the original's, `"npz-uncompressed"`,
            `"webdataset"`, `"zarr"`, or one that `stacchip.cubes.sinks.register_form` added.
        writers: Cubes that are encoded and written at the same time as the next one is cut.
        memory_bytes: What decoded blocks may take; cubes come on top, `writers` + 2 of them.
        storage: Where everything is read from and written to.
    """

    imagery: Imagery
    target: str
    settings: PlanSettings = field(default_factory=PlanSettings)
    form: str = "npz"
    writers: int = 2
    memory_bytes: int = 1 << 30
    storage: Storage = field(default_factory=Storage)

    def __post_init__(self) -> None:
        safe_name(self.imagery.platform, what="platform")
        get_form(self.form)
        if self.writers < 1:
            raise UsageError("At least one cube is written at a time.")

    @property
    def folder(self) -> CubeFolder:
        """Where the cubes lie."""
        return CubeFolder(Archive.named(self.target).href.rstrip("/"), self.imagery.platform)

    def plan(self) -> CubePlan:
        """Which chip is in which cube."""
        chipper = self.imagery.open(self.storage)
        return CubePlan(chipper, self.settings, self.imagery.platform_bands.names)

    def open_sink(self, plan: CubePlan) -> CubeSink:
        """What writes the cubes.

        Raises:
            UsageError: A library is not installed.
        """
        return get_form(self.form).open_sink(self.folder, self.storage, plan.cube_set)

    def run(self, job: int, plan: CubePlan | None = None) -> PrechipReport:
        """Make the cubes of a job.

        Args:
            job: Its number, from 0; beyond the last there is nothing to do.
            plan: That of `plan()`, where it is at hand.

        Raises:
            UsageError: Other cubes are there.
            AssetNotFound: An item lacks an asset or a band.
            RasterError: A file is broken; item and asset are named.
            StorageError: A file could not be had, or a cube not be written.
        """
        if job < 0:
            raise UsageError(f"Jobs count from 0: {job}.")
        begin = time.perf_counter()
        plan = plan or self.plan()
        plan.agree(self.folder, self.storage)
        sink = self.open_sink(plan)
        numbers = plan.numbers(job)
        complete = sink.find_complete(numbers)
        rows = plan.rows(job) if len(complete) < len(numbers) else {}
        rows = {number: each for number, each in rows.items() if number not in complete}
        self._abort_orphans([sink.cube_href(number) for number in rows])
        written = sum(_write_all(sink, self._cut(plan, rows), self.writers)) if rows else 0
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
        """Abort what a killed job left unfinished of these cubes; other jobs' are left alone."""
        if hrefs:
            folder = f"{self.folder.href}/"
            abort_orphans(folder, self.storage.options_for(folder), only=hrefs)

    def _cut(self, plan: CubePlan, rows: Mapping[int, NDArray[np.int64]]) -> Iterator[Cube]:
        """The cubes of these rows, in this order."""
        table = plan.table.take(pa.array(np.concatenate(list(rows.values()))))
        stream = ChipStream(
            self.imagery.chipper_of(table, self.storage),
            order="index",
            memory_bytes=self.memory_bytes,
            dtype=np.float32,
            with_valid=False,
        )
        return fill_cubes(
            stream.batches(self.settings.cube_size),
            {number: len(each) for number, each in rows.items()},
            table,
            self.imagery.platform_bands,
        )


@dataclass(frozen=True)
class PrechipReport:
    """What became of a job.

    Attributes:
        job: Its number.
        jobs: How many there are.
        cubes: Cubes that were written now.
        cubes_there: Cubes that were there already.
        chips: Chips in the cubes that were written.
        bytes_written: Their size.
        seconds: What it took.
    """

    job: int
    jobs: int
    cubes: int
    cubes_there: int
    chips: int
    bytes_written: int
    seconds: float


def _write_all(sink: CubeSink, cubes: Iterator[Cube], writers: int) -> Iterator[int]:
    """Write cubes while the next one is cut; gives the bytes of each.

    At most `writers` are on their way; the first that fails ends the run once those have ended.
    """
    under_way: set[Future[int]] = set()
    with ThreadPoolExecutor(writers, thread_name_prefix="stacchip-cube") as pool:
        for cube in cubes:
            under_way.add(pool.submit(sink.write, cube))
            del cube
            while len(under_way) >= writers:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in under_way)
