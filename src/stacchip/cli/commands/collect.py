"""`stacchip collect SOURCE` and a command for each source; environment variables are read here.

Every variable is an option too, and an option wins. On an AWS Batch array the three of the original
are enough: `AWS_BATCH_JOB_ARRAY_INDEX`, `STACCHIP_MGRS_SOURCE` or `STACCHIP_SAMPLE_SOURCE`, and
`STACCHIP_BUCKET`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import logging
import os
import sys
import threading
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast, get_args

import typer

from stacchip.cli.shared_options import parse_names
from stacchip.collect.job import ItemReport, Job, RowReport, describe_error
from stacchip.collect.recipe import Choices
from stacchip.collect.recipes.registry import RECIPES, get_recipe
from stacchip.collect.run import collect as collect_rows
from stacchip.collect.sample import Row, read_layer, read_list, select_rows
from stacchip.collect.settings import AssetMode, Settings
from stacchip.errors import StacchipError, UsageError
from stacchip.items.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stacchip.collect.recipe import Recipe
    from stacchip.collect.run import RunReport

BucketOption = Annotated[
    str,
    typer.Option(
        "--bucket", envvar="STACCHIP_BUCKET",
        help="Where to: a bucket's name, an address such as s3://bucket/prefix, or a folder with "
        "a slash, such as ./archive.",
    ),
]  # fmt: skip
SampleOption = Annotated[
    str | None,
    typer.Option(
        "--sample", envvar=["STACCHIP_MGRS_SOURCE", "STACCHIP_SAMPLE_SOURCE"],
        help="The rows: a layer that geopandas opens, or a text file of prefixes or tiles.",
    ),
]  # fmt: skip
RowsOption = Annotated[
    str | None,
    typer.Option(
        "--rows", envvar="AWS_BATCH_JOB_ARRAY_INDEX", help="A:B (to before B), or one row's number."
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be copied, with bytes where known.")
]
AssetsOption = Annotated[
    str, typer.Option("--assets", help="copy: bring files into the bucket. link: index them there.")
]
DaskOption = Annotated[
    str | None, typer.Option("--dask", help="A scheduler's address, or local for worker processes.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, envvar="STACCHIP_WORKERS", help="Rows or items at once.")
]
CatalogueOption = Annotated[
    str | None, typer.Option("--catalogue", envvar="STACCHIP_CATALOGUE", help="Asked instead.")
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint", envvar="STACCHIP_ENDPOINT",
        help="S3 service of the bucket that is written to. (AWS_ENDPOINT_URL is for both.)",
    ),
]  # fmt: skip
SourceEndpointOption = Annotated[
    str | None,
    typer.Option(
        "--source-endpoint", envvar="STACCHIP_SOURCE_ENDPOINT",
        help="S3 service of the buckets that are read from.",
    ),
]  # fmt: skip
RateOption = Annotated[
    float | None,
    typer.Option(
        "--rate", min=0.001, envvar="STACCHIP_RATE", help="Requests a second to the catalogue."
    ),
]
AgainOption = Annotated[bool, typer.Option("--write-again", help="Also what is there already.")]
SeedOption = Annotated[int | None, typer.Option("--seed", envvar="STACCHIP_SEED")]
ChipSizeOption = Annotated[
    int | None, typer.Option("--chip-size", min=1, envvar="STACCHIP_CHIP_SIZE", help="In pixels.")
]
YearsOption = Annotated[
    str | None, typer.Option("--years", envvar="STACCHIP_YEARS", help="First and last: 2018:2023.")
]
YearCountOption = Annotated[
    int | None, typer.Option("--year-count", min=1, help="How many years are drawn.")
]
PerPeriodOption = Annotated[
    int | None, typer.Option("--per-period", min=1, help="Items of each quarter or month.")
]
MaxCloudOption = Annotated[
    float | None, typer.Option("--max-cloud", min=0, max=100, help="Percent of an item.")
]
MaxNodataOption = Annotated[
    float | None, typer.Option("--max-nodata", min=0, max=100, help="Percent of an item.")
]
ShareOption = Annotated[float | None, typer.Option("--share", min=0, max=1, help="Of a survey.")]
MinimumOption = Annotated[int | None, typer.Option("--minimum", min=0, help="Items of a survey.")]
MaximumOption = Annotated[int | None, typer.Option("--maximum", min=0, help="Items of a survey.")]
CrsOption = Annotated[str | None, typer.Option("--crs", help="Pixels are brought to it.")]
ResolutionOption = Annotated[
    float | None, typer.Option("--resolution", min=1e-9, help="In the unit of the CRS.")
]
BandCountOption = Annotated[
    int | None, typer.Option("--band-count", min=1, help="Bands that are kept of each file.")
]
BandsOption = Annotated[
    str | None, typer.Option("--bands", envvar="STACCHIP_BANDS", help="Asset keys: red,green,...")
]
StoreCopiesOption = Annotated[
    bool,
    typer.Option(
        "--store-copies/--no-store-copies",
        envvar="STACCHIP_STORE_COPIES",
        help="Let an S3 store that has both source and archive copy by itself.",
    ),
]
SourceArgument = Annotated[
    str, typer.Argument(help=f"One of {', '.join(recipe.name for recipe in RECIPES)}.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say what is being done.")]

_SAYING = threading.Lock()


def collect(
    source: SourceArgument,
    *,
    bucket: BucketOption,
    sample: SampleOption = None,
    rows: RowsOption = None,
    dry_run: DryRunOption = False,
    assets: AssetsOption = "copy",
    dask: DaskOption = None,
    workers: WorkersOption = 4,
    catalogue: CatalogueOption = None,
    endpoint: EndpointOption = None,
    source_endpoint: SourceEndpointOption = None,
    rate: RateOption = None,
    write_again: AgainOption = False,
    store_copies: StoreCopiesOption = True,
    seed: SeedOption = None,
    chip_size: ChipSizeOption = None,
    years: YearsOption = None,
    year_count: YearCountOption = None,
    per_period: PerPeriodOption = None,
    max_cloud: MaxCloudOption = None,
    max_nodata: MaxNodataOption = None,
    share: ShareOption = None,
    minimum: MinimumOption = None,
    maximum: MaximumOption = None,
    crs: CrsOption = None,
    resolution: ResolutionOption = None,
    band_count: BandCountOption = None,
    bands: BandsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Bring imagery, items and indexes of a source into a bucket.

    What is there already is not fetched again: a run that was stopped goes on where it was.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    if dask is not None and not verbose:
        _quiet_dask()
    wanted: dict[str, Any] = {
        "seed": seed, "chip_size": chip_size, "year_count": year_count, "per_period": per_period,
        "max_cloud": max_cloud, "max_nodata": max_nodata, "share": share, "minimum": minimum,
        "maximum": maximum, "crs": crs, "resolution": resolution, "band_count": band_count,
    }  # fmt: skip
    try:
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
        done = _print_plan(job, selected) if dry_run else _run(job, selected, dask)
    except StacchipError as error:
        _fail(error)
    raise typer.Exit(0 if done else 1)


def _quiet_dask() -> None:
    """Keep a cluster's own chatter off the terminal; its workers read the variable."""
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")
    with contextlib.suppress(ImportError):  # said where the cluster is asked for
        importlib.import_module("dask").config.refresh()


