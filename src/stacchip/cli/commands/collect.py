"""`stacchip collect SOURCE`: imagery, items and indexes of a source into a bucket.

Every environment variable is an option too, and an option wins. On an AWS Batch array the three of
the original are enough: `AWS_BATCH_JOB_ARRAY_INDEX`, `STACCHIP_MGRS_SOURCE` or
`STACCHIP_SAMPLE_SOURCE`, and `STACCHIP_BUCKET`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperCommand

from stacchip.cli import console, logs
from stacchip.cli.commands import collect_options as options  # noqa: TC001 - typer reads it
from stacchip.cli.commands.collect_output import print_item, print_plan, print_row, print_summary
from stacchip.cli.options import parse_names
from stacchip.collect.job import Job
from stacchip.collect.recipes import RECIPES, get_recipe, list_recipes
from stacchip.collect.run import collect as collect_rows
from stacchip.collect.sample import Row, read_layer, read_list, select_rows
from stacchip.collect.settings import AssetMode, Settings
from stacchip.errors import StacchipError, UsageError
from stacchip.items.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Sequence


class CollectCommand(TyperCommand):
    """`collect`, whose help names the sources of installed packages too.

    They are looked up only when help is shown, so that a broken package stops no other command.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help with the names of all sources."""
        try:
            recipes = list_recipes()
        except StacchipError as error:  # a broken package does not hide our own sources
            recipes = RECIPES
            console.note(f"stacchip: {error}")
        names = ", ".join(recipe.name for recipe in recipes)
        for parameter in self.params:
            if parameter.name == "source":
                cast("Any", parameter).help = f"Name of the source: {names}."
        super().format_help(ctx, formatter)


def collect(
    source: options.SourceName,
    *,
    bucket: options.Bucket,
    sample: options.Sample = None,
    rows: options.Rows = None,
    dry_run: options.DryRun = False,
    assets: options.Assets = "copy",
    dask: options.Dask = None,
    workers: options.Workers = 4,
    catalogue: options.Catalogue = None,
    endpoint: options.Endpoint = None,
    source_endpoint: options.SourceEndpoint = None,
    rate: options.Rate = None,
    write_again: options.WriteAgain = False,
    store_copies: options.StoreCopies = True,
    seed: options.Seed = None,
    chip_size: options.ChipSize = None,
    years: options.Years = None,
    year_count: options.YearCount = None,
    per_period: options.PerPeriod = None,
    max_cloud: options.MaxCloud = None,
    max_nodata: options.MaxNodata = None,
    share: options.Share = None,
    minimum: options.Minimum = None,
    maximum: options.Maximum = None,
    crs: options.Crs = None,
    resolution: options.Resolution = None,
    band_count: options.BandCount = None,
    bands: options.Bands = None,
) -> None:
    """Collect a source's imagery in a bucket. Files are copied or converted, items indexed.

    Nothing that is already there is fetched again, so an interrupted run can simply be repeated.
    """
    if dask is not None:
        logs.join_dask()
    wanted: dict[str, Any] = {
        "seed": seed, "chip_size": chip_size, "year_count": year_count, "per_period": per_period,
        "max_cloud": max_cloud, "max_nodata": max_nodata, "share": share, "minimum": minimum,
        "maximum": maximum, "crs": crs, "resolution": resolution, "band_count": band_count,
    }  # fmt: skip
    recipe = get_recipe(source)
    wanted |= {"years": _parse_years(years), "bands": parse_names(bands)}
    settings = Settings(
        root=collect_root(bucket),
        assets=_parse_mode(assets),
        workers=workers,
        catalogue=catalogue,
        endpoint=endpoint,
        source_endpoint=source_endpoint,
        requests_per_second=rate,
        write_again=write_again,
        store_copies=store_copies,
    )
    job = Job(recipe, recipe.with_choices(wanted), settings)
    selected = select_rows(_read_rows(job, sample), rows)
    if not (print_plan(job, selected) if dry_run else _run(job, selected, dask)):
        raise typer.Exit(1)


def _parse_mode(assets: str) -> AssetMode:
    if assets not in {"copy", "link"}:
        raise UsageError(f"--assets is copy or link, not {assets!r}.")
    return cast("AssetMode", assets)


def collect_root(bucket: str) -> str:
    """Return the address of the archive, by the one rule of `Archive.named`.

    Example:
        >>> collect_root("my-bucket"), collect_root("./archive"), collect_root("data/archive")
        ('s3://my-bucket', './archive', 'data/archive')
    """
    if not bucket:
        raise UsageError("--bucket (STACCHIP_BUCKET) names no bucket and no folder.")
    return Archive.named(bucket).href.rstrip("/")


def _parse_years(years: str | None) -> tuple[int, int] | None:
    if years is None:
        return None
    first, _, last = years.partition(":")
    try:
        return int(first), int(last or first)
    except ValueError as error:
        raise UsageError(f"--years is FIRST:LAST, such as 2018:2023, not {years!r}.") from error


def _read_rows(job: Job, sample: str | None) -> Sequence[Row]:
    """Read the rows of a layer or list; without one, those of the source's own list."""
    default = job.recipe.list_name
    if default is not None:
        return read_list(sample, default=default, storage=job.storage)
    if sample is None:
        raise UsageError(
            f"{job.recipe.name} needs a sample layer: --sample, STACCHIP_MGRS_SOURCE or "
            "STACCHIP_SAMPLE_SOURCE."
        )
    return read_layer(sample)


def _run(job: Job, rows: Sequence[Row], dask: str | None) -> bool:
    """Run a job and print its progress; return True if every row succeeded."""
    report = collect_rows(job, rows, dask=dask, on_row=print_row, on_item=print_item)
    print_summary(report)
    return not report.failed
