"""`stacchip stats` and `stacchip-stats`: statistics of bands, in jobs.

Every environment variable is an option too, and an option wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.commands.stats_notes import tell_other_default, tell_what_was_measured
from stacchip.cli.filters import JobBbox, JobDatetime, JobItems, JobSplits, parse_bbox
from stacchip.cli.output import require_place
from stacchip.cli.terminal import console
from stacchip.cli.trust import AllowLocal, LimitList  # noqa: TC001 - typer reads them
from stacchip.collect.settings import DEADLINE_S
from stacchip.cubes.imagery import Imagery
from stacchip.errors import UsageError
from stacchip.statistics import (
    PERCENTILES,
    Part,
    PlatformStatistics,
    make_report,
    write_yaml,
)
from stacchip.statistics.measure import (
    StatisticsFolder,
    cube_statistics,
    index_statistics,
    list_platforms,
)
from stacchip.stream import Shard

if TYPE_CHECKING:
    from collections.abc import Callable

    from stacchip.index import Unmeasured
    from stacchip.sources import Harmonize
    from stacchip.storage import Storage

_PERCENTILES = ",".join(map(str, PERCENTILES))

Index = Annotated[str | None, options.JOB_INDEX]
Cubes = Annotated[
    options.Place | None,
    options.place_option(
        "--cubes", envvar="STACCHIP_CHIP_BUCKET",
        help="Measure the cubes in this folder, or s3://bucket. (In the variable, a bare name is a "
        "bucket.)",
    ),
]  # fmt: skip
Merge = Annotated[
    str | None,
    typer.Option("--merge", help="Report on the parts that jobs have left in this folder."),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", envvar="STACCHIP_CUBE_FORMAT",
        help=f"Form of the cubes, if there are several: {options.list_cube_forms()}",
    ),
]  # fmt: skip
Platform = Annotated[
    str | None,
    typer.Option(
        "--platform", envvar="STACCHIP_PLATFORM",
        help="Sources to measure, such as naip,linz; all by default.",
    ),
]  # fmt: skip
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", envvar="STACCHIP_STATS_OUTPUT",
        help="YAML file to write, or the folder for the parts of several jobs; prints by default.",
    ),
]  # fmt: skip
Job = Annotated[
    int | None,
    typer.Option(
        "--job", min=0, envvar="AWS_BATCH_JOB_ARRAY_INDEX", help="Number of this job, from 0."
    ),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, envvar="AWS_BATCH_JOB_ARRAY_SIZE", help="Number of jobs."),
]
PoolSize = Annotated[
    int,
    typer.Option(
        "--pool-size", min=1, envvar="STACCHIP_POOL_SIZE", help="Number of bands to count at once."
    ),
]
MaxCubes = Annotated[
    int | None,
    typer.Option(
        "--max-cubes", min=1, envvar="STACCHIP_MAX_CUBES", help="Read at most this many cubes."
    ),
]
MaxChips = Annotated[
    int | None,
    typer.Option(
        "--max-chips", min=1, envvar="STACCHIP_MAX_CHIPS",
        help="Read at most this many chips of the index, drawn at random.",
    ),
]  # fmt: skip
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", help="Data type of the imagery, if it is not the source's usual one."),
]
Percentiles = Annotated[
    str,
    typer.Option(
        "--percentiles", envvar="STACCHIP_PERCENTILES", help="Percentiles to report, 0..100."
    ),
]


@dataclass(frozen=True)
class _Run:
    """The pixels that a run of the command measures, and how."""

    index: str | None
    cubes: str | None
    form: str | None
    data: str | None
    bands: tuple[str, ...] | None
    max_nodata: float | None
    max_cloud: float | None
    unmeasured: Unmeasured
    chip_size: int | None
    harmonize: Harmonize | None
    items: tuple[str, ...] | None
    datetime: str | None
    bbox: tuple[float, ...] | None
    split: tuple[str, ...] | None
    max_cubes: int | None
    max_chips: int | None
    dtype: str | None
    seed: int
    threads: int
    memory_bytes: int
    storage: Storage

    def measure(self, platform: str, shard: Shard) -> PlatformStatistics:
        """Return the statistics of one job's share of a platform."""
        with console.progress(f"Measuring {platform}", None, "chips") as advance:

            def count(chips: int, total: int | None) -> None:
                advance.total = total
                advance(amount=chips)

            return self._measure(platform, shard, count)

    def _measure(
        self, platform: str, shard: Shard, on_chips: Callable[[int, int | None], None]
    ) -> PlatformStatistics:
        if self.cubes is not None:
            return cube_statistics(
                self.cubes,
                platform,
                self.storage,
                form=self.form,
                shard=shard,
                max_cubes=self.max_cubes,
                bands=self.bands,
                dtype=self.dtype,
                threads=self.threads,
                on_chips=on_chips,
            )
        imagery = Imagery(
            index=self.index or "",
            platform=platform,
            data=self.data,
            bands=self.bands,
            max_nodata=self.max_nodata,
            max_cloud=self.max_cloud,
            unmeasured=self.unmeasured,
            chip_size=self.chip_size,
            harmonize=self.harmonize,
            item_id=self.items,
            datetime=self.datetime,
            bbox=self.bbox,
            split=self.split,
        )
        return index_statistics(
            imagery,
            self.storage,
            shard=shard,
            max_chips=self.max_chips,
            seed=self.seed,
            dtype=self.dtype,
            threads=self.threads,
            memory_bytes=self.memory_bytes,
            on_chips=on_chips,
        )


