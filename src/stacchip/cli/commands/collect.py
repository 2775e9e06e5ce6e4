"""`stacchip collect SOURCE`: imagery, items and indexes of a source into a bucket.

Every environment variable is an option too, and an option wins. On an AWS Batch array the three of
the original are enough: `AWS_BATCH_JOB_ARRAY_INDEX`, `STACCHIP_MGRS_SOURCE` or
`STACCHIP_SAMPLE_SOURCE`, and `STACCHIP_BUCKET`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import typer

from stacchip.cli.allow_empty import nothing_may_be_found
from stacchip.cli.commands import collect_options as options
from stacchip.cli.commands.collect_again import read_rows_option, tell_failed
from stacchip.cli.commands.collect_options import useless_options
from stacchip.cli.commands.collect_output import (
    print_item,
    print_plan,
    print_row,
    print_summary,
    show_progress,
)
from stacchip.cli.options import AllowEmpty, Geometry, both_readings, parse_names
from stacchip.cli.output import require_file
from stacchip.cli.terminal import console, logs
from stacchip.cli.terminal.command_line import Command
from stacchip.cli.trust import AllowLocal, LimitList, parse_limits
from stacchip.collect.empty_run import explain_nothing
from stacchip.collect.job import Job
from stacchip.collect.recipes import RECIPES, get_recipe, list_recipes
from stacchip.collect.run import collect as collect_rows
from stacchip.collect.sample import Row, read_layer, read_list, select_rows
from stacchip.collect.settings import AssetMode, Settings
from stacchip.errors import NothingFound, StacchipError, UsageError
from stacchip.storage import local_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stacchip.collect.report import ItemReport, RowReport, RunReport
    from stacchip.index import GeometryForm

_WORDS = "stacchip.words"
_DONE = {"copy": "copied", "link": "linked"}


class CollectCommand(Command):
    """`collect`, whose help names the sources of installed packages, or has one source's options.

    They are looked up only when help is shown, so that a broken package stops no other command.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse a command line, whose help may be about the source in it."""
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help with the names of all sources, or with the options of the one named."""
        try:
            recipes = list_recipes()
        except StacchipError as error:  # a broken package does not hide our own sources
            recipes = RECIPES
            console.note(f"stacchip: {error}")
        named = [recipe for recipe in recipes if recipe.name in ctx.meta.get(_WORDS, ())]
        useless = useless_options(named[0]) if named else set()
        names = ", ".join(recipe.name for recipe in recipes)
        for parameter in self.params:
            if parameter.name == "source":
                cast("Any", parameter).help = f"Name of the source: {names}."
            elif parameter.name in useless:
                cast("Any", parameter).hidden = True
        super().format_help(ctx, formatter)


def collect(
    context: typer.Context,
    source: options.SourceName,
    *,
    bucket: options.Bucket,
    sample: options.Sample = None,
    rows: options.Rows = None,
    dry_run: options.DryRun = False,
    failed: options.Failed = None,
    allow_empty: AllowEmpty = False,
    files: options.Files = "copy",
    dask: options.Dask = None,
    workers: options.Workers = 4,
    catalogue: options.Catalogue = None,
    endpoint: options.Endpoint = None,
    source_endpoint: options.SourceEndpoint = None,
    rate: options.Rate = None,
    write_again: options.WriteAgain = False,
    geometry: Geometry = "wkb",
    store_copies: options.StoreCopies = True,
    limits: LimitList = None,
    allow_local: AllowLocal = False,
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
    assets: options.Assets = None,
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
    wanted |= {"years": _parse_years(years), "bands": _parse_assets(assets)}
    wanted |= {name: _percent(wanted[name]) for name in ("max_cloud", "max_nodata")}
    settings = Settings(
        root=bucket.href.rstrip("/"),
        assets=_parse_mode(files),
        workers=workers,
        catalogue=catalogue,
        endpoint=endpoint,
        source_endpoint=source_endpoint,
        requests_per_second=rate,
        write_again=write_again,
        geometry=cast("GeometryForm", geometry),
        store_copies=store_copies,
        limits=parse_limits(limits),
        allow_local=allow_local,
    )
    job = Job(recipe, options.choose(recipe, wanted), settings)
    wanted_rows = read_rows_option(rows, job.storage)
    if failed is not None:
        _require_list(failed)
    selected = select_rows(_read_rows(job, sample), wanted_rows)
    if dry_run:
        planned, is_whole = print_plan(job, selected)
        found = planned > 0
    else:
        console.note(f"Writing to {both_readings(bucket)}")
        report = _run(job, selected, dask)
        tell_failed(context, report.failed, failed, job.storage)
        found, is_whole = report.items > 0, not report.failed
    if not is_whole:
        raise typer.Exit(1)
    if not found:
        with nothing_may_be_found(allowed=allow_empty):
            raise NothingFound(explain_nothing(job, selected))


def _parse_mode(files: str) -> AssetMode:
    if files not in {"copy", "link"}:
        raise UsageError(f"--files is copy or link, not {files!r}.")
    return cast("AssetMode", files)


def _parse_assets(assets: str | None) -> tuple[str, ...] | None:
    if assets in {"copy", "link"}:
        raise UsageError(
            f"--assets names asset keys, such as red,nir. For files to be {_DONE[assets]} give "
            f"--files {assets}."
        )
    return parse_names(assets)


def _percent(share: float | None) -> float | None:
    """Return a share as the percentage that a recipe takes, without the noise of the product."""
    return None if share is None else round(100 * share, 9)


def _require_list(href: str) -> None:
    """Check that a list of rows can be written, if it is a local file."""
    path = local_path(href)
    if path is not None:
        require_file(path)


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


def _run(job: Job, rows: Sequence[Row], dask: str | None) -> RunReport:
    """Run a job, show its progress, and print what became of it."""
    with show_progress(len(rows)) as advance:

        def end_row(row: RowReport) -> None:
            print_row(row)
            written = sum(item.bytes_written for item in row.items) if dask else 0
            items = len(row.items) if dask else row.there
            advance(row.title, items=items, size_bytes=written)

        def end_item(row: Row, item: ItemReport) -> None:
            print_item(row, item)
            if item.chips is not None:
                advance(amount=0, items=1, size_bytes=item.bytes_written)

        report = collect_rows(job, rows, dask=dask, on_row=end_row, on_item=end_item)
    print_summary(job, report)
    return report
