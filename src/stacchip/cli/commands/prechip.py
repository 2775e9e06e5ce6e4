"""`stacchip prechip` and `stacchip-prechip`: options, each an environment variable too."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn, cast

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
from stacchip.cubes.plan import CUBE_SIZE, CubePlan, LastCube, PlanSettings
from stacchip.cubes.prechip import (
    DEFAULT_MAX_NODATA,
    FORMATS,
    CubeFormat,
    Imagery,
    Prechip,
    PrechipReport,
)
from stacchip.storage import Storage, StorageOptions

IndexOption = Annotated[
    str, typer.Option("--index", envvar="STACCHIP_INDEXPATH", help="Folder or file of the index.")
]
TargetOption = Annotated[
    str,
    typer.Option(
        "--target", "-o", envvar="STACCHIP_CHIP_BUCKET",
        help="Where the cubes go: a bucket's name, an address such as s3://bucket/prefix, or a "
        "folder with a slash, such as ./cubes.",
    ),
]  # fmt: skip
PlatformOption = Annotated[
    str,
    typer.Option("--platform", envvar="STACCHIP_PLATFORM", help="Whose chips: sentinel-2-l2a, ..."),
]
JobOption = Annotated[
    int | None,
    typer.Option(
        "--job", min=0, envvar="AWS_BATCH_JOB_ARRAY_INDEX", help="Only this job; all by default."
    ),
]
CubesPerJobOption = Annotated[
    int, typer.Option("--cubes-per-job", min=1, envvar="STACCHIP_CUBES_PER_JOB")
]
PoolSizeOption = Annotated[
    int,
    typer.Option(
        "--pool-size", min=1, envvar="STACCHIP_POOL_SIZE",
        help="Cubes that are written while the next one is cut.",
    ),
]  # fmt: skip
FormatOption = Annotated[
    str, typer.Option("--format", envvar="STACCHIP_CUBE_FORMAT", help=f"{', '.join(FORMATS)}.")
]
LastCubeOption = Annotated[
    str,
    typer.Option("--last-cube", envvar="STACCHIP_LAST_CUBE", help="keep or drop it, where short."),
]
CubeSizeOption = Annotated[
    int, typer.Option("--cube-size", min=1, envvar="STACCHIP_CUBE_SIZE", help="Chips of a cube.")
]
MixingOption = Annotated[
    int,
    typer.Option(
        "--mixing-memory", min=64, envvar="STACCHIP_MIXING_MB",
        help="Megabytes of the places that a cube draws from: part of the order, as the seed is.",
    ),
]  # fmt: skip
PlanOption = Annotated[
    bool, typer.Option("--plan", help="Say how many cubes and jobs there are, and write nothing.")
]


def prechip(
    *,
    index: IndexOption,
    target: TargetOption,
    platform: PlatformOption,
    data: DataOption = None,
    job: JobOption = None,
    cubes_per_job: CubesPerJobOption = 16,
    pool_size: PoolSizeOption = 2,
    max_nodata: ChipMaxNodataOption = DEFAULT_MAX_NODATA,
    max_cloud: ChipMaxCloudOption = None,
    bands: BandsOption = None,
    chip_size: ChipSizeOption = None,
    seed: SeedOption = 0,
    form: FormatOption = "npz",
    last_cube: LastCubeOption = "keep",
    cube_size: CubeSizeOption = CUBE_SIZE,
    memory: MemoryOption = 1024,
    mixing_memory: MixingOption = 1024,
    plan: PlanOption = False,
) -> None:
    """Cut the chips of an index into cubes: files of 128 chips for a training to read.

    Each chip is in one cube, over all jobs of an array. What is there already is not made again.
    """
    run = Prechip(
        imagery=Imagery(
            index=index,
            platform=platform,
            data=data,
            bands=parse_names(bands),
            max_nodata=max_nodata,
            max_cloud=max_cloud,
            chip_size=chip_size,
        ),
        target=target,
        settings=PlanSettings(
            seed, cube_size, cubes_per_job, cast("LastCube", last_cube), mixing_memory << 20
        ),
        form=cast("CubeFormat", form),
        writers=pool_size,
        memory_bytes=memory << 20,
        storage=Storage(options=StorageOptions(deadline_s=DEADLINE_S)),
    )
    cubes = run.plan()
    if plan:
        _print_plan(cubes)
        return
    for number in range(cubes.jobs) if job is None else [job]:
        _print_report(run.run(number, cubes))


def _print_plan(plan: CubePlan) -> None:
    sys.stdout.write(
        f"{plan.chips} chips in {plan.cubes} cubes: {plan.jobs} jobs of "
        f"{plan.settings.cubes_per_job} cubes\n"
    )


def _print_report(report: PrechipReport) -> None:
    if report.job >= report.jobs:
        sys.stdout.write(f"job {report.job}: nothing to do, there are {report.jobs} jobs\n")
        return
    speed = f", {report.chips / report.seconds:.0f} chips/s" if report.chips else ""
    sys.stdout.write(
        f"job {report.job} of {report.jobs}: {report.cubes} cubes written "
        f"({report.bytes_written / 1e6:.1f} MB), {report.cubes_there} there already; "
        f"{report.chips} chips{speed}\n"
    )
    sys.stdout.flush()


def main() -> NoReturn:
    """The console script `stacchip-prechip`."""
    run_script(prechip, "stacchip-prechip")