def _parse_mode(assets: str) -> AssetMode:
    if assets not in {"copy", "link"}:
        raise UsageError(f"--assets is copy or link, not {assets!r}.")
    return cast("AssetMode", assets)


def collect_root(bucket: str) -> str:
    """Return where to, by the one rule of `Archive.named`.

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
    """The rows of the layer or list that was named, or of the source's own list."""
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
    """Work, and say what became of it; whether every row succeeded."""
    report = collect_rows(job, rows, dask=dask, on_row=_print_row, on_item=_print_item)
    _print_end(report)
    return not report.failed


def _print_item(row: Row, item: ItemReport) -> None:
    if item.chips is None:  # it was there already: the row's line counts it
        return
    _say(
        f"  row {row.number}: {item.item_id}: {item.files_written} files "
        f"({_size(item.bytes_written)}) in {item.files_s:.1f} s and {item.chips} chips in "
        f"{item.index_s:.1f} s"
    )


def _print_row(row: RowReport) -> None:
    written = sum(item.files_written for item in row.items)
    size = sum(item.bytes_written for item in row.items)
    chips = sum(item.chips or 0 for item in row.items)
    there = sum(item.chips is None for item in row.items)
    files_s = sum(item.files_s for item in row.items)
    index_s = sum(item.index_s for item in row.items)
    _say(
        f"row {row.number} ({row.name}): {len(row.items)} items, {there} of them there already; "
        f"{written} files ({_size(size)}) in {files_s:.1f} s and {chips} chips in {index_s:.1f} s"
    )
    for note in row.notes:
        _say(f"  {note}")
    for error in row.errors:
        _say(f"  failed: {error}")


