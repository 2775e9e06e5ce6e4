"""`stacchip prechip` and `stacchip-prechip`: cubes of chips, in jobs.

Every environment variable is an option too, and an option wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from stacchip.cli import options
from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.draws import (
    JobBalance,
    JobChips,
    JobPower,
    JobRepeat,
    JobWeight,
    make_draw,
)
from stacchip.cli.filters import JobBbox, JobDatetime, JobItems, JobSplits, parse_bbox
from stacchip.cli.output import require_place
from stacchip.cli.terminal import console
from stacchip.cli.trust import AllowLocal, LimitList  # noqa: TC001 - typer reads them
from stacchip.collect.settings import DEADLINE_S
from stacchip.cubes.imagery import DEFAULT_MAX_NODATA, Imagery
from stacchip.cubes.left_out import count_left_out, describe_left_out, describe_limits
from stacchip.cubes.plan import CUBE_SIZE, LastCube, PlanSettings
from stacchip.cubes.prechip import Prechip, PrechipReport
from stacchip.errors import NothingFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.cubes.plan import PlannedCubes
    from stacchip.index import Unmeasured
    from stacchip.sources import Harmonize

Index = Annotated[str, options.JOB_INDEX]
Target = Annotated[
    options.Place,
    options.place_option(
        "--target", "-o", envvar="STACCHIP_CHIP_BUCKET",
        help="Where to write cubes: a folder, or s3://bucket/prefix. (In the variable, a bare name "
        "is a bucket.)",
    ),
]  # fmt: skip
Platform = Annotated[
    str,
    typer.Option(
        "--platform", envvar="STACCHIP_PLATFORM",
        help="Source whose chips to take, such as sentinel-2-l2a.",
    ),
]  # fmt: skip
Job = Annotated[
    int | None,
    typer.Option(
        "--job", min=0, envvar="AWS_BATCH_JOB_ARRAY_INDEX",
        help="Number of the job to do, from 0; all jobs by default.",
    ),
]  # fmt: skip
CubesPerJob = Annotated[
    int,
    typer.Option(
        "--cubes-per-job", min=1, envvar="STACCHIP_CUBES_PER_JOB", help="Number of cubes in a job."
    ),
]
PoolSize = Annotated[
    int,
    typer.Option(
        "--pool-size", min=1, envvar="STACCHIP_POOL_SIZE",
        help="Number of cubes to write while the next one is being cut.",
    ),
]  # fmt: skip
Format = Annotated[
    str,
    typer.Option(
        "--format", envvar="STACCHIP_CUBE_FORMAT",
        help=f"Form of the cubes: {options.list_cube_forms()}",
    ),
]  # fmt: skip
LastCubeChoice = Annotated[
    str,
    typer.Option(
        "--last-cube", envvar="STACCHIP_LAST_CUBE",
        help="What to do with a last cube that is short of chips: keep or drop it.",
    ),
]  # fmt: skip
CubeSize = Annotated[
    int,
    typer.Option(
        "--cube-size", min=1, envvar="STACCHIP_CUBE_SIZE", help="Number of chips in a cube."
    ),
]
Mixing = Annotated[
    int,
    typer.Option(
        "--mixing-memory", min=64, envvar="STACCHIP_MIXING_MB",
        help="Megabytes of the places that a cube draws chips from; like the seed, it decides "
        "their order.",
    ),
]  # fmt: skip
Plan = Annotated[
    bool,
    typer.Option(
        "--plan",
        help="Print the number of cubes and jobs, and cut nothing. The plan of a large index is "
        "written beside the cubes, for all jobs.",
    ),
]


def prechip(
    *,
    index: Index,
    target: Target,
    platform: Platform,
    data: options.JobData = None,
    job: Job = None,
    cubes_per_job: CubesPerJob = 16,
    pool_size: PoolSize = 2,
    max_nodata: options.JobMaxNodata = DEFAULT_MAX_NODATA,
    max_cloud: options.JobMaxCloud = None,
    unmeasured: options.JobUnmeasured = "drop",
    item: JobItems = None,
    datetime: JobDatetime = None,
    bbox: JobBbox = None,
    split: JobSplits = None,
    balance: JobBalance = None,
    weight: JobWeight = None,
    power: JobPower = 1.0,
    chips: JobChips = None,
    repeat: JobRepeat = False,
    bands: options.JobBands = None,
    chip_size: options.JobChipSize = None,
    harmonize: options.Harmonize = None,
    seed: options.JobSeed = 0,
    form: Format = "npz",
    last_cube: LastCubeChoice = "keep",
    cube_size: CubeSize = CUBE_SIZE,
    memory: options.JobMemory = 1024,
    mixing_memory: Mixing = 1024,
    plan: Plan = False,
    allow_empty: options.AllowEmpty = False,
    identity: options.Identity = "etag",
    limits: LimitList = None,
    allow_local: AllowLocal = False,
) -> None:
    """Cut the chips of an index into cubes. A cube is a file of 128 chips to train from.

    Over all jobs of an array, each chip is in one cube, unless a draw takes it more or less often.
    Cubes that are there already are kept.
    """
    run = Prechip(
        imagery=Imagery(
            index=index,
            platform=platform,
            data=data.href if data else None,
            bands=options.parse_names(bands),
            max_nodata=max_nodata,
            max_cloud=max_cloud,
            unmeasured=cast("Unmeasured", unmeasured),
            chip_size=chip_size,
            harmonize=cast("Harmonize | None", harmonize),
            item_id=tuple(item) if item else None,
            datetime=datetime,
            bbox=parse_bbox(bbox),
            split=tuple(split) if split else None,
        ),
        target=target.href,
        settings=PlanSettings(
            seed,
            cube_size,
            cubes_per_job,
            cast("LastCube", last_cube),
            mixing_memory << 20,
            draw=make_draw(weight=weight, balance=balance, power=power, chips=chips, repeat=repeat),
        ),
        form=form,
        writers=pool_size,
        memory_bytes=memory << 20,
        storage=options.make_storage(
            identity=identity, limits=limits, allow_local=allow_local, deadline_s=DEADLINE_S
        ),
    )
    if not plan or run.keeps_plan:
        console.note(f"Writing to {options.both_readings(target)}")
        with options.other_reading_offered(target):
            require_place(run.target, run.storage, is_file=False)
    with options.other_reading_offered(data), nothing_may_be_found(allowed=allow_empty):
        cubes = run.plan(renew=plan or job is None)
        _require_cubes(cubes)
        if plan:
            _print_plan(cubes)
        else:
            _run(run, cubes, range(cubes.jobs) if job is None else [job])
        _tell_what_is_taken(run, cubes)


def _run(run: Prechip, cubes: PlannedCubes, jobs: Sequence[int]) -> None:
    """Do jobs, and print what became of each."""
    total = sum(len(cubes.numbers(job)) for job in jobs)
    with console.progress("Cutting", total, "cubes") as advance:
        for job in jobs:
            report = run.run(
                job, cubes, on_cube=lambda chips, size: advance("", 1, size, chips=chips)
            )
            advance(amount=report.cubes_there)
            _print_report(report)


def _require_cubes(plan: PlannedCubes) -> None:
    if not plan.cubes:
        raise NothingFound(
            f"There are {plan.wanted:,} chips, too few for a cube of "
            f"{plan.settings.cube_size:,}, and --last-cube drop leaves out a short one. "
            "Choose --last-cube keep or a smaller --cube-size."
        )


def _tell_what_is_taken(run: Prechip, plan: PlannedCubes) -> None:
    """Print which chips all jobs together take, and how many they leave out for which limit."""
    rows = None if plan.state is None else plan.state.rows
    count = plan.counted or count_left_out(run.imagery, run.storage, rows)
    left_out = list(describe_left_out(count.left_out))
    if plan.not_drawn:
        left_out.append(f"{plan.not_drawn:,} not drawn (--balance, --weight, --chips)")
    if short := plan.wanted - plan.chips:
        left_out.append(f"{short:,} of a short last cube (--last-cube keep takes them)")
    limits = describe_limits(run.imagery.limits)
    platform = run.imagery.platform
    if plan.settings.draw is None:
        said = f"{plan.chips:,} of {count.there:,} chips are taken"
    else:
        said = f"{plan.chips:,} chips are drawn from {plan.chosen:,} of {count.there:,}"
    console.note(f"{platform}: {said}, with {limits}")
    if left_out:
        console.note(f"{platform}: left out: {', '.join(left_out)}")


def _print_plan(plan: PlannedCubes) -> None:
    console.say(
        f"{plan.chips} chips in {plan.cubes} cubes: {plan.jobs} jobs of "
        f"{plan.settings.cubes_per_job} cubes"
    )


def _print_report(report: PrechipReport) -> None:
    if report.job >= report.jobs:
        console.say(f"job {report.job}: nothing to do, there are {report.jobs} jobs")
        return
    speed = f", {report.chips / report.seconds:.0f} chips/s" if report.chips else ""
    console.say(
        f"job {report.job} of {report.jobs}: {report.cubes} cubes written "
        f"({report.bytes_written / 1e6:.1f} MB), {report.cubes_there} there already; "
        f"{report.chips} chips{speed}"
    )
