"""`stacchip stats` and `stacchip-stats`: options, each an environment variable too."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, NoReturn

import typer

from stacchip.cli.console_script import run_script
from stacchip.cli.shared_options import (
    BandsOption,
    ChipMaxCloudOption,
    ChipMaxNodataOption,
    ChipSizeOption,
    DataOption,
    MemoryOption,
    SeedOption,
    parse_names,
)
from stacchip.collect.settings import DEADLINE_S
from stacchip.cubes.prechip import Imagery
from stacchip.cubes.sinks.stored import READERS
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
from stacchip.storage import Storage, StorageOptions
from stacchip.stream import Shard

IndexOption = Annotated[
    str | None,
    typer.Option("--index", envvar="STACCHIP_INDEXPATH", help="Of the chips of this index, or"),
]
CubesOption = Annotated[
    str | None,
    typer.Option(
        "--cubes", envvar="STACCHIP_CHIP_BUCKET",
        help="of the cubes in this bucket (its name, or an address) or folder (with a slash), or",
    ),
]  # fmt: skip
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", envvar="STACCHIP_CUBE_FORMAT",
        help=f"Cubes as {', '.join(READERS)}: where several are there.",
    ),
]  # fmt: skip
MergeOption = Annotated[
    str | None, typer.Option("--merge", help="of what jobs have left in this folder.")
]
PlatformOption = Annotated[
    str | None,
    typer.Option(
        "--platform", envvar="STACCHIP_PLATFORM", help="One or several (a,b); all by default."
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", envvar="STACCHIP_STATS_OUTPUT",
        help="A YAML file; printed by default. The folder to leave parts in, where there are jobs.",
    ),
]  # fmt: skip
JobOption = Annotated[
    int | None, typer.Option("--job", min=0, envvar="AWS_BATCH_JOB_ARRAY_INDEX", help="This job")
]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, envvar="AWS_BATCH_JOB_ARRAY_SIZE", help="of so many.")
]
PoolSizeOption = Annotated[
    int,
    typer.Option(
        "--pool-size", min=1, envvar="STACCHIP_POOL_SIZE", help="Bands counted at the same time."
    ),
]
MaxCubesOption = Annotated[
    int | None, typer.Option("--max-cubes", min=1, envvar="STACCHIP_MAX_CUBES", help="At most.")
]
MaxChipsOption = Annotated[
    int | None,
    typer.Option(
        "--max-chips", min=1, envvar="STACCHIP_MAX_CHIPS", help="So many of an index, at random."
    ),
]
DtypeOption = Annotated[
    str | None,
    typer.Option("--dtype", help="The type of the imagery, where it is not the usual one."),
]
PercentilesOption = Annotated[
    str, typer.Option("--percentiles", envvar="STACCHIP_PERCENTILES", help="In 0..100.")
]


_PERCENTILES = ",".join(map(str, PERCENTILES))


@dataclass(frozen=True)
class _Run:
    """What a run of the command was told of its pixels."""

    index: str | None
    cubes: str | None
    form: str | None
    data: str | None
    bands: tuple[str, ...] | None
    max_nodata: float | None
    max_cloud: float | None
    chip_size: int | None
    max_cubes: int | None
    max_chips: int | None
    dtype: str | None
    seed: int
    threads: int
    memory_bytes: int
    storage: Storage

    def measure(self, platform: str, shard: Shard) -> PlatformStatistics:
        """The statistics of a job's part of a platform."""
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
            )
        imagery = Imagery(
            index=self.index or "",
            platform=platform,
            data=self.data,
            bands=self.bands,
            max_nodata=self.max_nodata,
            max_cloud=self.max_cloud,
            chip_size=self.chip_size,
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
        )


def stats(
    *,
    index: IndexOption = None,
    cubes: CubesOption = None,
    form: FormatOption = None,
    merge: MergeOption = None,
    data: DataOption = None,
    platform: PlatformOption = None,
    output: OutputOption = None,
    job: JobOption = None,
    jobs: JobsOption = 1,
    pool_size: PoolSizeOption = 2,
    max_cubes: MaxCubesOption = None,
    max_chips: MaxChipsOption = None,
    max_nodata: ChipMaxNodataOption = None,
    max_cloud: ChipMaxCloudOption = None,
    bands: BandsOption = None,
    chip_size: ChipSizeOption = None,
    dtype: DtypeOption = None,
    percentiles: PercentilesOption = _PERCENTILES,
    seed: SeedOption = 0,
    memory: MemoryOption = 1024,
) -> None:
    """Mean, deviation, minimum, maximum and percentiles of each band, as YAML.

    Nodata does not count. Jobs of an array leave their parts in a folder; `--merge` makes the
    report of these.
    """
    storage = Storage(options=StorageOptions(deadline_s=DEADLINE_S))
    ranks = _parse_percentiles(percentiles)
    if merge is not None:
        _write(make_report(StatisticsFolder(merge, storage).merge(), ranks), output, storage)
        return
    _check(index, cubes, job, jobs, output)
    run = _Run(
        index, cubes, form, data, parse_names(bands), max_nodata, max_cloud, chip_size, max_cubes,
        max_chips, dtype, seed, pool_size, memory << 20, storage,
    )  # fmt: skip
    platforms = parse_names(platform) or list_platforms(storage, index=index, cubes=cubes)
    measured = (run.measure(name, Shard(job or 0, jobs)) for name in platforms)
    if jobs == 1 or output is None:
        _write(make_report(measured, ranks), output, storage)
        return
    folder = StatisticsFolder(output, storage)
    part = Part(job or 0, jobs, tuple(platforms))
    for each in measured:
        sys.stdout.write(f"{folder.write(each, part)}: {each.chips} chips\n")


def _check(
    index: str | None, cubes: str | None, job: int | None, jobs: int, output: str | None
) -> None:
    if (index is None) == (cubes is None):
        raise UsageError("Statistics are of an index (--index) or of cubes (--cubes): give one.")
    if jobs > 1 and (job is None or output is None):
        raise UsageError("Of several jobs, say which (--job) and where parts go (--output).")
    if job is not None and job >= jobs:
        raise UsageError(f"There is no job {job} of {jobs}: they count from 0.")


def _parse_percentiles(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"Percentiles are numbers: 1,50,99; not {text!r}.") from error


def _write(report: dict[str, object], output: str | None, storage: Storage) -> None:
    text = write_yaml(report)
    if output is None:
        sys.stdout.write(text)
    else:
        storage.write(output, text.encode())
        sys.stdout.write(f"{output}: {', '.join(report)}\n")


def main() -> NoReturn:
    """The console script `stacchip-stats`."""
    run_script(stats, "stacchip-stats")
