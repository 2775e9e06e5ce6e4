"""The options of `stacchip collect` and of the scripts of single sources.

A script's own help leaves out the choices that its source does not have; `options_of` hides them.
"""

from __future__ import annotations

import dataclasses
import inspect
from copy import copy
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from stacchip.cli.options import Place, place_option, share_option
from stacchip.cli.terminal import console
from stacchip.collect.recipe import Choices
from stacchip.collect.recipes import get_recipe
from stacchip.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from stacchip.collect.recipe import Recipe


def _require_source(name: str) -> str:
    """Refuse an unknown source before anything is said about options that are missing."""
    try:
        return get_recipe(name).name
    except UsageError as error:
        raise console.CommandLineError(str(error)) from error


SourceName = Annotated[str, typer.Argument(help="Name of the source.", callback=_require_source)]

# -- what to do, and where -------------------------------------------------------------------------

Bucket = Annotated[
    Place,
    place_option(
        "--bucket", envvar="STACCHIP_BUCKET",
        help="Where to write: a bucket's name, s3://bucket/prefix, or a folder with a slash, such "
        "as ./archive.",
    ),
]  # fmt: skip
Sample = Annotated[
    str | None,
    typer.Option(
        "--sample", envvar=["STACCHIP_MGRS_SOURCE", "STACCHIP_SAMPLE_SOURCE"],
        help="Rows to work on: a layer that geopandas opens, or a text file of prefixes or tiles.",
    ),
]  # fmt: skip
Rows = Annotated[
    str | None,
    typer.Option(
        "--rows", envvar="AWS_BATCH_JOB_ARRAY_INDEX",
        help="Rows to work on: numbers and ranges A:B (B excluded) between commas, such as "
        "3,7,12:15, or @FILE for those in a file.",
    ),
]  # fmt: skip
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print what would be copied, with sizes if known, and write nothing."
    ),
]
Failed = Annotated[
    str | None,
    typer.Option(
        "--failed", metavar="FILE",
        help="Write the rows that failed to this file, for --rows @FILE; it is empty if none did.",
    ),
]  # fmt: skip
Files = Annotated[
    str,
    typer.Option(
        "--files", help="Copy files into the bucket (copy), or index them where they are (link)."
    ),
]
WriteAgain = Annotated[
    bool, typer.Option("--write-again", help="Write again what is already in the bucket.")
]

# -- how -------------------------------------------------------------------------------------------

Dask = Annotated[
    str | None,
    typer.Option("--dask", help="Address of a Dask scheduler, or 'local' for worker processes."),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", min=1, envvar="STACCHIP_WORKERS",
        help="Number of rows, or of items of a single row, to work on at once.",
    ),
]  # fmt: skip
Catalogue = Annotated[
    str | None,
    typer.Option(
        "--catalogue", envvar="STACCHIP_CATALOGUE",
        help="Catalogue to search in place of the source's own.",
    ),
]  # fmt: skip
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", envvar="STACCHIP_ENDPOINT",
        help="S3 service of the bucket to write to. (AWS_ENDPOINT_URL is for reading too.)",
    ),
]  # fmt: skip
SourceEndpoint = Annotated[
    str | None,
    typer.Option(
        "--source-endpoint", envvar="STACCHIP_SOURCE_ENDPOINT",
        help="S3 service of the buckets to read from.",
    ),
]  # fmt: skip
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", min=0.001, envvar="STACCHIP_RATE",
        help="Send the catalogue at most this many requests a second.",
    ),
]  # fmt: skip
StoreCopies = Annotated[
    bool,
    typer.Option(
        "--store-copies/--no-store-copies",
        envvar="STACCHIP_STORE_COPIES",
        help="Let an S3 store that holds both source and archive copy by itself.",
    ),
]

# -- choices: each source has some of these --------------------------------------------------------