def stats(
    *,
    index: Index = None,
    cubes: Cubes = None,
    form: Format = None,
    merge: Merge = None,
    data: options.JobData = None,
    platform: Platform = None,
    output: Output = None,
    job: Job = None,
    jobs: Jobs = 1,
    pool_size: PoolSize = 2,
    max_cubes: MaxCubes = None,
    max_chips: MaxChips = None,
    max_nodata: options.JobMaxNodata = None,
    max_cloud: options.JobMaxCloud = None,
    unmeasured: options.JobUnmeasured = "drop",
    item: JobItems = None,
    datetime: JobDatetime = None,
    bbox: JobBbox = None,
    split: JobSplits = None,
    bands: options.JobBands = None,
    chip_size: options.JobChipSize = None,
    harmonize: options.Harmonize = None,
    dtype: Dtype = None,
    percentiles: Percentiles = _PERCENTILES,
    seed: options.JobSeed = 0,
    memory: options.JobMemory = 1024,
    identity: options.Identity = "etag",
    limits: LimitList = None,
    allow_local: AllowLocal = False,
    allow_empty: options.AllowEmpty = False,
) -> None:
    """Report statistics of each band as YAML. They leave out nodata.

    Give --index or --cubes. Several jobs leave their parts in a folder; --merge reports on those.
    """
    storage = options.make_storage(
        identity=identity, limits=limits, allow_local=allow_local, deadline_s=DEADLINE_S
    )
    ranks = _parse_percentiles(percentiles)
    if merge is not None:
        with nothing_may_be_found(allowed=allow_empty):
            _report(StatisticsFolder(merge, storage).merge(), ranks, output, storage)
        return
    _check(index, cubes, job, jobs, output)
    if cubes is not None and harmonize is not None:
        raise UsageError("--harmonize is for chips of an index: cubes keep the values they have.")
    if cubes is not None and (item or datetime is not None or bbox is not None or split):
        raise UsageError(
            "--item, --datetime, --bbox and --split choose chips of an index: cubes are whole."
        )
    run = _Run(
        index, cubes.href if cubes else None, form, data.href if data else None,
        options.parse_names(bands), max_nodata, max_cloud,
        cast("Unmeasured", unmeasured), chip_size, cast("Harmonize | None", harmonize),
        tuple(item) if item else None, datetime, parse_bbox(bbox),
        tuple(split) if split else None, max_cubes, max_chips,
        dtype, seed, pool_size, memory << 20, storage,
    )  # fmt: skip
    if output is not None:
        require_place(output, storage, is_file=jobs == 1)
    with options.other_reading_offered(cubes, data), nothing_may_be_found(allowed=allow_empty):
        platforms = options.parse_names(platform) or list_platforms(
            storage, index=index, cubes=run.cubes
        )
        measured = (run.measure(name, Shard(job or 0, jobs)) for name in platforms)
        if jobs == 1 or output is None:
            _report(list(measured), ranks, output, storage)
            return
        folder = StatisticsFolder(output, storage)
        part = Part(job or 0, jobs, tuple(platforms))
        parts = []
        for each in measured:
            console.say(f"{folder.write(each, part)}: {each.chips} chips")
            tell_what_was_measured(each, part)
            parts.append(each)
        tell_other_default(parts)


def _check(
    index: str | None, cubes: options.Place | None, job: int | None, jobs: int, output: str | None
) -> None:
    if (index is None) == (cubes is None):
        raise UsageError("Say what to measure: --index or --cubes, and not both.")
    if jobs > 1 and (job is None or output is None):
        raise UsageError("With several jobs, give --job, and --output for the folder of parts.")
    if job is not None and job >= jobs:
        raise UsageError(f"There is no job {job} of {jobs}: jobs are numbered from 0.")


def _parse_percentiles(text: str) -> list[float]:
    try:
        ranks = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"Percentiles are numbers: 1,50,99; not {text!r}.") from error
    if not all(0 <= rank <= 100 for rank in ranks):
        raise UsageError(f"Percentiles are numbers from 0 to 100: 1,50,99; not {text!r}.")
    return ranks


def _report(
    statistics: list[PlatformStatistics], ranks: list[float], output: str | None, storage: Storage
) -> None:
    report = make_report(statistics, ranks)
    text = write_yaml(report)
    if output is None:
        console.say(text.removesuffix("\n"))
    else:
        storage.write(output, text.encode())
        console.say(f"{output}: {', '.join(report)}")
    for each in statistics:
        tell_what_was_measured(each)
    tell_other_default(statistics)