def _print_end(report: RunReport) -> None:
    _say(
        f"{len(report.rows)} rows, {report.items} items, {report.files_written} files "
        f"({_size(report.bytes_written)}) written; {len(report.failed)} rows failed"
    )
    for row in report.failed:
        for error in row.errors:
            print(f"row {row.number} ({row.name}) failed: {error}", file=sys.stderr)  # noqa: T201


def _print_plan(job: Job, rows: Sequence[Row]) -> bool:
    """Say what would be copied; whether every row could be planned."""
    failed = total = unknown = 0
    for row in rows:
        try:
            files, notes = job.plan(row)
        except StacchipError as error:
            print(f"row {row.number} ({row.name}) failed: {describe_error(error)}", file=sys.stderr)  # noqa: T201
            failed += 1
            continue
        for file in files:
            size = "size unknown" if file.size_bytes is None else _size(file.size_bytes)
            _say(f"{row.number}\t{file.item_id}\t{file.asset}\t{file.href}\t{size}")
            total += file.size_bytes or 0
            unknown += file.size_bytes is None
        for note in notes:
            _say(f"{row.number}\t{note}")
    done = "copied or converted" if job.settings.assets == "copy" else "linked where they lie"
    _say(
        f"{len(rows)} rows: files of {_size(total)}, and {unknown} of unknown size, would be "
        f"{done}; nothing written"
    )
    return failed == 0


def _size(size_bytes: float) -> str:
    """A size for people.

    Example:
        >>> _size(999), _size(1_500_000)
        ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.4g} TB"


def _say(line: str) -> None:
    with _SAYING:  # items are told by several threads
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _fail(error: StacchipError) -> NoReturn:
    """One clear line, and the exit code that tells misuse from failure."""
    print(f"stacchip: {error}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(2 if isinstance(error, UsageError) else 1)


def options_of(recipe: Recipe) -> list[inspect.Parameter]:
    """The options of `collect`; the help leaves out what the source has no use for.

    They are there all the same: a choice of another source is refused, also where a variable of the
    environment makes it, and not passed over.
    """
    strange = {field.name for field in dataclasses.fields(Choices)} - recipe.choice_names
    if recipe.converts:
        strange.add("store_copies")
    every = inspect.signature(collect, eval_str=True).parameters
    return [
        _hide(option) if name in strange else option
        for name, option in every.items()
        if name != "source"
    ]


def _hide(option: inspect.Parameter) -> inspect.Parameter:
    """The same option, which the help does not show."""
    kind, told = get_args(option.annotation)
    hidden = copy(told)
    hidden.hidden = True
    return option.replace(annotation=Annotated[kind, hidden])


def _console_script(recipe: Recipe) -> Callable[[], Any]:
    """The function behind one source's console script: `collect` with the source filled in.

    One row is worked on, as by one job of an array: without a row the whole layer would be meant
    by accident, so that it must be said (`--rows :`).
    """

    def command(**options: Any) -> None:
        if not options["rows"]:
            _fail(
                UsageError(
                    "Which row? Set AWS_BATCH_JOB_ARRAY_INDEX, or --rows (a number, A:B, or : for "
                    "all of them)."
                )
            )
        collect(source=recipe.name, **options)

    kept = options_of(recipe)  # typer makes the options from the signature
    command.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    command.__annotations__ = {word.name: word.annotation for word in kept}

    def main() -> Any:
        app = typer.Typer(add_completion=False)
        app.command(help=f"{recipe.title}: into a bucket, a row of a sample at a time.")(command)
        return app()

    return main


sentinel_2, landsat, naip, linz, sentinel_1, modis = (_console_script(recipe) for recipe in RECIPES)
