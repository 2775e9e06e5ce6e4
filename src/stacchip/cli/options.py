"""Options that several commands share: one name, one variable and one meaning in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from stacchip.errors import UsageError
from stacchip.storage import Storage, StorageOptions

if TYPE_CHECKING:
    from stacchip.storage.identity import Strictness

_INDEX_HELP = "Folder or parquet file of the index."
_CHIP_SIZE_HELP = "Only chips of this edge in pixels, if the index has several sizes."


def _unmeasured(envvar: str | None = None) -> Any:
    """Return the option of chips whose share was not measured."""
    return typer.Option(
        "--unmeasured", envvar=envvar,
        help="What to do with chips whose share of --max-cloud or --max-nodata was not measured: "
        "keep or drop them.",
    )  # fmt: skip


def _max_share(what: str, envvar: str | None = None) -> Any:
    """Return the option of the largest share of cloud or nodata."""
    return typer.Option(
        f"--max-{what}", min=0, max=1, envvar=envvar,
        help=f"Largest share of {what} in a chip, 0..1.",
    )  # fmt: skip


# -- any command -----------------------------------------------------------------------------------

AllowEmpty = Annotated[
    bool,
    typer.Option(
        "--allow-empty", help="Succeed even if there is nothing to work on: a search may be empty."
    ),
]
"""Without it, a command that finds nothing raises `NothingFound`, and exits with 1."""

# -- commands on indexes and chips -----------------------------------------------------------------

Index = Annotated[str, typer.Argument(help=_INDEX_HELP)]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace an index that is already at the output.")
]
MaxCloud = Annotated[float | None, _max_share("cloud")]
MaxNodata = Annotated[float | None, _max_share("nodata")]
KeepUnmeasured = Annotated[str, _unmeasured()]
Platform = Annotated[
    str | None, typer.Option("--platform", help="Only chips of this source, such as 'naip'.")
]
ChipSize = Annotated[int | None, typer.Option(help=_CHIP_SIZE_HELP)]

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

Identity = Annotated[
    str,
    typer.Option(
        "--identity", envvar="STACCHIP_IDENTITY",
        help="What must agree for a file to be the version that was indexed: etag, size or none.",
        rich_help_panel="Storage",
    ),
]  # fmt: skip

Harmonize = Annotated[
    str | None,
    typer.Option(
        "--harmonize", envvar="STACCHIP_HARMONIZE",
        help="With boa_offset, bring Sentinel-2 of all processing baselines onto one scale.",
    ),
]  # fmt: skip

# -- commands of batch jobs, whose options are environment variables too ---------------------------

JOB_INDEX: Any = typer.Option("--index", envvar="STACCHIP_INDEXPATH", help=_INDEX_HELP)
"""Of some commands, a required `str`; of others, `str | None`."""

JobData = Annotated[
    str | None,
    typer.Option(
        "--data", envvar="STACCHIP_DATA_BUCKET",
        help="Bucket (its name or address) or folder (with a slash) of the imagery, if it has "
        "moved from where the items say.",
    ),
]  # fmt: skip
JobMaxNodata = Annotated[float | None, _max_share("nodata", "STACCHIP_MAX_NODATA")]
JobMaxCloud = Annotated[float | None, _max_share("cloud", "STACCHIP_MAX_CLOUD")]
JobUnmeasured = Annotated[str, _unmeasured("STACCHIP_UNMEASURED")]
JobBands = Annotated[
    str | None,
    typer.Option(
        "--bands", envvar="STACCHIP_BANDS", help="Bands or asset keys, such as red,green."
    ),
]
JobChipSize = Annotated[
    int | None,
    typer.Option("--chip-size", min=1, envvar="STACCHIP_CHIP_SIZE", help=_CHIP_SIZE_HELP),
]
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


def list_cube_forms() -> str:
    """Return the end of the help of `--format`, which has another default for each command."""
    from stacchip.cubes.sinks.registry import BUILT_IN  # slow: only some commands need cubes

    return f"{', '.join(form.name for form in BUILT_IN)}, or one that an installed package adds."


def make_storage(
    endpoint: str | None = None,
    region: str | None = None,
    *,
    skip_signature: bool = False,
    requester_pays: bool = False,
    identity: str = "etag",
    deadline_s: float = StorageOptions.deadline_s,
) -> Storage:
    """Return storage with the options of a command line; `AWS_*` variables fill in the rest.

    Raises:
        UsageError: An option has an impossible value.
    """
    return Storage(
        options=StorageOptions(
            endpoint=endpoint,
            region=region,
            skip_signature=skip_signature or None,
            requester_pays=requester_pays or None,
            identity=cast("Strictness", identity),
            deadline_s=deadline_s,
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
