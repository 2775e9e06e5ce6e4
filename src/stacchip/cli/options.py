"""Options that several commands share: one name, one variable and one meaning in all of them."""

from __future__ import annotations

from typing import Annotated

import typer

from stacchip.errors import UsageError
from stacchip.storage import Storage, StorageOptions

# -- commands on indexes and chips -----------------------------------------------------------------

Index = Annotated[str, typer.Argument(help="Folder or parquet file of the index.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace an index that is already at the output.")
]
MaxCloud = Annotated[
    float | None,
    typer.Option("--max-cloud", min=0, max=1, help="Largest share of cloud in a chip, 0..1."),
]
MaxNodata = Annotated[
    float | None,
    typer.Option("--max-nodata", min=0, max=1, help="Largest share of nodata in a chip, 0..1."),
]
Platform = Annotated[
    str | None, typer.Option("--platform", help="Only chips of this source, such as 'naip'.")
]
ChipSize = Annotated[
    int | None,
    typer.Option(help="Only chips of this edge in pixels, if the index has several sizes."),
]

# -- how stores are reached ------------------------------------------------------------------------

Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", help="URL of an S3-compatible store.", rich_help_panel="Storage"),
]
Region = Annotated[
    str | None, typer.Option("--region", help="Region of S3 buckets.", rich_help_panel="Storage")
]
SkipSignature = Annotated[
    bool,
    typer.Option(
        "--skip-signature",
        help="Read public buckets without credentials.",
        rich_help_panel="Storage",
    ),
]
RequesterPays = Annotated[
    bool,
    typer.Option(
        "--requester-pays", help="Agree to pay for requests to S3.", rich_help_panel="Storage"
    ),
]

# -- commands of batch jobs, whose options are environment variables too ---------------------------

JobData = Annotated[
    str | None,
    typer.Option(
        "--data", envvar="STACCHIP_DATA_BUCKET",
        help="Bucket (its name or address) or folder (with a slash) of the imagery, if it has "
        "moved from where the items say.",
    ),
]  # fmt: skip
JobMaxNodata = Annotated[
    float | None,
    typer.Option(
        "--max-nodata", min=0, max=1, envvar="STACCHIP_MAX_NODATA",
        help="Largest share of nodata in a chip, 0..1.",
    ),
]  # fmt: skip
JobMaxCloud = Annotated[
    float | None,
    typer.Option(
        "--max-cloud", min=0, max=1, envvar="STACCHIP_MAX_CLOUD",
        help="Largest share of cloud in a chip, 0..1.",
    ),
]  # fmt: skip
JobBands = Annotated[
    str | None,
    typer.Option(
        "--bands", envvar="STACCHIP_BANDS", help="Bands or asset keys, such as red,green."
    ),
]
JobChipSize = Annotated[
    int | None,
    typer.Option(
        "--chip-size", min=1, envvar="STACCHIP_CHIP_SIZE",
        help="Only chips of this edge in pixels, if the index has several sizes.",
    ),
]  # fmt: skip
JobSeed = Annotated[
    int,
    typer.Option("--seed", min=0, envvar="STACCHIP_SEED", help="Seed of every random draw."),
]
JobMemory = Annotated[
    int,
    typer.Option(
        "--memory", min=64, envvar="STACCHIP_MEMORY_MB",
        help="Megabytes of decoded blocks to keep; cubes need more on top.",
    ),
]  # fmt: skip


def make_storage(
    endpoint: str | None = None,
    region: str | None = None,
    *,
    skip_signature: bool = False,
    requester_pays: bool = False,
) -> Storage:
    """Return storage with the options of a command line; `AWS_*` variables fill in the rest."""
    return Storage(
        options=StorageOptions(
            endpoint=endpoint,
            region=region,
            skip_signature=skip_signature or None,
            requester_pays=requester_pays or None,
        )
    )


def parse_names(names: str | None) -> tuple[str, ...] | None:
    """Return the names in a comma-separated option, or None if the option was not given.

    Raises:
        UsageError: The option names nothing.

    Example:
        >>> parse_names("red, nir")
        ('red', 'nir')
    """
    if names is None:
        return None
    found = tuple(name.strip() for name in names.split(",") if name.strip())
    if not found:
        raise UsageError(f"Separate names with commas: red,green; not {names!r}.")
    return found