Seed = Annotated[
    int | None, typer.Option("--seed", envvar="STACCHIP_SEED", help="Seed of every random draw.")
]
ChipSize = Annotated[
    int | None,
    typer.Option(
        "--chip-size", min=1, envvar="STACCHIP_CHIP_SIZE", help="Edge of a chip in pixels."
    ),
]
Years = Annotated[
    str | None,
    typer.Option(
        "--years", envvar="STACCHIP_YEARS",
        help="First and last year to draw from, both included: 2018:2023.",
    ),
]  # fmt: skip
YearCount = Annotated[
    int | None, typer.Option("--year-count", min=1, help="Number of years to draw.")
]
PerPeriod = Annotated[
    int | None,
    typer.Option("--per-period", min=1, help="Number of items to take of each quarter or month."),
]
MaxCloud = Annotated[
    float | None,
    share_option("--max-cloud", what="Largest share of cloud in an item"),
]
MaxNodata = Annotated[
    float | None,
    share_option("--max-nodata", what="Largest share of nodata in an item"),
]
Share = Annotated[
    float | None,
    share_option("--share", what="Share of a survey's items to take"),
]
Minimum = Annotated[
    int | None, typer.Option("--minimum", min=0, help="Take at least this many items of a survey.")
]
Maximum = Annotated[
    int | None, typer.Option("--maximum", min=0, help="Take at most this many items of a survey.")
]
Crs = Annotated[
    str | None, typer.Option("--crs", help="Reproject files to this CRS, such as EPSG:3857.")
]
Resolution = Annotated[
    float | None,
    typer.Option("--resolution", min=1e-9, help="Resample files to this pixel size, in CRS units."),
]
BandCount = Annotated[
    int | None,
    typer.Option("--band-count", min=1, help="Keep this many bands of each file, from the first."),
]
Assets = Annotated[
    str | None,
    typer.Option(
        "--assets", "--bands", envvar="STACCHIP_BANDS",
        help="Asset keys to take in place of the source's own, such as red,nir.",
    ),
]  # fmt: skip

OPTION_OF = {"bands": "assets"}
"""The parameter of each choice that has another name."""


def options_of(recipe: Recipe, command: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return a command's options without the source's name, with inapplicable ones hidden.

    Hidden options can still be given. A choice that the source does not have is refused, even if it
    comes from a variable of the environment.
    """
    useless = useless_options(recipe)
    every = inspect.signature(command, eval_str=True).parameters
    return [
        _hide(option) if name in useless else option
        for name, option in every.items()
        if name != "source"
    ]


def useless_options(recipe: Recipe) -> set[str]:
    """Return the parameters of `collect` that a source has no use for."""
    useless = {field.name for field in dataclasses.fields(Choices)} - recipe.choice_names
    if recipe.converts:
        useless.add("store_copies")
    return useless


def choose(recipe: Recipe, wanted: Mapping[str, Any]) -> Choices:
    """Return the choices of a command line, with the source's defaults.

    Raises:
        UsageError: An option does not exist for this source.
    """
    given = [name for name, value in wanted.items() if value is not None]
    unknown = [name for name in given if name not in recipe.choice_names]
    if unknown:
        has = [option_name(name) for name in wanted if name in recipe.choice_names]
        raise UsageError(
            f"{recipe.name} has no {' or '.join(map(option_name, unknown))}; "
            f"it has: {', '.join(has)}."
        )
    return recipe.with_choices(wanted)


def option_name(choice: str) -> str:
    """Return the option of a choice.

    Example:
        >>> option_name("max_cloud"), option_name("bands")
        ('--max-cloud', '--assets')
    """
    return f"--{OPTION_OF.get(choice, choice).replace('_', '-')}"


def _hide(option: inspect.Parameter) -> inspect.Parameter:
    kind, shown = get_args(option.annotation)
    hidden = copy(shown)
    hidden.hidden = True
    return option.replace(annotation=Annotated[kind, hidden])
