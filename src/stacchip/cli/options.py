"""Options that several commands share: one name, one variable and one meaning in all of them."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from stacchip.cli.added_options import add_options
from stacchip.cli.trust import AllowLocal, LimitList, parse_limits
from stacchip.errors import StacchipError, UsageError
from stacchip.items.archive import Archive, other_reading
from stacchip.runtime.presence import is_there
from stacchip.storage import Storage, StorageOptions, is_remote, local_path, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stacchip.items.archive import BareName
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


def parse_share(text: str | float) -> float:
    """Return a share, 0..1, from `20%` or `0.2`.

    A number above 1 is refused: it could be a percentage, or a mistake.

    Raises:
        typer.BadParameter: It is no share.

    Example:
        >>> parse_share("20%"), parse_share("0.2")
        (0.2, 0.2)
    """
    given = str(text).strip()
    try:
        number = float(given.removesuffix("%"))
    except ValueError:
        number = math.nan
    share = number / 100 if given.endswith("%") else number
    if 0 <= share <= 1:
        return share
    meant = number if 0 <= number <= 100 and not given.endswith("%") else 20
    raise typer.BadParameter(
        f"{given!r} is not a share of 0 to 1: write {meant:g}% or {meant / 100:g}."
    )


def share_option(*names: str, what: str, envvar: str | None = None) -> Any:
    """Return an option that takes a share as `20%` or as `0.2`.

    Args:
        *names: Names of the option.
        what: What the share is; the help adds how to write it.
        envvar: A variable of the environment that sets it, too.
    """
    return typer.Option(
        *names, envvar=envvar, parser=parse_share, metavar="SHARE", help=f"{what}: 20% or 0.2."
    )


def _max_share(what: str, envvar: str | None = None) -> Any:
    """Return the option of the largest share of cloud or nodata."""
    return share_option(f"--max-{what}", what=f"Largest share of {what} in a chip", envvar=envvar)


@dataclass(frozen=True)
class Place:
    """A bucket or folder that a command line names, by the rule of `Archive.named`.

    Attributes:
        href: Its address or path.
        other: The other place that the user may have meant, as they would write it.
    """

    href: str
    other: str | None = None

    def __str__(self) -> str:
        """Return the address or path, as a command line gives it."""
        return self.href


def place_option(*names: str, envvar: str, help: str) -> Any:  # noqa: A002 - typer's name
    """Return an option that takes a bucket or a folder; the command gets a `Place`.

    Args:
        *names: Names of the option.
        envvar: A variable of the environment that sets it, too.
        help: What the place is for.
    """
    return typer.Option(
        *names, envvar=envvar, parser=str, metavar="TEXT", callback=_read_place, help=help
    )


def _read_place(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> Place | None:
    """Return the place that an option names.

    A bare name is a bucket if the option's name says so, or if it comes from an environment
    variable whose name says so; elsewhere it is a folder.

    Raises:
        typer.BadParameter: The option names no place.
    """
    if value is None:
        return None
    source = ctx.get_parameter_source(param.name or "")
    names = " ".join(param.opts)
    if source is not None and source.name == "ENVIRONMENT":
        names += f" {param.envvar}"
    bare: BareName = "bucket" if "bucket" in names.lower() else "folder"
    try:
        return Place(Archive.named(value, bare=bare).href, other_reading(value, bare=bare))
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


def both_readings(place: Place) -> str:
    """Return a place for a message, with the other place that the user may have meant by its name.

    Example:
        >>> both_readings(Place("./cubes")), both_readings(Place("./cubes", "s3://cubes"))
        ('./cubes', './cubes (for a bucket: s3://cubes)')
    """
    if place.other is None:
        return redact(place.href)
    kind = "bucket" if is_remote(place.other) else "folder"
    return f"{redact(place.href)} (for a {kind}: {place.other})"


@contextmanager
def other_reading_offered(*places: Place | None) -> Iterator[None]:
    """Let an error say what else the name of a place could mean, if nothing is at that place.

    Args:
        *places: The places that the work reads or writes; None is no place.

    Raises:
        StacchipError: The error of the work, with the other reading in its message.
    """
    try:
        yield
    except StacchipError as error:
        for place in places:
            if place is not None and place.other is not None and _is_absent(place.href, error):
                kind, wanted = ("bucket", "folder")[:: -1 if is_remote(place.other) else 1]
                error.message += (
                    f" {redact(place.href)} is a {kind}; for a {wanted}, write {place.other}."
                )
        raise


def _is_absent(href: str, error: StacchipError) -> bool:
    path = local_path(href)
    if path is not None:
        return not is_there(path)
    refused = getattr(error, "status", None) in (301, 400, 403, 404)  # it may be someone else's
    return refused and str(getattr(error, "href", "")).startswith(href)


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
Geometry = Annotated[
    str,
    typer.Option(
        "--geometry",
        help="Store footprints in the index (wkb), or none (none), which halves its size.",
    ),
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

_STORAGE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "endpoint": (Endpoint, None),
    "region": (Region, None),
    "skip_signature": (SkipSignature, False),
    "requester_pays": (RequesterPays, False),
    "identity": (Identity, "etag"),
    "limits": (LimitList, None),
    "allow_local": (AllowLocal, False),
}
_ALWAYS = {"limits", "allow_local"}


def with_storage(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator of commands that need stores: it adds options, and makes a storage.

    The command takes the result as its argument `storage`.

    Args:
        *names: The options that the command has: `endpoint`, `region`, `skip_signature`,
            `requester_pays`, `identity`; all of them by default. Those of trust are always there.
    """
    shown = {
        name: option
        for name, option in _STORAGE_OPTIONS.items()
        if name in _ALWAYS or name in (names or _STORAGE_OPTIONS)
    }
    return add_options("storage", shown, make_storage)


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
    Place | None,
    place_option(
        "--data", envvar="STACCHIP_DATA_BUCKET",
        help="Folder of the imagery, or s3://bucket, if it has moved from where the items say. "
        "(In the variable, a bare name is a bucket.)",
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
    limits: str | None = None,
    allow_local: bool = False,
    deadline_s: float = StorageOptions.deadline_s,
) -> Storage:
    """Return storage with the options of a command line; `AWS_*` variables fill in the rest.

    `with_storage` calls it for a command.

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
            limits=parse_limits(limits),
            allow_local=allow_local,
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
